# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Nights in a row, with faults by chance: what retention promises holds after each, and what is kept restores.

SOAK_NIGHTS and SOAK_SEED make it longer and another one: dev/soak.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.script.conftest import MakeSandbox
from tests.script.support.combinations import Combination
from tests.script.support.programs import DEFAULT_VERSION, root_filesystem, wrap
from tests.script.support.rehearsal import Rehearsal
from tests.script.support.server import Server
from tests.script.support.workspace import Workspace

from .nights import Clock, Soak, move_clock_of

# Each fault occurs at least once, early; after that they are random.
FIRST = (
    "none", "server down", "killed", "none", "volume full", "half a backup of another script", "ended", "none",
    "wrong clock", "server killed", "by hand too",
)  # fmt: skip
NIGHTS = int(os.environ.get("SOAK_NIGHTS", "16"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
QUIET_NIGHTS = int(os.environ.get("SOAK_QUIET_NIGHTS", "8"))
RESTORED = int(os.environ.get("SOAK_RESTORED", "2"))


@pytest.fixture
def combination() -> Combination:
    # libfaketime needs a dynamic program: busybox is static.
    return Combination("dash", "mawk") if SEED % 2 else Combination("bash", "gawk")


@contextmanager
def soak_of(workspace: Workspace, make_sandbox: MakeSandbox) -> Iterator[tuple[Soak, Path]]:
    """A soak before its first night, and the programs of PostgreSQL."""
    root = workspace.show(root_filesystem(DEFAULT_VERSION))
    clocks = workspace.directory("clocks")
    script_clock, server_clock = Clock(clocks / "script"), Clock(clocks / "server")
    moved = wrap(root, DEFAULT_VERSION, workspace.directory("moved"))
    move_clock_of(moved, server_clock)
    sandbox = make_sandbox()
    workspace.mount_tmpfs(sandbox.volume, "64m")
    with Server(moved, workspace.directory("server", mode=0o777)).create() as server:
        sandbox.server = server
        yield Soak(sandbox, server, script_clock, server_clock, SEED), root


def pass_night(soak: Soak, fault: str | None) -> None:
    night = soak.pass_night(fault)
    print(f"night {night.number + 1}: {night.fault}: {night.outcome.code if night.outcome else '-'}", flush=True)


def test_nights_with_random_faults(workspace: Workspace, make_sandbox: MakeSandbox) -> None:
    with soak_of(workspace, make_sandbox) as (soak, root):
        for number in range(NIGHTS):
            pass_night(soak, FIRST[number] if number < len(FIRST) else None)
    usual = wrap(root, DEFAULT_VERSION, workspace.directory("usual"))
    restored = soak.check_end(Rehearsal.of(soak.sandbox, usual), RESTORED)
    faults = Counter(night.fault for night in soak.nights)
    messages = Counter(soak.watch.kinds)
    print(f"{NIGHTS} nights with seed {SEED}: {dict(faults)}; {restored} kept backups restored; {dict(messages)}")


def test_nights_without_a_fault(workspace: Workspace, make_sandbox: MakeSandbox) -> None:
    """The watch sends digests only."""
    with soak_of(workspace, make_sandbox) as (soak, _root):
        for _night in range(QUIET_NIGHTS):
            pass_night(soak, "none")
    assert soak.watch.kinds == ["digest"] * ((QUIET_NIGHTS - 1) // 7)
