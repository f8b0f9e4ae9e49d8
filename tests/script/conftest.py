# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Fixtures of the tests of backup.sh and retention.awk outside Kubernetes.

They need root: for users that nothing else has, for volumes of a fixed size, and for a server that is not root's.
Nothing is skipped: a shell, an awk or a PostgreSQL that is missing fails the tests that need it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chains import Chains
from tests.in_turn import take_every_third, take_in_turn

from .support import combinations, extensions, sample
from .support.combinations import Combination
from .support.programs import DEFAULT_VERSION, Programs, root_filesystem, wrap
from .support.sandbox import Sandbox
from .support.script_files import copy_script
from .support.server import Server
from .support.workspace import Workspace

MakeSandbox = Callable[[], Sandbox]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def has_the_fixtures(item: pytest.Item) -> bool:
        markers = item.iter_markers("parametrize")
        return not any("combination" in marker.args[0] for marker in markers)

    take_in_turn(config, items, "combination", has_the_fixtures)
    # Of the tests of rights, each has one version of PostgreSQL.
    take_in_turn(config, items, "restricted", lambda _: True)
    # Of the faults of the places, some are chosen.
    folders, chosen = ("tests/script/", "tests/dump/"), "tests/script/test_copy_faults.py"
    take_every_third(config, items, lambda item: item.nodeid.startswith(folders) and chosen not in item.nodeid)


# Their tests share runs, dumps or servers that take seconds to make.
CHAINS = ("drill/test_drill.py", "restore/test_restore.py", "run/test_run.py", "test_extensions.py")


def chain_of(nodeid: str) -> str | None:
    """Each of those files is a chain, and what tests/dump or tests/regression asks of one server."""
    if version := re.search(r"tests/(dump|regression)/.*\[(\d+( cut)?)", nodeid):
        return f"{version[1]} {version[2]}"
    return next((name for name in CHAINS if f"tests/script/{name}::" in nodeid), None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Chains:
    return Chains(config, log, chain_of)


@pytest.fixture(scope="session")
def workspace() -> Iterator[Workspace]:
    if os.geteuid() != 0:
        pytest.fail("tests/script need root (own user ids, tmpfs volumes): run them with sudo", pytrace=False)
    space = Workspace(memory="4g")
    try:
        yield space
    finally:
        space.close()


@pytest.fixture(scope="session")
def script(workspace: Workspace) -> Path:
    """The script where a user without a name can read it, mounted read-only as far as its mode can say."""
    return copy_script(workspace.directory("script"))


@pytest.fixture(scope="session")
def paths(workspace: Workspace) -> Callable[[Combination], list[Path]]:
    """The PATH of each combination, made once."""
    made: dict[Combination, list[Path]] = {}

    def path_of(combination: Combination) -> list[Path]:
        if combination not in made:
            made[combination] = combinations.make_path(combination, workspace.directory(f"path-{combination}"))
        return made[combination]

    return path_of


@pytest.fixture(params=combinations.PAIRINGS, ids=str)
def combination(request: pytest.FixtureRequest) -> Combination:
    """The pairings of images that there are, in turn; a test marked `under_all` has all of them."""
    chosen = request.param
    assert isinstance(chosen, Combination)
    return chosen


@pytest.fixture
def make_sandbox(
    workspace: Workspace, combination: Combination, paths: Callable[[Combination], list[Path]], script: Path
) -> MakeSandbox:
    return lambda: Sandbox(workspace, combination, paths(combination), script)


@pytest.fixture
def offline(make_sandbox: MakeSandbox) -> Sandbox:
    """A sandbox without a server: for `list`, `prune` and what is refused before a connection."""
    return make_sandbox()


@pytest.fixture(scope="session")
def postgresql(workspace: Workspace) -> Programs:
    version = os.environ.get("SCRIPT_TESTS_POSTGRESQL", DEFAULT_VERSION)
    return wrap(workspace.show(root_filesystem(version)), version, workspace.directory("postgresql"))


@pytest.fixture(scope="session")
def template(workspace: Workspace, postgresql: Programs) -> Server:
    """An empty data directory to copy; never started."""
    return Server(postgresql, workspace.directory("template", mode=0o777)).create()


@pytest.fixture(scope="session")
def server(workspace: Workspace, template: Server) -> Iterator[Server]:
    """The server with the sample data, which no test changes."""
    with template.clone(workspace.directory("server", mode=0o777)) as running:
        sample.fill(running)
        yield running


@pytest.fixture
def fresh_server(workspace: Workspace, template: Server) -> Iterator[Server]:
    """An empty server of the test's own: to change, to stop, to kill."""
    directory = workspace.directory("fresh-server", mode=0o777)
    with template.clone(directory) as running:
        yield running


@pytest.fixture
def sandbox(make_sandbox: MakeSandbox, server: Server) -> Sandbox:
    """A sandbox with the sample server."""
    made = make_sandbox()
    made.server = server
    return made


@pytest.fixture(scope="session")
def extension_server(workspace: Workspace) -> Iterator[Server]:
    """A server with the databases of `extensions`, which no test changes."""
    with extensions.make_server(workspace) as running:
        extensions.fill(running, {**extensions.CASES, **extensions.NEEDS_SEARCH_PATH})
        yield running
