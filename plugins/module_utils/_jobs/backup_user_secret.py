# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Secret of the role for backups, and what is to be done about its password.

In a rotation the Secret has both passwords until the role has the new one: if it is interrupted, the next one
finds out which of them the role has. All objects are plain dictionaries as the Kubernetes API has them (core/v1).
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..errors import BackupUserError
from .job_templates import Object
from .tracking_labels import without_tracking

# Marks a Secret that this collection made, and whose password it may therefore replace; the value is the role's name.
OURS = "postgres-backup.homelab/backup-user"
# The key of the next password, during a rotation.
NEW_PASSWORD_KEY = "new-password"  # noqa: S105 - the name of a key
# The names of the passwords in the variables and in the result of the script (backup_user.sh).
PASSWORD, NEW_PASSWORD = "PASSWORD", "NEW_PASSWORD"


class PasswordChange(Enum):
    """What is done about the password; the value is the word that the module returns."""

    KEPT = "kept"
    # A new one, for a Secret or a key that does not exist.
    CREATED = "created"
    # The role gets the one that the Secret has.
    SET = "set"
    ROTATED = "rotated"
    # The role has the new one of a rotation that was interrupted; the Secret follows.
    COMPLETED = "completed"

    @property
    def sets(self) -> str:
        """Which of the Secret's passwords the role gets; empty for none."""
        changes = {"created": PASSWORD, "set": PASSWORD, "rotated": NEW_PASSWORD}
        return changes.get(self.value, "")


@dataclass(frozen=True)
class SecretKey:
    """The key with the password."""

    namespace: str
    name: str
    key: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def is_in(self, secret: Mapping[str, Any] | None) -> bool:
        return self.key in ((secret or {}).get("data") or {})


def check_secret(secret: Mapping[str, Any] | None, key: SecretKey, rotate: bool) -> None:
    """Raises BackupUserError for somebody else's Secret that would have to be changed."""
    if secret is None or OURS in (secret["metadata"].get("annotations") or {}):
        return
    if not key.is_in(secret):
        keys = ", ".join(sorted(secret.get("data") or {})) or "none"
        raise BackupUserError(
            f"the Secret '{key}': expected the key '{key.key}', found {keys}. This module did not create that Secret "
            "and does not change it: set secret_key, or another secret_name (postgres_backup_user_secret_name)"
        )
    if rotate:
        raise BackupUserError(
            f"the Secret '{key}' was not created by this module, which does not change it. Change the password there, "
            "and run this again without rotate: the role gets the password that the Secret has"
        )


def password_change(
    secret: Mapping[str, Any] | None, key: SecretKey, logins: Mapping[str, Any], *, role_exists: bool, rotate: bool
) -> PasswordChange | None:
    """What is to be done about the password; None if pg_hba.conf rejects the role, whatever its password is.

    `logins` has the result of a login with each password of the Secret: `ok`, and otherwise the `message`.
    """
    if not key.is_in(secret):
        return PasswordChange.CREATED
    if rotate:
        return PasswordChange.ROTATED
    if not role_exists:
        return PasswordChange.SET
    login = logins.get(PASSWORD, {})
    if login.get("ok"):
        return PasswordChange.KEPT
    if logins.get(NEW_PASSWORD, {}).get("ok"):
        return PasswordChange.COMPLETED
    return None if "pg_hba.conf" in login.get("message", "") else PasswordChange.SET


def new_secret(key: SecretKey, role: str, labels: Mapping[str, str]) -> Object:
    metadata = {
        "name": key.name,
        "namespace": key.namespace,
        "labels": without_tracking(labels),
        "annotations": {OURS: role},
    }
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": {}}


def with_password(secret: Mapping[str, Any], key: str, password: str) -> Object:
    """The Secret with this password under this key."""
    changed = copy.deepcopy(dict(secret))
    changed["data"] = {**(changed.get("data") or {}), key: base64.b64encode(password.encode()).decode()}
    return changed


def with_completed_rotation(secret: Mapping[str, Any], key: str) -> Object:
    """The Secret with the new password in the place of the old one."""
    changed = copy.deepcopy(dict(secret))
    changed["data"][key] = changed["data"].pop(NEW_PASSWORD_KEY)
    return changed
