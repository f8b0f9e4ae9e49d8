# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The role as site.yml runs it, without a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[4]
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def site(tmp_path: Path) -> Any:
    """Runs site.yml in `tmp_path`, where no cluster is configured, with variables by their full names."""
    collections = tmp_path / "collections" / "ansible_collections" / "homelab"
    collections.mkdir(parents=True)
    (collections / "postgres_backup").symlink_to(CHECKOUT)
    there = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")

    def run(*arguments: str, env: Mapping[str, str] | None = None, **variables: Any) -> Done:
        environment = os.environ | {
            "ANSIBLE_COLLECTIONS_PATH": f"{tmp_path / 'collections'}:{there}".rstrip(":"),
            "ANSIBLE_NOCOLOR": "1",
            "KUBECONFIG": str(tmp_path / "no-cluster"),
            **(env or {}),
        }
        return subprocess.run(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                "homelab.postgres_backup.site",
                "-e",
                json.dumps(variables),
                *arguments,
            ],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
