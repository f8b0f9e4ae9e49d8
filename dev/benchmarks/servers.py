# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The PostgreSQL server that a benchmark measures with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.script.support.programs import DEFAULT_VERSION, root_filesystem, wrap
from tests.script.support.server import Server
from tests.script.support.workspace import Workspace


@contextmanager
def new_server() -> Iterator[tuple[Workspace, Server]]:
    """An empty server, and the workspace that it is in; both end together."""
    space = Workspace()
    try:
        programs = wrap(space.show(root_filesystem(DEFAULT_VERSION)), DEFAULT_VERSION, space.directory("postgresql"))
        with Server(programs, space.directory("server", mode=0o777)).create() as server:
            yield space, server
    finally:
        space.close()
