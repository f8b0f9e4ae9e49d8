# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the tests of backup_fetch share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.support.backup_files import noise
from tests.cluster.support.fetches import BIG_BYTES, Fetch, of_day, put
from tests.cluster.support.foreign_cronjobs import install
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import delete_namespace
from tests.cluster.support.namespaces import new_namespace


@pytest.fixture
def fetch(tmp_path: Path, collections: Path) -> Iterator[Fetch]:
    """A namespace with a CronJob and a volume made by hand."""
    namespace = new_namespace("fetch")
    install(namespace)
    (tmp_path / "here").mkdir()
    yield Fetch(namespace, tmp_path, collections)
    delete_namespace(namespace)


@pytest.fixture
def volume(fetch: Fetch) -> Path:
    return volume_folder(fetch.namespace)


@pytest.fixture
def big(volume: Path) -> bytes:
    data = noise(BIG_BYTES)
    put(volume, of_day(1), data)
    return data
