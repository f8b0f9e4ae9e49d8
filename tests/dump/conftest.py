# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Servers of every version that Debian's packages offer, with hostile content; they need root, as tests/script do.

Each has plain dumps; dumps made with other options are of one of them, in turn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.in_turn import parameters, take_in_turn
from tests.script.support.programs import root_filesystem, wrap
from tests.script.support.server import Server
from tests.script.support.workspace import Workspace

from . import hostile

VERSIONS = tuple(os.environ.get("DUMP_TESTS_POSTGRESQL", "15 17 18").split())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    take_in_turn(config, items, "pair", lambda item: parameters(item).get("form", "plain") != "plain")


@dataclass(frozen=True)
class Pair:
    """A server with hostile content, and an empty one of the same version to restore into."""

    version: str
    full: Server
    workspace: Workspace
    template: Server

    def empty(self) -> Server:
        return self.template.clone(self.workspace.directory("empty", mode=0o777))


@pytest.fixture(scope="session", params=VERSIONS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if os.geteuid() != 0:
        pytest.fail("tests/dump need root (a server's own user id): run them with sudo", pytrace=False)
    version = str(request.param)
    with ExitStack() as stack:
        space = Workspace()
        stack.callback(space.close)
        programs = wrap(space.show(root_filesystem(version)), version, space.directory("postgresql"))
        template = Server(programs, space.directory("template", mode=0o777)).create()
        full = stack.enter_context(template.clone(space.directory("full", mode=0o777)))
        hostile.fill(full, space.directory("spaces", mode=0o777))
        yield Pair(version, full, space, template)
