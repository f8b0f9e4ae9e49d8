# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""For each check: what is expected, what to do, and the command for it. `_volume/health.py` has the sentences."""

from __future__ import annotations

from dataclasses import dataclass

_BACKUP_NOW = "ansible-playbook homelab.postgres_backup.backup_now {variables}"
_VERIFY = "ansible-playbook homelab.postgres_backup.verify {variables}"
_LOGS = (
    "kubectl logs -n {namespace} -l app.kubernetes.io/instance={name},app.kubernetes.io/component={component} --tail=50"
)
_EVENTS = "kubectl get events -n {namespace} --sort-by=.lastTimestamp"


@dataclass(frozen=True)
class Advice:
    """What is expected, what to do, and a command to paste."""

    expected: str
    to_do: str
    command: str


_ADVICE = {
    "backup": Advice("a complete backup on the volume", "Run a backup.", _BACKUP_NOW),
    "age": Advice(
        "a complete backup that is recent enough", "Run a backup, and see why the last runs made none.", _BACKUP_NOW
    ),
    "size": Advice(
        "a backup about as large as the one before", "Verify it, and see what the server has lost.", _VERIFY
    ),
    "incomplete": Advice(
        "all databases in the newest backup", "Correct what the message names, then run a backup.", _BACKUP_NOW
    ),
    "last_run": Advice("a run that succeeds", "Correct what the message names, then run a backup.", _BACKUP_NOW),
    "drill": Advice(
        "a restore drill that succeeds, at each time of its schedule",
        "Correct what the message names, then run a restore drill.",
        "ansible-playbook homelab.postgres_backup.drill {variables}",
    ),
    "databases": Advice("every database in the backup", "Run the SQL that the message names.", _BACKUP_NOW),
    "schedule": Advice(
        "a CronJob that is not suspended",
        "Set postgres_backup_suspend to false and run site.yml.",
        "kubectl get cronjob {name} -n {namespace}",
    ),
    "space": Advice(
        "free space for the next backups",
        "Enlarge the volume, delete other files on it, or keep fewer backups.",
        "ansible-playbook homelab.postgres_backup.retention {variables}",
    ),
    "server": Advice(
        "a server without signs of damage", "Follow the message before the server's data is lost.", _BACKUP_NOW
    ),
    "unchecked": Advice("only complete backups", "The next run checks the files that the message names.", _BACKUP_NOW),
    "damaged": Advice(
        "only complete backups",
        "Read the reason in the file .damaged, and delete the backup if you do not need it.",
        _VERIFY,
    ),
    "future": Advice(
        "no backup that is dated in the future", "Correct the clocks, then rename or delete the files.", _VERIFY
    ),
    "volume": Advice(
        "a backup volume that can be listed",
        "Check the NAS, the claim and its mount.",
        "kubectl describe pvc -n {namespace}; " + _EVENTS,
    ),
    "record": Advice(
        "a folder of the watch that can be written to",
        "Check the volume's free space and the owner of the folder {name}.watch on it.",
        _LOGS,
    ),
}
_OTHER = Advice("no problem", "Read what the message names.", _VERIFY)


def advice_for(check: str, name: str, namespace: str) -> Advice:
    """The advice for a check of the installation; a general one for a check that this version does not know."""
    advice = _ADVICE.get(check, _OTHER)
    component = {"drill": "drill", "record": "watch"}.get(check, "backup")
    values = {
        "name": name,
        "namespace": namespace,
        "component": component,
        "variables": f"-e postgres_backup_namespace={namespace} -e postgres_backup_name={name}",
    }
    return Advice(advice.expected, advice.to_do.format(**values), advice.command.format(**values))
