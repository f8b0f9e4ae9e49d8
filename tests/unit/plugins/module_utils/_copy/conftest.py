# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.copy_program import copy_program
from tests.stores.loopback import rclone_s3_server
from tests.stores.servers import S3Store


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy of the program, so that Python compiles it once."""
    return copy_program(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def store() -> Iterator[S3Store]:
    with rclone_s3_server() as found:
        found.make_bucket("backups")
        yield found
