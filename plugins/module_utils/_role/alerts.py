# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The alerts of an installation, as rules of Prometheus that use its metrics (docs/monitoring.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .._volume.health import FULL_DAYS, SHRUNK
from ..units import format_duration
from .checks import Variables
from .metrics import max_age, max_drill_age

CRITICAL, WARNING = "critical", "warning"
_COMPLETE, _DAMAGED, _NOT_SUCCEEDED = 'state="complete"', 'state="damaged"', 'state!="succeeded"'


@dataclass(frozen=True)
class Installation:
    """An installation in expressions: the series of a metric, without what differs between two ways to scrape it."""

    namespace: str
    name: str

    def series(self, metric: str, extra: str = "") -> str:
        """The selector of a metric; `extra` is a further condition, such as `state="complete"`."""
        conditions = f'name="{self.name}",backup_namespace="{self.namespace}"'
        return f"postgres_backup_{metric}{{{conditions}{',' if extra else ''}{extra}}}"

    def newest(self, metric: str, extra: str = "", *, by: str = "") -> str:
        """The greatest value of a metric for each installation, or also for each label in `by`."""
        return f"max by (name, backup_namespace{', ' if by else ''}{by}) ({self.series(metric, extra)})"


def alert_groups(variables: Variables) -> list[dict[str, Any]]:
    """The `groups` of a file of rules; `variables` holds the role's variables by their full names."""
    where = Installation(str(variables["postgres_backup_namespace"]), str(variables["postgres_backup_name"]))
    return [{"name": f"postgres-backup-{where.namespace}-{where.name}", "rules": [*_rules(where, variables)]}]


def _rules(where: Installation, variables: Variables) -> Iterator[dict[str, Any]]:
    yield from _age_rules(where, variables)
    yield from _run_rules(where)
    yield from _file_rules(where, variables)
    yield from _space_rules(where)
    yield from _drill_rules(where, variables)
    yield _rule(
        "MetricsMissing",
        f"absent({where.series('copies')})",
        WARNING,
        "2h",
        f"The backups of {where.namespace}/{where.name} are not monitored",
        f"Expected the metrics of {where.name}.prom on the backup volume, found none. Check that a run has written the "
        "file since postgres_backup_metrics is true, that the share is mounted where node_exporter runs, and that "
        "Prometheus scrapes it (docs/monitoring.md).",
    )


def _age_rules(where: Installation, variables: Variables) -> Iterator[dict[str, Any]]:
    limit = max_age(variables)
    seconds, text = f"{limit.total_seconds():.0f}", format_duration(limit)
    yield _rule(
        "NewestTooOld",
        f"time() - {where.newest('newest_timestamp_seconds')} > {seconds}",
        CRITICAL,
        "10m",
        f"The newest complete backup of {where.namespace}/{where.name} is {{{{ $value | humanizeDuration }}}} old",
        f"Expected a complete backup younger than {text}, found one that is {{{{ $value | humanizeDuration }}}} old. "
        f"Find out why: {_playbook('verify', where)}",
    )
    yield _rule(
        "None",
        f"{where.newest('backups', _COMPLETE)} == 0",
        CRITICAL,
        "10m",
        f"There is no complete backup of {where.namespace}/{where.name}",
        f"Expected a complete backup on the volume, found none. Make one: {_playbook('backup_now', where)}",
    )
    # Without this condition, every database would have an alert after a night without a run.
    yield _rule(
        "DatabaseTooOld",
        f"time() - {where.newest('database_newest_timestamp_seconds', by='database')} > {seconds} "
        f"and on (name, backup_namespace) {where.newest('databases_missing')} > 0",
        CRITICAL,
        "10m",
        f"The database {{{{ $labels.database }}}} of {where.namespace}/{where.name} has no new backup",
        # Without a backup, the age is the time since 1970.
        f"Expected a backup with it that is younger than {text}, found {{{{ if gt $value 1e9 }}}}none at all"
        "{{ else }}one that is {{ $value | humanizeDuration }} old{{ end }}. "
        f"The reason and what to do: {_playbook('verify', where)}",
    )


