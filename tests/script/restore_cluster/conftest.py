# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.script_files import copy_script
from ..support.workspace import Workspace


@pytest.fixture(scope="session")
def script(workspace: Workspace) -> Path:
    """The script with what a restore of everything needs."""
    return copy_script(workspace.directory("restore-cluster-script"), "_restore_cluster")
