# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The faults part starts a separate cluster (own_cluster.py); it never uses the one of KUBECONFIG."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.support.ansible_runs import link_collection


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link_collection(tmp_path_factory.mktemp("collections"))
