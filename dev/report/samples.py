# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Made-up results of backup_info: the same ones every time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zlib import crc32

from plugins.module_utils._volume.backup_names import TIME_FORMAT, backup_name
from plugins.module_utils._volume.history import parse_entry

NOW = datetime(2026, 11, 28, 10, 24, tzinfo=UTC)
_HOUR_OF_RUNS, _HOUR_OF_DRILLS = 2, 4
_SUNDAY = 6
_KEPT = 14


_NUMBERS = 1 << 32


def _number(*of: object) -> int:
    """Any number below 2^32, the same one for the same arguments, also in later versions of Python."""
    return crc32(repr(of).encode())


@dataclass
class Installation:
    """A server whose backups grow. `failed_days` are days ago and reasons; None is a day without a run."""

    namespace: str
    name: str = "postgres-backup"
    days: int = 365
    first_bytes: int = 40 << 20
    growth: float = 0.004
    volume_bytes: int = 64 * 10**9
    databases: tuple[str, ...] = ("app", "postgres")
    missing: tuple[str, ...] = ()
    failed_days: Mapping[int, str | None] = field(default_factory=dict)
    drills: bool = True

    def result(self) -> dict[str, Any]:
        """What backup_info with `history: true` would return."""
        history = [line for days_ago in range(self.days, -1, -1) for line in self._day(days_ago)]
        made = [line for line in history if line["operation"] == "run" and line["state"] == "succeeded"]
        backups = [self._backup(line, number) for number, line in enumerate(reversed(made[-_KEPT - 1 :]))]
        drills = [line for line in history if line["operation"] == "drill"]
        age = backups[0]["age_seconds"]
        problems = self._problems(history, age, backups[0]["name"])
        free = history[-1]["free_bytes"]
        daily = round(self.first_bytes * 2.9)
        return {
            "changed": False,
            "namespace": self.namespace,
            "name": self.name,
            "healthy": not problems,
            "problems": problems,
            "backups": backups,
            "databases": [self._database(name, backups) for name in sorted(self.databases)],
            "newest": backups[0],
            "last_run": next(line for line in reversed(history) if line["operation"] == "run"),
            "last_drill": {
                **drills[-1],
                "databases": len(self.databases),
                "bytes": drills[-1]["size_bytes"],
                "seconds": {"restore": drills[-1]["seconds"]},
            }
            if drills
            else None,
            "drill_schedule": {"cron": f"0 {_HOUR_OF_DRILLS} * * 0"} if self.drills else None,
            "schedule": {
                "cron": f"0 {_HOUR_OF_RUNS} * * *",
                "time_zone": "Etc/UTC",
                "suspended": False,
                "last_schedule_time": None,
                "last_successful_time": None,
            },
            "volume": {
                "claim": self.name,
                "class": "nfs-client",
                "capacity_bytes": 10 << 30,
                "nfs_server": "192.168.2.2",
                "nfs_path": f"/volume1/k8s-data/{self.namespace}-{self.name}-pvc-1",
                "size_bytes": self.volume_bytes,
                "free_bytes": free,
            },
            "policy": {
                **{"keep_last": 7, "keep_daily": 7, "keep_weekly": 4, "keep_monthly": 0, "keep_yearly": 0},
                "keep_within": "",
                "max_deletions": None,
            },
            "worst_gap": self._worst_gap(made),
            "growth": {"bytes_per_day": daily, "days_until_full": round(free / daily, 1)},
            "history": history,
            "notes": [],
        }

    def _between(self, least: float, most: float, *of: object) -> float:
        return least + (most - least) * _number(self.namespace, *of) / _NUMBERS

    def _day(self, days_ago: int) -> list[dict[str, Any]]:
        midnight = NOW.replace(hour=0, minute=0) - timedelta(days=days_ago)
        day = self.days - days_ago
        size = round(self.first_bytes * (1 + self.growth) ** day * self._between(0.97, 1.03, "size", days_ago))
        free = round(self.volume_bytes * 0.7 - self.first_bytes * 1.2 * day * (1 + day / 500))
        failure = self.failed_days.get(days_ago, "")
        result = {"bytes": size, "uncompressed_bytes": size * 5}
        lines = []
        if failure is not None:
            started = midnight + timedelta(hours=_HOUR_OF_RUNS, seconds=self._between(1, 5, "start", days_ago))
            seconds = round(6 + size / (9 << 20) * self._between(0.85, 1.25, "run", days_ago))
            lines.append(
                self._line("run", started, seconds, free_bytes=free, **(result if not failure else {"reason": failure}))
            )
        if self.drills and midnight.weekday() == _SUNDAY and days_ago:
            started = midnight + timedelta(hours=_HOUR_OF_DRILLS)
            seconds = round(11 + size / (5 << 20) * self._between(0.9, 1.15, "drill", days_ago))
            counted = {"tables": 40 + day // 60, "rows": size // 41}
            lines.append(self._line("drill", started, seconds, free_bytes=free, bytes=size, **counted))
        return lines

    def _line(self, operation: str, started: datetime, seconds: int, **known: Any) -> dict[str, Any]:
        reason = known.get("reason")
        entry = parse_entry(
            {
                "operation": operation,
                "started": started.strftime(TIME_FORMAT),
                "finished": (started + timedelta(seconds=seconds)).strftime(TIME_FORMAT),
                "state": "failed" if reason else "succeeded",
                "backup": None if reason else backup_name(self.name, started),
                "backup_state": None if reason or operation != "run" else "complete",
                "seconds": seconds,
                "volume_bytes": self.volume_bytes,
                "deleted": 0,
                "job": f"{self.name}-29400000",
                **known,
            }
        )
        assert entry is not None
        return entry.to_dict()

    def _backup(self, line: dict[str, Any], number: int) -> dict[str, Any]:
        created = datetime.strptime(line["started"], TIME_FORMAT).replace(tzinfo=UTC)
        reasons = ["last"] if number < 7 else []
        reasons += [f"daily {created:%Y-%m-%d}"] if number < 7 else []
        reasons += [f"weekly {created:%G-W%V}"] if created.weekday() == _SUNDAY or number == 0 else []
        return {
            "name": line["backup"],
            "created": line["started"],
            "age_seconds": int((NOW - created).total_seconds()),
            "size_bytes": line["size_bytes"],
            "sha256": "0" * 64,
            "state": "complete",
            "future": False,
            "verdict": "keep" if reasons else "delete",
            "reasons": reasons or ["no rule keeps it"],
            "manifest": True,
            "dumped": [name for name in self.databases if name not in self.missing],
            "missing": list(self.missing),
            "left_out": False,
        }

    def _database(self, name: str, backups: list[dict[str, Any]]) -> dict[str, Any]:
        holder = backups[3] if name in self.missing else backups[0]
        return {
            "name": name,
            "newest": holder["name"],
            "created": holder["created"],
            "age_seconds": holder["age_seconds"],
            "missing": name in self.missing,
        }

    def _problems(self, history: list[dict[str, Any]], age: int, newest: str) -> list[dict[str, str]]:
        last = next(line for line in reversed(history) if line["operation"] == "run")
        problems = []
        if age > 26 * 3600:
            found = f"{newest}, which is {age // 86400}d {age % 86400 // 3600}h old"
            problems.append(
                {
                    "check": "age",
                    "message": f"expected a complete backup younger than 1d 2h, found {found}. Check the last run and "
                    "the schedule",
                }
            )
        if last["state"] == "failed":
            problems.append(
                {
                    "check": "last_run",
                    "message": f"the last run, started {last['started']}, failed: {last['reason']}",
                }
            )
        return problems

    @staticmethod
    def _worst_gap(made: list[dict[str, Any]]) -> dict[str, Any]:
        starts = [datetime.strptime(line["started"], TIME_FORMAT).replace(tzinfo=UTC) for line in made[-30:]]
        gaps = [(after - before, before, after) for before, after in pairwise(starts)]
        gaps.append((NOW - starts[-1], starts[-1], NOW))
        gap, start, end = max(gaps)
        return {
            "seconds": int(gap.total_seconds()),
            "start": start.strftime(TIME_FORMAT),
            "end": None if end == NOW else end.strftime(TIME_FORMAT),
            "expected_seconds": 86400,
        }


_REFUSED = "could not connect to the server: FATAL: password authentication failed for user postgres"

HEALTHY = Installation(
    "data", databases=("app", "grafana", "nextcloud", "postgres"), failed_days={201: _REFUSED, 200: _REFUSED, 122: None}
)
UNHEALTHY = Installation(
    "shop",
    databases=("analytics", "orders", "postgres"),
    first_bytes=90 << 20,
    volume_bytes=160 * 10**9,
    failed_days={0: _REFUSED, 1: _REFUSED, 2: _REFUSED, 90: None, 91: None, 92: None, 250: _REFUSED},
    drills=False,
)
NOT_READABLE = {
    "failed": True,
    "msg": "monitoring/postgres-backup: expected a CronJob, found none. Is the namespace right?",
}


def several() -> list[dict[str, Any]]:
    """Three installations of an inventory: one is healthy, one is not, and one cannot be read."""
    return [
        {"host": "home", "result": HEALTHY.result()},
        {"host": "shop", "result": UNHEALTHY.result()},
        {"host": "monitoring", "result": NOT_READABLE},
    ]


def many(number: int, days: int = 365) -> list[dict[str, Any]]:
    """So many installations, each with some failures, and days without a run."""
    items = []
    for index in range(number):
        failed: dict[int, str | None] = {
            1 + _number(index, each) % (days - 1): None if _number(each, index) % 2 else _REFUSED
            for each in range(_number(index) % 12)
        }
        if index % 17 == 0:
            failed[0] = _REFUSED
        name = f"server-{index:03}"
        items.append({"host": name, "result": Installation(name, days=days, failed_days=failed).result()})
    return items
