#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_retrieve."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_retrieve
short_description: Bring a backup back from another place to the volume
version_added: 1.1.0
description:
  - Brings a copy of a backup back from a place of an installation (C(postgres_backup_copies)) to its volume, with a Job
    from the CronJob of its copies that may write to the volume. The Job is deleted afterwards.
  - If a Job in progress brings the same backup back from the same place, for example that of a call that was killed,
    the module waits for it.
  - The file gets its name after its sha256 was compared with that of the copy. If the volume has the backup, its file
    is read. An undamaged one is not changed; a damaged one, whose sha256 is not that of its checksum file, is replaced
    by the copy. If the volume has another backup of that name, the module fails.
  - The window of the place does not apply. Retention applies to the backup as to any other, so the next run may delete
    one that is old.
options:
  place:
    description:
      - The name of the place, as in C(postgres_backup_copies).
    type: str
    required: true
  backup:
    description:
      - The name of the backup. By default, the newest complete one that the place has is used.
    type: str
  read_copy:
    description:
      - Whether the copy is read completely, and its sha256 compared, even if the volume has the backup, undamaged. Then
        what restores or verifies the file of the volume does so for the copy, which has the same content.
    type: bool
    default: false
  identity:
    description:
      - The private key with which the backup will be decrypted, as C(age-keygen) prints it (C(AGE-SECRET-KEY-1…)), or
        a private key of OpenSSH without a passphrase. It is compared with the recipients that the manifest of the copy
        names, and a copy of others is not brought back.
      - It does not leave the host where the module runs.
    type: str
  identity_file:
    description:
      - A file with O(identity) on the host where the module runs.
    type: path
  timeout:
    description:
      - How long it may take, such as V(90m) or V(6h). An attempt that does not end in this time is not resumed.
    type: str
    default: 6h
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: partial
    details:
      - Neither the place nor a file of the volume is read. With O(backup), C(changed) is whether the volume does not
        have a backup of that name; without it, C(changed) is V(true), since the backup is not known.
  diff_mode:
    support: N/A
    details: The module does not change any object in the cluster.
  idempotent:
    support: full
seealso:
  - module: homelab.postgres_backup.backup_fetch
    description: Its option C(place) does this first, as do those of the modules for drills and restores.
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Bring the newest complete backup back
  homelab.postgres_backup.backup_retrieve:
    place: offsite
  register: retrieved

- name: Restore it into a temporary server
  homelab.postgres_backup.restore_drill:
    backup: "{{ retrieved.backup }}"
    sha256: "{{ retrieved.sha256 }}"

- name: Both in one task, and the copy is read even if the volume has the backup
  homelab.postgres_backup.restore_drill:
    place: offsite

- name: Bring a specific backup back
  homelab.postgres_backup.backup_retrieve:
    namespace: data
    name: postgres-backup
    place: offsite
    backup: postgres-backup-2026-11-22-020000.sql.gz
"""

RETURN = r"""
place:
  description: The place.
  type: str
  returned: always
backup:
  description: The name of the backup; O(backup) in check mode and if it is not known, which may be null.
  type: str
  returned: always
sha256:
  description: The sha256 of the backup; null if it is not known, such as in check mode if the volume does not have it.
  type: str
  returned: always
size_bytes:
  description: The size of the backup; null if it is not known.
  type: int
  returned: always
replaced_damaged:
  description:
    - Whether the volume had a damaged file of this backup, which was replaced by the copy; V(false) in check mode.
  type: bool
  returned: always
copy_read:
  description: Whether the copy was read completely, and has its sha256; V(false) in check mode.
  type: bool
  returned: always
duration_seconds:
  description: The time from the creation of the Job to its end, including the start of its pod.
  type: float
  returned: if the Job ended
log:
  description: The last lines of the log of the Job, without JSON; empty in check mode.
  type: list
  elements: str
  returned: always
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import run_module
from ansible_collections.homelab.postgres_backup.plugins.module_utils.place_support import bring_back

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {
    "place": {"type": "str", "required": True},
    "backup": {"type": "str"},
    "read_copy": {"type": "bool", "default": False},
    "identity": {"type": "str", "no_log": True},
    "identity_file": {"type": "path"},
    "timeout": {"type": "str", "default": "6h"},
}


def retrieve(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result; with `failed` and `msg` if the backup is not on the volume now."""
    parameters = module.params
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    return bring_back(module, connection, cronjob, reads_copy=parameters["read_copy"])


def main() -> None:
    run_module(ARGUMENTS, retrieve)


if __name__ == "__main__":
    main()
