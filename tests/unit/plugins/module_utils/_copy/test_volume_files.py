# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a `retrieve` that was killed has left on the volume is deleted by the next one, and nothing of another one."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.copy_program import NAME, Copier, install
from tests.stores.copy_bench import MIB, kill, wait_for
from tests.stores.loopback import rclone


@pytest.fixture
def usb(tmp_path: Path, code: Path) -> Copier:
    """Two copies, of which the volume has none any more."""
    copier = install(tmp_path, rclone(), {"kind": "claim", "name": "usb"}, code=code)
    for days in (2, 1):
        copier.add_backup(days, os.urandom(6 * MIB))
    assert copier.run()["status"] == 0
    for path in copier.volume.glob(f"{NAME}-*"):
        path.unlink()
    return copier


def partials(copier: Copier) -> list[Path]:
    return sorted(copier.volume.glob(".*.partial"))


def stopped(copier: Copier, name: str) -> subprocess.Popen[str]:
    """One that is stopped while it transfers that backup, until `end`."""
    before = partials(copier)
    copier.places[0]["bandwidth_bytes"] = MIB
    process = copier.start("retrieve", "usb", name)
    wait_for(lambda: len(partials(copier)) > len(before))
    process.send_signal(signal.SIGSTOP)
    copier.places[0]["bandwidth_bytes"] = None
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGCONT)
    log = process.communicate(timeout=120)[0]
    assert process.returncode == 0, log


def test_what_a_killed_one_has_left_is_deleted_by_the_next(usb: Copier) -> None:
    """Also if that one brings another backup back."""
    newest, other = usb.copies("usb")
    # Of another installation, of a run, and of an upload.
    others = [usb.volume / f".{NAME}-shop-2026-11-01-020000.sql.gz.retrieve-01234567.partial"]
    others += [
        usb.volume / f".{newest}.{end}.partial" for end in ("postgres-backup-29900000-abcde", "upload-0123456789ab")
    ]
    for path in others:
        path.touch()
    for name in (newest, other):
        process = stopped(usb, newest)
        kill(process)
        process.communicate()
        assert len(partials(usb)) == 4
        assert usb.run("retrieve", "usb", name)["changed"] is True
        assert partials(usb) == sorted(others)
        (usb.volume / newest).unlink(missing_ok=True)


def test_two_at_the_same_time(usb: Copier) -> None:
    """Neither the second one nor one that begins after the first has ended deletes the partial file of another one."""
    newest, other = usb.copies("usb")
    first = stopped(usb, newest)
    second = stopped(usb, other)
    assert len(partials(usb)) == 2
    end(first)
    third = usb.run("retrieve", "usb", newest)
    assert third["status"] == 0 and len(partials(usb)) == 1
    end(second)
    assert partials(usb) == []
    assert {newest, other} <= {path.name for path in usb.volume.iterdir()}
