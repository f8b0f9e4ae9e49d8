# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Contents of a backup with one database, as backup_fetch returns them."""

from __future__ import annotations

from typing import Any

BEFORE_GRANT = "GRANT CREATE ON DATABASE "


def a_property(before: str, after: str | None, offset: int, length: int = 10) -> dict[str, Any]:
    return {"before": before, "after": after, "offset_bytes": offset, "length_bytes": length}


def contents(**more: Any) -> dict[str, Any]:
    database = {
        "name": "shop",
        "owner": 'the "owner"',
        "offset_bytes": 100,
        "body_offset_bytes": 300,
        "length_bytes": 1000,
        "rows": 7,
        "create_options": {"template": "template0", "encoding": "UTF8", "locale_provider": "libc", "locale": "C"},
        "properties": [
            a_property("ALTER DATABASE ", " SET work_mem TO '8MB';", 210),
            a_property("ALTER DATABASE ", " CONNECTION LIMIT = 5;", 230),
            a_property("ALTER ROLE a IN DATABASE ", " SET x.y TO 'z';", 250),
            a_property("COMMENT ON DATABASE ", " IS 'SET work';", 400, 50),
            a_property(BEFORE_GRANT, " TO a;", 1050, 40),
        ],
        "roles": ["a", 'the "owner"'],
        **more,
    }
    return {
        "complete": True,
        "kind": "cluster",
        "server_version": "18.1 (Debian 18.1-1)",
        "globals": {"offset_bytes": 10, "length_bytes": 90},
        "databases": [database],
    }
