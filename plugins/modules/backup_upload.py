#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_upload: uploads a backup to the volume."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_upload
short_description: Upload a backup to the volume
version_added: 1.1.0
description:
  - Copies a local backup, with its checksum file and its manifest if it has them, to the backup volume of a CronJob.
  - The file is hashed and compared with its checksum file before the transfer. On the volume, it is a partial file
    until it has been flushed and hashed there. No file on the volume is ever replaced.
  - An interrupted transfer is resumed, also after the API server or the pod was lost, and by a later run of the module
    within a day.
  - A file without a checksum file and without a manifest is unchecked on the volume, until a run has read it.
options:
  src:
    description:
      - The local backup. Its name is that of the backup on the volume.
    type: path
    required: true
  rename:
    description:
      - Whether a backup of another installation, whose name begins differently, gets a name of this installation. The
        time in the name is kept. The checksum file and the manifest on the volume have the new name; the local files
        are not changed.
    type: bool
    default: false
  keep:
    description:
      - Whether retention keeps the backup. A file with the suffix C(.keep) on the volume marks it; to let retention
        decide, delete that file.
    type: bool
    default: false
  identity:
    description:
      - The private key with which the backup will be decrypted, as C(age-keygen) prints it (C(AGE-SECRET-KEY-1…)), or
        a private key of OpenSSH without a passphrase. It is compared with the recipients that the manifest of the file
        names, and a file of others is not uploaded.
      - It does not leave the host where the module runs.
    type: str
  identity_file:
    description:
      - A file with O(identity) on the host where the module runs.
    type: path
  retries:
    description:
      - How often to try again in a row without sending any data.
    type: int
    default: 6
  timeout:
    description:
      - The longest time for the transfer, such as V(90m).
    type: str
    default: 6h
  silence_timeout:
    description:
      - After this time without a response, the connection is considered lost.
    type: str
    default: 60s
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
    details: Reads the local file and the volume's listing, and uploads nothing.
  diff_mode:
    support: full
    details: The file that the volume gets.
  idempotent:
    support: full
seealso:
  - module: homelab.postgres_backup.backup_fetch
  - module: homelab.postgres_backup.restore_database
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Upload a fetched backup to the volume of a new cluster
  homelab.postgres_backup.backup_upload:
    src: backups/postgres-backup-2026-11-22-020000.sql.gz
    keep: true

- name: Take a backup of another installation along
  homelab.postgres_backup.backup_upload:
    namespace: databases
    name: postgres
    src: backups/postgres-backup-2026-11-22-020000.sql.gz
    rename: true
"""

RETURN = r"""
backup:
  description: The name of the backup on the volume.
  type: str
  returned: success
  sample: postgres-backup-2026-11-22-020000.sql.gz
sha256:
  description: The sha256 of the backup.
  type: str
  returned: success
size_bytes:
  description: The size of the backup in bytes.
  type: int
  returned: success
backup_state:
  description: The state of the backup on the volume, as returned by M(homelab.postgres_backup.backup_info); null in
    check mode if it is not there yet.
  type: str
  returned: success
  sample: complete
verdict:
  description: The verdict of retention, V(keep) or V(delete); null in check mode if it is not there yet.
  type: str
  returned: success
resumed_bytes:
  description: Number of bytes that an earlier run had already transferred.
  type: int
  returned: success
interruptions:
  description: How often the connection or the pod was lost during the transfer.
  type: int
  returned: success
duration_seconds:
  description: The time from the first byte that was sent until the backup has its name; null if nothing was sent.
  type: float
  returned: success
"""

import time
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.volume_upload import (
    ensure_on_volume,
    installation_name,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._fetch.attempts import RetryPolicy
from ansible_collections.homelab.postgres_backup.plugins.module_utils._fetch.upload_source import read_source
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import ExpectationError, NotInstalledError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.identity_support import given_public_keys
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    run_module,
    seconds,
    start_limits,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS: dict[str, Any] = {
    "src": {"type": "path", "required": True},
    "rename": {"type": "bool", "default": False},
    "keep": {"type": "bool", "default": False},
    "identity": {"type": "str", "no_log": True},
    "identity_file": {"type": "path"},
    "retries": {"type": "int", "default": 6},
    "timeout": {"type": "str", "default": "6h"},
    "silence_timeout": {"type": "str", "default": "60s"},
}


def send(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters = module.params
    if parameters["retries"] < 0:
        raise ExpectationError(f"retries: expected at least 0, found {parameters['retries']}")
    deadline = time.monotonic() + seconds(parameters, "timeout")
    silence = seconds(parameters, "silence_timeout")
    how = {"rename": parameters["rename"], "public_keys": given_public_keys(parameters)}
    try:
        cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    except NotInstalledError:
        # The file is the more important news: a playbook installs the backup only for a good one.
        read_source(parameters["src"], None, **how, reporter=connection.reporter)
        raise
    installation = installation_name(cronjob, parameters["directory"])
    local = read_source(parameters["src"], installation, **how, reporter=connection.reporter)
    result = ensure_on_volume(
        connection,
        cronjob,
        local,
        directory=parameters["directory"],
        keep=parameters["keep"],
        check=module.check_mode,
        retry_policy=RetryPolicy(parameters["retries"], deadline=deadline),
        silence_seconds=silence,
        limits=start_limits(parameters),
    )
    for warning in result.warnings:
        module.warn(warning)
    uploaded, listed = result.uploaded, result.listed
    answer: dict[str, Any] = {
        "changed": uploaded.changed,
        "backup": local.name,
        "sha256": local.sha256,
        "size_bytes": local.size_bytes,
        "backup_state": listed.state if listed else None,
        "verdict": listed.verdict if listed else None,
        "resumed_bytes": uploaded.resumed_bytes,
        "interruptions": uploaded.interruptions,
        "duration_seconds": None if uploaded.duration_seconds is None else round(uploaded.duration_seconds, 3),
    }
    if module._diff:
        after = f"{local.name}: {local.size_bytes} bytes, sha256 {local.sha256}\n"
        header = f"backups of {parameters['namespace']}/{parameters['name']}"
        before = "" if uploaded.changed else after
        answer["diff"] = {"before_header": header, "after_header": header, "before": before, "after": after}
    return answer


def main() -> None:
    run_module(ARGUMENTS, send)


if __name__ == "__main__":
    main()
