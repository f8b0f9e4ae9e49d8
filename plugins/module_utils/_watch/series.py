# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the watch pushes to a Pushgateway: its own series, and those of the last run (`<name>.prom`)."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from .configuration import Configuration
from .state import State

JOB = "postgres_backup_watch"


def grouping_path(configuration: Configuration) -> str:
    """The path of the group of this installation, with the label names of `<name>.prom`."""
    labels = (("job", JOB), ("name", configuration.name), ("backup_namespace", configuration.namespace))
    return "/metrics/" + "/".join(f"{name}/{quote(value, safe='')}" for name, value in labels)


def series(state: State, now: datetime, of_last_run: str) -> str:
    """The text that is pushed (Prometheus' text format); `of_last_run` is the content of `<name>.prom`, or empty."""
    own = (
        ("postgres_backup_watch_last_look_timestamp_seconds", "Time of the last look.", now.timestamp()),
        ("postgres_backup_watch_healthy", "Whether the last look found no problem.", int(state.is_healthy)),
        ("postgres_backup_watch_waiting_messages", "Messages that a channel has not accepted.", len(state.outbox)),
    )
    lines = [of_last_run.rstrip("\n")] if of_last_run.strip() else []
    for name, text, value in own:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name} {value:.0f}"]
    return "\n".join(lines) + "\n"


def group_for_test(configuration: Configuration) -> str:
    """The path of a group for a test, which is deleted again."""
    return grouping_path(configuration).replace(JOB, f"{JOB}_test", 1)
