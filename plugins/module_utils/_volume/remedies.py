# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a problem of an installation is called, and which playbook answers it, by the problem's `check` (health.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remedy:
    """A playbook of the collection, without its prefix, and what it does (a phrase that follows "This").

    `variables` are to be set in addition, as `name=value`. `reinstalls` where the playbook needs the variables that the
    installation was created with: without them, it would change the installation.
    """

    playbook: str
    does: str
    variables: tuple[str, ...] = ()
    reinstalls: bool = False


_RUN = Remedy("backup_now", "runs a backup")
_VERIFY = Remedy("verify", "fetches the newest backup, and reads it to its end")
_DRILL = Remedy("drill", "restores the newest backup into a temporary server, and counts every row")
_RETENTION = Remedy("retention", "shows which backups retention keeps, and why")
_INSTALL = Remedy("site", "updates the installation", reinstalls=True)
_RESUME = Remedy("site", "resumes the schedule", ("postgres_backup_suspend=false",), reinstalls=True)

# No entry for a problem that no playbook solves: then the message of the problem has advice.
_REMEDIES = {
    "backup": _RUN,
    "age": _RUN,
    "size": _VERIFY,
    "incomplete": _RUN,
    "last_run": _RUN,
    "drill": _DRILL,
    "schedule": _RESUME,
    "image": _INSTALL,
    "script": _INSTALL,
    "space": _RETENTION,
    "unchecked": _RUN,
}


_HEADINGS = {
    "backup": "no complete backup",
    "age": "newest backup too old",
    "size": "newest backup much smaller",
    "incomplete": "databases missing in the backup",
    "last_run": "last run failed",
    "drill": "restore drill",
    "databases": "databases not in the backup",
    "schedule": "schedule",
    "watch": "watch, or a channel of it",
    "image": "image not the server's",
    "script": "script outdated",
    "space": "space",
    "server": "health of the server",
    "unchecked": "unchecked files",
    "damaged": "damaged backups",
    "future": "backups from the future",
}


def heading(check: str) -> str:
    """A few words for a problem."""
    return _HEADINGS.get(check, check.replace("_", " "))


def remedy(check: str) -> Remedy | None:
    """The playbook to run for a problem, where possible after its cause is removed; None if none solves it."""
    return _REMEDIES.get(check)
