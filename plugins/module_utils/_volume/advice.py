# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""For each check: what is expected, what to do, and the command for it. `_volume/health.py` has the sentences."""

from __future__ import annotations

from dataclasses import dataclass

from .remedies import remedy

_LOGS = "kubectl logs -n {namespace} -l app.kubernetes.io/instance={name},app.kubernetes.io/component=watch --tail=50"


@dataclass(frozen=True)
class Advice:
    """What is expected, what to do, and a command to paste."""

    expected: str
    to_do: str
    command: str


# What is expected and what to do, of each check.
_SENTENCES = {
    "backup": ("a complete backup on the volume", "Run a backup."),
    "age": ("a complete backup that is recent enough", "Run a backup, and see why the last runs made none."),
    "size": ("a backup about as large as the one before", "Verify it, and see what the server has lost."),
    "incomplete": ("all databases in the newest backup", "Correct what the message names, then run a backup."),
    "last_run": ("a run that succeeds", "Correct what the message names, then run a backup."),
    "drill": (
        "a restore drill that succeeds, at each time of its schedule",
        "Correct what the message names, then run a restore drill.",
    ),
    "databases": ("every database in the backup", "Run the SQL that the message names."),
    "schedule": ("a CronJob that is not suspended", "Set postgres_backup_suspend to false and run site.yml."),
    "space": (
        "free space for the next backups",
        "Enlarge the volume, delete other files on it, or keep fewer backups.",
    ),
    "server": ("a server without signs of damage", "Follow the message before the server's data is lost."),
    "unchecked": ("only complete backups", "The next run checks the files that the message names."),
    "damaged": (
        "only complete backups",
        "Read the reason in the file .damaged, and delete the backup if you do not need it.",
    ),
    "future": ("no backup that is dated in the future", "Correct the clocks, then rename or delete the files."),
    "volume": ("a backup volume that can be listed", "Check the NAS, the claim and its mount."),
    "record": (
        "a folder of the watch that can be written to",
        "Check the volume's free space and the owner of the folder {name}.watch on it.",
    ),
}
_OTHER = ("no problem", "Read what the message names.")
# The commands of checks that no playbook solves, or only one that needs the variables of the installation.
_COMMANDS = {
    "schedule": "kubectl get cronjob {name} -n {namespace}",
    "volume": "kubectl describe pvc -n {namespace}; kubectl get events -n {namespace} --sort-by=.lastTimestamp",
    "record": _LOGS,
}


def advice_for(check: str, name: str, namespace: str) -> Advice:
    """The advice for a check of the installation; a general one for a check that this version does not know."""
    values = {"name": name, "namespace": namespace}
    expected, to_do = _SENTENCES.get(check, _OTHER)
    solution = remedy(check)
    playbook = solution.playbook if solution is not None and not solution.reinstalls else "verify"
    command = _COMMANDS.get(
        check,
        f"ansible-playbook homelab.postgres_backup.{playbook} -e postgres_backup_namespace={{namespace}} "
        "-e postgres_backup_name={name}",
    )
    return Advice(expected, to_do.format(**values), command.format(**values))
