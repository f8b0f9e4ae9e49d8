#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_fetch; what it does is in module_utils/_fetch/ and module_utils/_cluster/volume_file.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_fetch
short_description: Copy a PostgreSQL backup from its volume in Kubernetes to a local file
version_added: 1.0.0
description:
  - Copies one backup with its checksum file and its manifest from the volume of a backup CronJob to the host where the
    module runs. The file gets its name only after it is complete, written to the disk, and has the sha256 in the
    checksum file on the volume.
  - A manifest that cannot be read or used is not copied, with a warning.
  - Resumes interrupted transfers, including those of earlier runs, after comparing the partial file with the volume.
  - Works with any CronJob, not only with those of this collection's role. A backup without a checksum file is compared
    with the output of C(sha256sum) on the volume.
  - Reads the volume through a short-lived Job with the CronJob's image, which is deleted afterwards.
requirements:
  - isal (optional; makes O(verify=true) about three times as fast)
  - pyrage >= 1.3 (only for O(verify=true) with an encrypted backup)
options:
  backup:
    description:
      - The name of the backup.
      - By default, the newest complete backup is used. If there is none, the newest unchecked backup is used, with a
        warning.
      - An incomplete backup, which lacks databases that could not be dumped, is used if it is named, or
        with O(allow_incomplete=true), with a warning.
    type: str
  allow_incomplete:
    description:
      - Whether to use an incomplete backup if it is newer than the newest complete one.
    type: bool
    default: false
    version_added: 1.1.0
  dest:
    description:
      - The path of the file, or a directory, in which the file keeps its name.
      - Can be omitted with O(verify=true). Then the backup is read to its end, but not kept. Meanwhile it needs disk
        space in the temporary folder (E(TMPDIR)). The file there has no name, so it disappears even if the module is
        killed.
    type: path
  mode:
    description:
      - The permissions of the file and its checksum file, as an octal number in quotes.
      - During the transfer, only the owner can read the file.
    type: str
    default: "0640"
  verify:
    description:
      - Whether to read the dump to its end during the transfer, and to return its RV(contents). If it is damaged or not
        a single complete dump, the module fails and leaves no file.
      - With O(place), the copy there is read completely, too, even if the volume has the backup.
    type: bool
    default: false
  identity:
    description:
      - The private key of a recipient, for O(verify=true) with an encrypted backup, as C(age-keygen) prints it
        (C(AGE-SECRET-KEY-1…)), or a private key of OpenSSH without a passphrase. The file at O(dest) remains encrypted.
      - If the manifest names other recipients, the module fails before the transfer.
    type: str
    version_added: 1.1.0
  identity_file:
    description:
      - A file with O(identity) on the host where the module runs.
    type: path
    version_added: 1.1.0
  keep_local:
    description:
      - Number of fetched backups of this CronJob to keep in the directory O(dest), including this one. Older ones are
        deleted together with their checksum files and manifests. Files without a matching checksum file are not
        deleted.
      - Partial files of fetches that ended more than a day ago are deleted too.
    type: int
  retries:
    description:
      - Number of retries after the connection or the pod was lost. Retries that receive new data do not count. The
        pauses grow from 1 to 30 seconds.
    type: int
    default: 6
  timeout:
    description:
      - How long the complete transfer may take, such as V(90m) or V(6h). A partial file at O(dest) is kept, so that the
        next run can resume it.
    type: str
    default: 6h
  silence_timeout:
    description:
      - How long the connection may be idle before it counts as lost.
    type: str
    default: 60s
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - homelab.postgres_backup.place
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
    details: The volume is read, but nothing is written. Without O(dest) the module never changes anything.
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: homelab.postgres_backup.backup_verify
  - module: homelab.postgres_backup.backup_info
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Fetch the newest backup, verify it, and keep three of them
  homelab.postgres_backup.backup_fetch:
    namespace: data
    name: postgres-backup
    dest: /srv/backups/
    verify: true
    keep_local: 3

- name: Fetch a specific backup
  homelab.postgres_backup.backup_fetch:
    backup: postgres-backup-2026-11-22-020000.sql.gz
    dest: /tmp/before-the-migration.sql.gz

- name: Verify the newest backup without keeping it
  homelab.postgres_backup.backup_fetch:
    verify: true
  register: fetched # fetched.contents is for restore_drill and restore_database
"""

RETURN = r"""
path:
  description: The local file; null without O(dest).
  type: str
  returned: success
manifest:
  description: The local copy of the manifest, whose name is that of the file with the suffix C(.json); null if the
    backup has none, and without O(dest).
  type: str
  returned: success
  version_added: 1.1.0
backup:
  description: The backup's name on the volume.
  type: str
  returned: success
backup_state:
  description: The state of the backup on the volume - V(complete), V(incomplete), V(unchecked) or V(damaged).
  type: str
  returned: success
size_bytes:
  description: The size of the backup.
  type: int
  returned: success
