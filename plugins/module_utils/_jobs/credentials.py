# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""With which user and which Secret a Job connects to the live server: that of the backups, or that of the restores.

A backup user may only read, so an installation can have another user for restores, which the role records in
annotations of the CronJob: a restore then needs no option, and no inventory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import ExpectationError, TemplateError
from .job_templates import PREFIX, Object, backup_mount, variables

# The role sets annotations with this beginning where postgres_backup_restore_user is set, one for each of _FIELDS.
RESTORE_ANNOTATION = "postgres-backup.homelab/restore"
USER_VARIABLE = f"{PREFIX}USER"
PASSWORD_VARIABLE = "PGPASSWORD"  # noqa: S105 - the name of libpq's variable
_FIELDS = ("user", "secret_name", "secret_key")


@dataclass(frozen=True)
class Credentials:
    """A user of the server, and the key of the Secret, in the namespace of the backups, that has the password."""

    user: str
    secret_name: str
    secret_key: str

    def environment(self) -> dict[str, Object]:
        """The variables of a container that connects as this user; the password is only referred to."""
        # Kubernetes reads $(NAME) and $$ in the value of a variable (Container v1 core, env.value).
        return {
            USER_VARIABLE: {"value": self.user.replace("$", "$$")},
            PASSWORD_VARIABLE: secret_reference(self.secret_name, self.secret_key),
        }

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def secret_reference(name: str, key: str, optional: bool = False) -> Object:
    """The source of a variable; an optional one is unset where the Secret or the key does not exist."""
    reference: Object = {"name": name, "key": key}
    return {"valueFrom": {"secretKeyRef": {**reference, "optional": True} if optional else reference}}


def backup_credentials(cronjob: Mapping[str, Any]) -> Credentials:
    """Those that the CronJob's backups use; raises TemplateError where it has no user or no Secret."""
    container = backup_mount(cronjob).container
    user = variables(container).get(USER_VARIABLE)
    for entry in container.get("env", []):
        reference = (entry.get("valueFrom") or {}).get("secretKeyRef")
        if entry["name"] == PASSWORD_VARIABLE and reference and user:
            return Credentials(user.replace("$$", "$"), reference["name"], reference["key"])
    raise TemplateError(
        f"the CronJob '{cronjob['metadata']['name']}': expected {USER_VARIABLE}, and {PASSWORD_VARIABLE} from a "
        "Secret, as the role writes them, found none. Install the backup with the role (site.yml) first"
    )


def recorded_restore_credentials(cronjob: Mapping[str, Any]) -> Credentials | None:
    """Those in the CronJob's annotations; None where it does not have all of them."""
    annotations = cronjob["metadata"].get("annotations") or {}
    values = [str(annotations.get(f"{RESTORE_ANNOTATION}-{name.replace('_', '-')}") or "") for name in _FIELDS]
    return Credentials(*values) if all(values) else None


def restore_credentials(cronjob: Mapping[str, Any], options: Mapping[str, str | None]) -> Credentials | None:
    """Those of a restore: the options `user`, `secret_name` and `secret_key`, by default as the CronJob records them.

    None where there are neither: then a restore has the environment of the CronJob, whatever it is.
    """
    recorded = recorded_restore_credentials(cronjob)
    chosen = {name: text for name, text in options.items() if text}
    if not chosen:
        return recorded
    # All three need nothing of the CronJob, which may be one that is not ours.
    base = {} if len(chosen) == len(_FIELDS) else (recorded or backup_credentials(cronjob)).to_dict()
    return Credentials(**{**base, **chosen})


def administrator_of(cronjob: Mapping[str, Any], options: Mapping[str, str | None], role: str) -> Credentials:
    """Those with which the backup user `role` is created: the options, by default as for restores, else the backups'.

    Raises ExpectationError where these are the role's own, and TemplateError as backup_credentials does.
    """
    current = backup_credentials(cronjob)
    base = recorded_restore_credentials(cronjob) or current
    chosen = {name: text for name, text in options.items() if text}
    administrator = Credentials(**{**base.to_dict(), **chosen})
    if administrator.user == role:
        already = (
            ". The backups use it already, and the CronJob does not record another user for restores"
            if current.user == role
            else ""
        )
        raise ExpectationError(
            f"admin_user: expected a role that may create '{role}', found that role itself{already}. Set admin_user, "
            "admin_secret_name and admin_secret_key (postgres_backup_restore_user, _secret_name and _secret_key), or "
            "another role (postgres_backup_user_role)"
        )
    return administrator
