# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Servers of every version that Debian's packages offer, with hostile content; they need root, as tests/script do.

Each has plain dumps; dumps made with other options are of one of them, in turn. So are tests that take long and hardly
depend on the version.
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


# Each starts a program dozens of times.
IN_TURN = {
    "test_each_option_that_a_backup_may_have_works",
    "test_patterns_are_accepted_and_refused_as_by_pg_dump",
    "test_the_table_has_each_letter_of_the_program",
    "test_the_table_says_which_options_take_a_value",
    "test_what_the_program_refuses_is_refused_before",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def is_of_one_version(item: pytest.Item) -> bool:
        chosen = parameters(item)
        has_options = chosen.get("form", "plain") != "plain" or chosen.get("arguments", "none") != "none"
        return has_options or getattr(item, "originalname", None) in IN_TURN

    take_in_turn(config, items, "pair", is_of_one_version)


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