sha256:
  description: The sha256 of the backup; null in check mode if it can only be computed during the transfer.
  type: str
  returned: success
duration_seconds:
  description: The time from the first byte to the final name; null if nothing had to be fetched.
  type: float
  returned: success
resumed_bytes:
  description: Number of bytes that an earlier run had already transferred.
  type: int
  returned: success
interruptions:
  description: How often the connection or the pod was lost during the transfer.
  type: int
  returned: success
contents:
  description:
    - What the dump contains, as returned by M(homelab.postgres_backup.backup_verify). If the dump is damaged, the
      tables of its databases are omitted.
  type: dict
  returned: with O(verify=true), except in check mode if the file is not at O(dest) yet
removed:
  description: The files that were deleted because of O(keep_local).
  type: list
  elements: str
  returned: success
failures:
  description: The defects of the backup, as returned by M(homelab.postgres_backup.backup_verify).
  type: list
  elements: dict
  returned: with O(verify=true), if the backup is damaged
"""

import os
import time
from contextlib import AbstractContextManager
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.reader import Reader
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.volume_file import (
    ReplaceableReader,
    VolumeFile,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._dump.decryption import Identities
from ansible_collections.homelab.postgres_backup.plugins.module_utils._fetch.choice import choose
from ansible_collections.homelab.postgres_backup.plugins.module_utils._fetch.destination import (
    Destination,
    backups_to_delete,
    remove,
    resolve,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._fetch.manifest_copy import (
    naming_recipients,
    require_identity,
    update_manifest,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._fetch.transfer import (
    RemoteFile,
    RetryPolicy,
    Source,
    matching_local_sha256,
    read_contents,
    read_through,
    repair_metadata,
    transfer,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.volume_jobs import ReaderRequest
from ansible_collections.homelab.postgres_backup.plugins.module_utils._progress.reporter import Reporter
from ansible_collections.homelab.postgres_backup.plugins.module_utils._verify.identity_file import identity_keys
from ansible_collections.homelab.postgres_backup.plugins.module_utils._verify.verification import read_identities
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.catalog import Backup, parse_listing
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import DamagedError, ExpectationError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    run_module,
    seconds,
    start_limits,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.place_support import PLACE_ARGUMENTS, backup_for
from ansible_collections.homelab.postgres_backup.plugins.module_utils.units import parse_mode

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# A reader that is not deleted ends after this time; a fetch that takes longer continues with another one.
_STAY_SECONDS = (300, 900, 3600, 14400)

_UPDATED = {"mode": "mode", "sidecar": "checksum file", "manifest": "manifest"}

ARGUMENTS: dict[str, Any] = {
    "backup": {"type": "str"},
    "allow_incomplete": {"type": "bool", "default": False},
    "dest": {"type": "path"},
    "mode": {"type": "str", "default": "0640"},
    "verify": {"type": "bool", "default": False},
    "identity": {"type": "str", "no_log": True},
    "identity_file": {"type": "path"},
    "keep_local": {"type": "int"},
    "retries": {"type": "int", "default": 6},
    "timeout": {"type": "str", "default": "6h"},
    "silence_timeout": {"type": "str", "default": "60s"},
    **PLACE_ARGUMENTS,
}


def diff_line(destination: Destination) -> str:
    try:
        size = os.stat(destination.path).st_size
    except OSError:
        return ""
    return f"{destination.path}: {size} bytes\n"


def read(
    source: Source, backup: Backup, retry_policy: RetryPolicy, reporter: Reporter, identities: Identities
) -> dict[str, Any]:
    """Read the backup without keeping it; the module's result."""
    remote = RemoteFile(backup.name, backup.size_bytes, backup.sha256)
    transferred = read_through(source, remote, retry_policy, reporter, identities)
    return {
        "changed": False,
        "path": None,
        "manifest": None,
        "backup": backup.name,
        "backup_state": backup.state,
        "size_bytes": backup.size_bytes,
        "sha256": transferred.sha256,
        "duration_seconds": round(transferred.duration_seconds, 3),
        "resumed_bytes": 0,
        "interruptions": transferred.interruptions,
        "contents": transferred.contents,
        "removed": [],
    }


