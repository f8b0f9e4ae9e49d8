# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Each check of an installation: its heading, what is expected, what to do, and the playbook or command for that.

`_volume/health.py` has the checks and their sentences.
"""

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


@dataclass(frozen=True)
class Advice:
    """What is expected, what to do, and a command to paste."""

    expected: str
    to_do: str
    command: str


@dataclass(frozen=True)
class _Check:
    """`heading` is a few words for a problem; `remedy` is the playbook to run, if possible after its cause is removed.

    Without a remedy, no playbook solves the problem, and its message has advice. `command` is instead of the playbook,
    where that needs the variables of the installation, or something else is better.
    """

    heading: str
    expected: str = "no problem"
    to_do: str = "Read what the message names."
    remedy: Remedy | None = None
    command: str = ""


_RUN = Remedy("backup_now", "runs a backup")
_VERIFY = Remedy("verify", "fetches the newest backup, and reads it to its end")
_DRILL = Remedy("drill", "restores the newest backup into a temporary server, and counts every row")
_COPY = Remedy("copy", "copies the backups to the other places now")
_RETENTION = Remedy("retention", "shows which backups retention keeps, and why")
_INSTALL = Remedy("site", "updates the installation", reinstalls=True)
_RESUME = Remedy("site", "resumes the schedule", ("postgres_backup_suspend=false",), reinstalls=True)

_CHECKS = {
    "backup": _Check("no complete backup", "a complete backup on the volume", "Run a backup.", _RUN),
    "age": _Check(
        "newest backup too old",
        "a complete backup that is recent enough",
        "Run a backup, and see why the last runs made none.",
        _RUN,
    ),
    "size": _Check(
        "newest backup much smaller",
        "a backup about as large as the one before",
        "Verify it, and see what the server has lost.",
        _VERIFY,
    ),
    "incomplete": _Check(
        "databases missing in the backup",
        "all databases in the newest backup",
        "Correct what the message names, then run a backup.",
        _RUN,
    ),
    "last_run": _Check(
        "last run failed", "a run that succeeds", "Correct what the message names, then run a backup.", _RUN
    ),
    "drill": _Check(
        "restore drill",
        "a restore drill that succeeds, at each time of its schedule",
        "Correct what the message names, then run a restore drill.",
        _DRILL,
    ),
    "databases": _Check(
        "databases not in the backup", "every database in the backup", "Run the SQL that the message names."
    ),
    "schedule": _Check(
        "schedule",
        "a CronJob that is not suspended",
        "Set postgres_backup_suspend to false and run site.yml.",
        _RESUME,
        "kubectl get cronjob {name} -n {namespace}",
    ),
    "watch": _Check("watch, or a channel of it"),
    "copy": _Check(
        "copies at other places",
        "a proven copy of each backup at each place",
        "Correct what the message names, then copy.",
        _COPY,
    ),
    "image": _Check("image not the server's", remedy=_INSTALL),
    "script": _Check("script outdated", remedy=_INSTALL),
    "space": _Check(
        "space",
        "free space for the next backups",
        "Enlarge the volume, delete other files on it, or keep fewer backups.",
        _RETENTION,
    ),
    "server": _Check(
        "health of the server",
        "a server without signs of damage",
        "Follow the message before the server's data is lost.",
    ),
    "unchecked": _Check(
        "unchecked files", "only complete backups", "The next run checks the files that the message names.", _RUN
    ),
    "damaged": _Check(
        "damaged backups",
        "only complete backups",
        "Read the reason in the file .damaged, and delete the backup if you do not need it.",
    ),
    "future": _Check(
        "backups from the future",
        "no backup that is dated in the future",
        "Correct the clocks, then rename or delete the files.",
    ),
    "volume": _Check(
        "volume",
        "a backup volume that can be listed",
        "Check the NAS, the claim and its mount.",
        command="kubectl describe pvc -n {namespace}; kubectl get events -n {namespace} --sort-by=.lastTimestamp",
    ),
    "record": _Check(
        "record",
        "a folder of the watch that can be written to",
        "Check the volume's free space and the owner of the folder {name}.watch on it.",
        command="kubectl logs -n {namespace} -l app.kubernetes.io/instance={name},app.kubernetes.io/component=watch "
        "--tail=50",
    ),
}


def _known(check: str) -> _Check:
    """The check; a general one if this version does not know it."""
    return _CHECKS.get(check) or _Check(check.replace("_", " "))


def heading(check: str) -> str:
    """A few words for a problem."""
    return _known(check).heading


def remedy(check: str) -> Remedy | None:
    """The playbook to run for a problem, where possible after its cause is removed; None if none solves it."""
    return _known(check).remedy


def advice_for(check: str, name: str, namespace: str) -> Advice:
    """The advice for a check of the installation."""
    known = _known(check)
    playbook = known.remedy.playbook if known.remedy is not None and not known.remedy.reinstalls else "verify"
    command = known.command or (
        f"ansible-playbook homelab.postgres_backup.{playbook} -e postgres_backup_namespace={{namespace}} "
        "-e postgres_backup_name={name}"
    )
    values = {"name": name, "namespace": namespace}
    return Advice(known.expected, known.to_do.format(**values), command.format(**values))
