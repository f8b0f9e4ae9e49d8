# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Contents of a backup with one database, as backup_fetch returns them."""

from __future__ import annotations

from typing import Any


def contents(**more: Any) -> dict[str, Any]:
    database = {"name": "shop", "offset_bytes": 100, "length_bytes": 1000, "rows": 7, **more}
    return {"complete": True, "kind": "cluster", "missing": [], "databases": [database]}