def ensure_local_copy(
    module: AnsibleModule,
    source: VolumeFile,
    backup: Backup,
    destination: Destination,
    *,
    mode: int,
    retry_policy: RetryPolicy,
    reporter: Reporter,
    identities: Identities,
) -> dict[str, Any]:
    """Fetch the backup unless the local file is a copy of it already; the module's result."""
    parameters = module.params
    remote = RemoteFile(backup.name, backup.size_bytes, backup.sha256)
    before = diff_line(destination)
    result: dict[str, Any] = {
        "path": destination.path,
        "backup": backup.name,
        "backup_state": backup.state,
        "size_bytes": backup.size_bytes,
        "sha256": backup.sha256,
        "duration_seconds": None,
        "resumed_bytes": 0,
        "interruptions": 0,
    }
    local_sha256 = matching_local_sha256(source, remote, destination, retry_policy, reporter)
    changes: tuple[str, ...] = ("file", "sidecar")
    if local_sha256 is not None:
        result["sha256"] = local_sha256
        if parameters["verify"]:
            result["contents"] = read_contents(destination.path, local_sha256, reporter, identities)
        changes = repair_metadata(destination, local_sha256, mode, module.check_mode)
    elif not module.check_mode:
        options = {"reads_contents": parameters["verify"], "reporter": reporter, "identities": identities}
        transferred = transfer(source, remote, destination, mode, retry_policy, **options)
        result |= {
            "sha256": transferred.sha256,
            "duration_seconds": round(transferred.duration_seconds, 3),
            "resumed_bytes": transferred.resumed_bytes,
            "interruptions": transferred.interruptions,
        }
        if transferred.contents is not None:
            result["contents"] = transferred.contents
    read_manifest = source.manifest if backup.has_manifest else None
    manifest = update_manifest(
        read_manifest, destination, backup.name, result["sha256"], mode, is_dry_run=module.check_mode
    )
    if manifest.warning:
        module.warn(manifest.warning)
    if manifest.is_changed:
        changes = (*changes, "manifest")
    result["manifest"] = manifest.path
    removed: tuple[str, ...] = ()
    if parameters["keep_local"] is not None:
        removed = backups_to_delete(destination, parameters["keep_local"], backup.name)
        if not module.check_mode:
            remove(removed)
    result |= {"removed": list(removed), "changed": bool(changes or removed)}
    if module._diff:
        deleted = "".join(f"{path}\n" for path in removed)
        after = f"{destination.path}: {backup.size_bytes} bytes\n"
        if local_sha256 is not None:
            after += "".join(f"{destination.path}: {_UPDATED[change]} updated\n" for change in changes)
        result["diff"] = {"before": deleted + before, "after": after}
    return result


def fetch(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result, with `failed` for a damaged backup."""
    parameters = module.params
    mode = parse_mode(parameters["mode"])
    for name, least in (("keep_local", 1), ("retries", 0)):
        if parameters[name] is not None and parameters[name] < least:
            raise ExpectationError(f"{name}: expected at least {least}, found {parameters[name]}")
    if parameters["dest"] is None and not parameters["verify"]:
        raise ExpectationError(
            "dest: expected a directory or the path of a file, found nothing. It may be left out only with "
            "verify=true: the backup is then read, and not kept"
        )
    if parameters["dest"] is None and parameters["keep_local"] is not None:
        raise ExpectationError("keep_local: expected dest to be a directory, found nothing")
    identity = (parameters["identity"], parameters["identity_file"])
    identities, public_keys = read_identities(*identity), identity_keys(*identity)
    timeout, silence = seconds(parameters, "timeout"), seconds(parameters, "silence_timeout")
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    wanted = backup_for(module, connection, cronjob, reads_copy=parameters["verify"])
    retry_policy = RetryPolicy(parameters["retries"], deadline=time.monotonic() + timeout)
    # A reader that ended before a large file was read is replaced by one that waits longer.
    stays = chain(_STAY_SECONDS, repeat(_STAY_SECONDS[-1]))

    def new() -> AbstractContextManager[Reader]:
        request = ReaderRequest(directory=parameters["directory"], stay_seconds=next(stays))
        return Reader(connection, cronjob, request, start_limits(parameters))

    with ReplaceableReader(lambda: connection.core, new, silence) as reader:
        catalog = parse_listing(reader.current().listing())
        backup, warning = choose(catalog, wanted.name, allow_incomplete=parameters["allow_incomplete"])
        if warning:
            module.warn(warning)
        source = VolumeFile(reader, backup.name)
        if parameters["verify"]:
            require_identity(backup, source.manifest, identities, public_keys)
        destination = resolve(parameters["dest"], backup.name) if parameters["dest"] is not None else None
        if parameters["keep_local"] is not None and destination is not None and not destination.in_directory:
            raise ExpectationError(f"keep_local: expected dest to be a directory, found {parameters['dest']}")
        try:
            with naming_recipients(source.manifest, backup.name):
                if destination is None:
                    result = read(source, backup, retry_policy, connection.reporter, identities)
                else:
                    how = {"mode": mode, "retry_policy": retry_policy, "reporter": connection.reporter}
                    result = ensure_local_copy(module, source, backup, destination, identities=identities, **how)
                return {**result, "changed": result["changed"] or wanted.changed}
        except DamagedError as error:
            return {
                "failed": True,
                "msg": str(error),
                "backup": backup.name,
                "path": destination.path if destination is not None else None,
                "contents": error.partial.contents,
                "failures": [failure.to_dict() for failure in error.partial.failures],
            }


def main() -> None:
    run_module(ARGUMENTS, fetch)


if __name__ == "__main__":
    main()
