# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A server of the oldest version, for what later versions do in another way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..support.programs import root_filesystem, wrap
from ..support.server import Server
from ..support.workspace import Workspace


@pytest.fixture
def old_server(workspace: Workspace) -> Iterator[Server]:
    """Of PostgreSQL 13."""
    programs = wrap(workspace.show(root_filesystem("13")), "13", workspace.directory("postgresql-13"))
    with Server(programs, workspace.directory("server-13", mode=0o777)).create() as running:
        yield running