def _run_rules(where: Installation) -> Iterator[dict[str, Any]]:
    yield _rule(
        "LastRunFailed",
        f"{where.newest('consecutive_failures')} > 0",
        WARNING,
        "",
        f"The last backup of {where.namespace}/{where.name} failed",
        "Expected a run that succeeds, found {{ $value }} that failed since the last success. Older backups are "
        f"unchanged. The reason and what to do: {_playbook('verify', where)}",
    )
    yield _rule(
        "Incomplete",
        f"{where.newest('databases_missing')} > 0",
        WARNING,
        "",
        f"The newest backup of {where.namespace}/{where.name} lacks databases",
        "Expected all databases in the newest backup, found {{ $value }} that could not be dumped. "
        f"Which ones, and what to do: {_playbook('verify', where)}",
    )


def _file_rules(where: Installation, variables: Variables) -> Iterator[dict[str, Any]]:
    yield _rule(
        "Damaged",
        f"{where.newest('backups', _DAMAGED)} > 0",
        WARNING,
        "",
        f"There are damaged backups of {where.namespace}/{where.name}",
        "Expected no damaged backup on the volume, found {{ $value }}. Do not rely on them; the files whose names end "
        f"in .damaged contain the reasons. List them: {_playbook('verify', where)}",
    )
    size, window = where.newest("newest_size_bytes"), f"{2 * max_age(variables).total_seconds():.0f}s"
    before = f"max by (name, backup_namespace) (max_over_time({where.series('newest_size_bytes')}[{window}]))"
    yield _rule(
        "Shrunk",
        f"{size} < {SHRUNK} * {before}",
        WARNING,
        "",
        f"The newest backup of {where.namespace}/{where.name} is much smaller than the one before",
        "Expected about the size of the previous backup, found {{ $value | humanize1024 }}B. If nobody has deleted "
        f"data, restore the previous one into another database. Compare them: {_playbook('verify', where)}",
    )


def _space_rules(where: Installation) -> Iterator[dict[str, Any]]:
    yield _rule(
        "NoSpace",
        f"{where.newest('volume_free_bytes')} < {where.newest('newest_size_bytes')}",
        CRITICAL,
        "10m",
        f"The volume of the backups of {where.namespace}/{where.name} has no space for another backup",
        "Expected free space for a backup of the same size, found {{ $value | humanize1024 }}B. Free some space, "
        f"enlarge the volume, or keep fewer backups. What is kept and why: {_playbook('retention', where)}",
    )
    yield _rule(
        "VolumeFillsUp",
        f"{where.newest('volume_full_timestamp_seconds')} - time() < {FULL_DAYS * 86400}",
        WARNING,
        "1h",
        f"The volume of the backups of {where.namespace}/{where.name} will be full soon",
        f"Expected free space for at least {FULL_DAYS} days, found {{{{ $value | humanizeDuration }}}} if the volume "
        "fills as before. Free some space, enlarge the volume, or keep fewer backups. What is kept and why: "
        f"{_playbook('retention', where)}",
    )


def _drill_rules(where: Installation, variables: Variables) -> Iterator[dict[str, Any]]:
    limit = max_drill_age(variables)
    if limit is None:
        return
    yield _rule(
        "DrillFailed",
        f"{where.newest('last_drill_state', _NOT_SUCCEEDED)} == 1",
        WARNING,
        "",
        f"The last restore drill of {where.namespace}/{where.name} failed",
        "Expected a backup that restores into a temporary server, found errors. The reason and what to do: "
        f"{_playbook('verify', where)}",
    )
    yield _rule(
        "DrillTooOld",
        f"time() - {where.newest('last_drill_timestamp_seconds')} > {limit.total_seconds():.0f}",
        WARNING,
        "10m",
        f"The last restore drill of {where.namespace}/{where.name} was {{{{ $value | humanizeDuration }}}} ago",
        f"Expected one in {format_duration(limit)}, found none. Run one: {_playbook('drill', where)}",
    )


def _playbook(name: str, where: Installation) -> str:
    """A command to paste."""
    return (
        f"ansible-playbook homelab.postgres_backup.{name} -e postgres_backup_namespace={where.namespace} "
        f"-e postgres_backup_name={where.name}"
    )


def _rule(alert: str, expression: str, severity: str, wait: str, summary: str, description: str) -> dict[str, Any]:  # noqa: PLR0917  # as a rule has them
    return {
        "alert": f"PostgresBackup{alert}",
        "expr": expression,
        **({"for": wait} if wait else {}),
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description},
    }
