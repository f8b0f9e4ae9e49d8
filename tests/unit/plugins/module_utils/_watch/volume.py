# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Listings of a backup volume for the tests of the watch, as `backup.sh list --history` prints them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from plugins.module_utils._volume.backup_names import TIME_FORMAT, backup_name
from plugins.module_utils._watch.configuration import Channel, Configuration

NAME = "postgres-backup"


def configuration(*channels: Channel, **values: Any) -> Configuration:
    """An installation with a weekly digest, which is checked each half an hour."""
    default = {
        "name": NAME,
        "namespace": "data",
        "max_age": timedelta(hours=26),
        "time_zone": "Etc/UTC",
        "drill_schedule": "",
        "is_suspended": False,
        "digest": timedelta(days=7),
        "channels": channels,
        "file_mode": 0o640,
        "period": timedelta(minutes=30),
    }
    return Configuration(**{**default, **values})


def channel(name: str = "phone", kind: str = "ntfy", folder: str = "/secrets/0", **options: Any) -> Channel:
    return Channel(name=name, kind=kind, secret=f"{name}-secret", folder=folder, options=options)


@dataclass
class Volume:
    """A volume with a backup for each time in `backups`, and the records of the last run and drill."""

    backups: list[datetime] = field(default_factory=list)
    last_run: dict[str, Any] | None = None
    last_drill: dict[str, Any] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    free_bytes: int = 10**12
    state: str = "complete"
    is_future: bool = False

    def run(self, started: datetime, state: str = "succeeded", **values: Any) -> None:
        """A run that takes a minute."""
        finished = started + timedelta(minutes=1)
        times = {"started": started.strftime(TIME_FORMAT), "finished": finished.strftime(TIME_FORMAT)}
        if state == "succeeded":
            self.backups.insert(0, started)
        self.last_run = {"state": state, **times, "reason": None, **values}
        self.history.append({"operation": "run", "state": state, "bytes": 100, **times})

    def lines(self) -> list[str]:
        items: list[dict[str, Any]] = [
            {
                "type": "backup",
                "name": backup_name(NAME, time),
                "created": time.strftime(TIME_FORMAT),
                "size_bytes": 100,
                "sha256": "a" * 64,
                "state": self.state,
                "future": self.is_future,
                "verdict": "keep",
                "reasons": ["last"],
            }
            for time in self.backups[:10]
        ]
        items += [{"type": "history", **entry} for entry in self.history[-50:]]
        volume = {
            "type": "volume",
            "path": "/backups",
            "source": None,
            "size_bytes": 10**12,
            "free_bytes": self.free_bytes,
            "policy": {},
            "last_drill": self.last_drill,
            "last_run": self.last_run,
        }
        return [json.dumps(item, separators=(",", ":")) for item in [*items, volume]]
