# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The options of every module that restores into a server: which server, and as whom."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  restore_host:
    description:
      - The host of another server to restore into, such as C(staging-postgresql.staging.svc). By default, the server of
        the backups.
      - It needs O(restore_user), O(restore_secret_name) and O(restore_secret_key), because the users and passwords of
        the CronJob are those of another server, and must not be sent to this one.
      - The pod runs in the namespace of the backups, so it must be able to reach this host (network policies). It
        connects to the database C(postgres) there before it creates one.
    type: str
    version_added: 1.1.0
  restore_port:
    description:
      - The port of O(restore_host). By default, 5432, and not the port of the backups.
    type: int
    version_added: 1.1.0
  restore_sslmode:
    description:
      - The C(sslmode) for O(restore_host). By default, that of the backups, with their root certificate.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    version_added: 1.1.0
  restore_user:
    description:
      - The user of the server to connect as. By default, the one for restores that the CronJob records, else that of
        the backups. Required with O(restore_host).
    type: str
    version_added: 1.1.0
  restore_secret_name:
    description:
      - The Secret with the password of O(restore_user). It must be in the namespace of the CronJob, because a pod
        cannot use Secrets of other namespaces. The default is as for O(restore_user).
    type: str
    version_added: 1.1.0
  restore_secret_key:
    description:
      - The key of the password in the Secret. The default is as for O(restore_user).
    type: str
    version_added: 1.1.0
"""
