# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The role's variables with their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROLE = Path(__file__).resolve().parents[5] / "roles" / "postgres_backup"
DEFAULTS = ROLE / "defaults" / "main.yml"
# What counts if no server is found.
FALLBACK = yaml.safe_load((ROLE / "vars" / "main" / "server.yml").read_text())["__postgres_backup_fallback"]


def variables(**values: Any) -> dict[str, Any]:
    """The defaults, with the templates among them filled in."""
    texts = {
        **{f"postgres_backup_{name}": value for name, value in FALLBACK.items()},
        "postgres_backup_host": "postgres-postgresql.data.svc.cluster.local",
        "postgres_backup_claim_name": "postgres-backup",
        "postgres_backup_copy_image": "",
        "postgres_backup_fs_group": 1001,
        "postgres_backup_storage_class": "nfs-client",
        "postgres_backup_watch_image": "",
    }
    return {**yaml.safe_load(DEFAULTS.read_text()), **texts, **values}
