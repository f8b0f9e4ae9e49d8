# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""One version: the collection's and the one that the script reports."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_script_reports_the_collections_version() -> None:
    script = (ROOT / "roles/postgres_backup/files/backup.sh").read_text()
    found = re.search(r"^VERSION=(.*)$", script, re.MULTILINE)
    assert found is not None
    assert found[1] == yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
