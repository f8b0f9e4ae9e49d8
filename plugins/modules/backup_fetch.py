#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_fetch; what it does is in module_utils/_fetch/ and module_utils/_cluster/volume_file.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_fetch
short_description: Bring a PostgreSQL backup from its volume in Kubernetes to a local file
version_added: 1.0.0
description:
  - Copies one backup, with its sidecar, from the volume of a backup CronJob to the host where the module runs. The file
    has its name only once it is all there, is on the disk, and has the sha256 that the sidecar on the volume says.
  - Takes up again what broke off, also what an earlier run left, after comparing it with the volume.
  - The CronJob may be of any make. A backup without sidecar is compared with what C(sha256sum) says on the volume.
  - Reads the volume from a pod of its own, with the CronJob's image, that disappears afterwards.
requirements:
  - isal (optional; O(verify=true) reads about three times as fast)
options:
  backup:
    description:
      - The name of the backup.
      - By default the newest complete one; when there is none, the newest unchecked one, with a warning.
    type: str
  dest:
    description:
      - A directory, where the file keeps its name, or the path of the file.
      - May be left out with O(verify=true). Then the backup is read to its end, and nothing of it is kept. While it is
        read, it takes up its size in the temporary folder (E(TMPDIR)), as a file without a name, so that nothing is
        left there even if the module is killed.
    type: path
  mode:
    description:
      - The permissions of the file and its sidecar, as an octal number in quotes.
      - While it grows, nobody but its owner can read the file.
    type: str
    default: "0640"
  verify:
    description:
      - Whether to read the dump to its end while it comes. RV(contents) says what is in it; the module fails, and
        leaves no file, when it is damaged or not one whole dump.
    type: bool
    default: false
  keep_local:
    description:
      - How many fetched backups of this CronJob stay in the directory O(dest), this one included. The oldest ones go,
        each with its sidecar. Files without a sidecar that names them stay.
      - Parts of fetches that ended more than a day ago go too.
    type: int
  retries:
    description:
      - How often to try again when the connection or the pod was lost, in a row without a new byte. The pauses grow
        from 1 to 30 seconds.
    type: int
    default: 6
  timeout:
    description:
      - How long all of it may take, such as V(90m) or V(6h). What has come to O(dest) by then stays for the next run.
    type: str
    default: 6h
  silence_timeout:
    description:
      - After how long without a byte the connection counts as lost.
    type: str
    default: 60s
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
    details: The volume is read, as without it; nothing is written. Without O(dest) the module never changes anything.
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
- name: The newest backup is here, and read to its end; three of them stay
  homelab.postgres_backup.backup_fetch:
    namespace: data
    name: postgres-backup
    dest: /srv/backups/
    verify: true
    keep_local: 3

- name: A certain one
  homelab.postgres_backup.backup_fetch:
    backup: postgres-backup-2026-11-22-020000.sql.gz
    dest: /tmp/before-the-migration.sql.gz

- name: The newest backup is read to its end, and not kept
  homelab.postgres_backup.backup_fetch:
    verify: true
  register: fetched # fetched.contents is for restore_drill and restore_database
"""

RETURN = r"""
path:
  description: The local file; null without O(dest).
  type: str
  returned: success
backup:
  description: The backup's name on the volume.
  type: str
  returned: success
backup_state:
  description: What the volume says of it - V(complete), V(unchecked) or V(damaged).
  type: str
  returned: success
size_bytes:
  description: Its size.
  type: int
  returned: success
sha256:
  description: Its sha256; null in check mode when only fetching it would tell.
  type: str
  returned: success
duration_seconds:
  description: From the first byte received to the final name; null when nothing had to be fetched.
  type: float
  returned: success
resumed_bytes:
  description: How many bytes an earlier run had left here already.
  type: int
  returned: success
interruptions:
  description: How often the connection or the pod was lost on the way.
  type: int
  returned: success
contents:
  description:
    - What the dump holds, as M(homelab.postgres_backup.backup_verify) returns it. If the dump is damaged, the tables of
      its databases are left out.
  type: dict
  returned: with O(verify=true), except in check mode when the file is not at O(dest) yet
removed:
  description: The files that had to go for O(keep_local).
  type: list
  elements: str
  returned: success
failures:
  description: What is wrong with the backup, as M(homelab.postgres_backup.backup_verify) returns it.
  type: list
  elements: dict
  returned: with O(verify=true), when it is damaged
"""

import os
import time
from contextlib import AbstractContextManager
from itertools import chain, repeat
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.reader import Reader
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.volume_file import Readers, VolumeFile
from ansible_collections.homelab.postgres_backup.plugins.module_utils._fetch.destination import (
    Destination,
    remove,
    resolve,
    surplus,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._fetch.transfer import (
    Patience,
    Source,
    Wanted,
    mend,
    read_contents,
    read_through,
    transfer,
    what_is_here,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.volume_jobs import ReaderRequest
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.catalog import (
    COMPLETE,
    UNCHECKED,
    Backup,
    Catalog,
    parse_listing,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import (
    DamagedError,
    ExpectationError,
    FetchError,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import (
    reader_settings,
    run_module,
    seconds,
)

_SHOWN = 10
# A reader that nobody deletes ends by itself after this time; a fetch that takes longer goes on with another one.
_STAY_SECONDS = (300, 900, 3600, 14400)

ARGUMENTS: dict[str, Any] = {
    "backup": {"type": "str"},
    "dest": {"type": "path"},
    "mode": {"type": "str", "default": "0640"},
    "verify": {"type": "bool", "default": False},
    "keep_local": {"type": "int"},
    "retries": {"type": "int", "default": 6},
    "timeout": {"type": "str", "default": "6h"},
    "silence_timeout": {"type": "str", "default": "60s"},
}


def mode_of(text: str) -> int:
    """The permissions; raises ExpectationError."""
    # YAML reads 0640 without quotes as 416: only the leading zero tells what was meant.
    if len(text) != 4 or text[0] != "0" or not set(text) <= set("01234567"):
        raise ExpectationError(f"mode: expected an octal number in quotes such as '0640', found '{text}'")
    return int(text, 8)


def choose(catalog: Catalog, name: str | None) -> tuple[Backup, str | None]:
    """The backup to fetch, and what to warn of; raises FetchError."""
    if name is not None:
        named = catalog.named(name)
        if named is None:
            there = ", ".join(backup.name for backup in catalog.backups[:_SHOWN]) or "none"
            more = f" and {len(catalog.backups) - _SHOWN} older ones" if len(catalog.backups) > _SHOWN else ""
            raise FetchError(f"the backup {name} is not on the volume: expected one of {there}{more}")
        return named, None if named.state == COMPLETE else f"{name} is {named.state}: {', '.join(named.reasons)}"
    newest = catalog.newest(COMPLETE)
    if newest is not None:
        return newest, None
    newest = catalog.newest(UNCHECKED)
    if newest is None:
        raise FetchError(
            f"no backup can be fetched: expected a complete one on the volume, found {len(catalog.backups)} others. "
            "Run the CronJob (homelab.postgres_backup.backup_job), or name one as backup"
        )
    return newest, f"no backup on the volume is complete: {newest.name}, the newest unchecked one, is fetched"


def described(destination: Destination) -> str:
    try:
        size = os.stat(destination.path).st_size
    except OSError:
        return ""
    return f"{destination.path}: {size} bytes\n"


def read(source: Source, backup: Backup, patience: Patience) -> dict[str, Any]:
    """Read the backup and keep nothing of it; the module's result."""
    done = read_through(source, Wanted(backup.name, backup.size_bytes, backup.sha256), patience)
    return {
        "changed": False,
        "path": None,
        "backup": backup.name,
        "backup_state": backup.state,
        "size_bytes": backup.size_bytes,
        "sha256": done.sha256,
        "duration_seconds": round(done.duration_seconds, 3),
        "resumed_bytes": 0,
        "interruptions": done.interruptions,
        "contents": done.contents,
        "removed": [],
    }


def bring(
    module: Any, source: Source, backup: Backup, destination: Destination, *, mode: int, patience: Patience
) -> dict[str, Any]:
    """Have the backup here; the module's result."""
    parameters = module.params
    wanted = Wanted(backup.name, backup.size_bytes, backup.sha256)
    before = described(destination)
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
    here = what_is_here(source, wanted, destination, patience)
    todo: tuple[str, ...] = ("file", "sidecar")
    if here is not None:
        result["sha256"] = here
        if parameters["verify"]:
            result["contents"] = read_contents(destination.path, here)
        todo = mend(destination, here, mode, module.check_mode)
    elif not module.check_mode:
        done = transfer(source, wanted, destination, mode, patience, reads_contents=parameters["verify"])
        result |= {
            "sha256": done.sha256,
            "duration_seconds": round(done.duration_seconds, 3),
            "resumed_bytes": done.resumed_bytes,
            "interruptions": done.interruptions,
        }
        if done.contents is not None:
            result["contents"] = done.contents
    removed: tuple[str, ...] = ()
    if parameters["keep_local"] is not None:
        removed = surplus(destination, parameters["keep_local"], backup.name)
        if not module.check_mode:
            remove(removed)
    result |= {"removed": list(removed), "changed": bool(todo or removed)}
    if module._diff:
        gone = "".join(f"{path}\n" for path in removed)
        after = f"{destination.path}: {backup.size_bytes} bytes\n"
        after += "".join(f"{destination.path}: {what} is put right\n" for what in todo if here is not None)
        result["diff"] = {"before": gone + before, "after": after}
    return result


def fetch(module: Any, connection: Connection) -> dict[str, Any]:
    """The module's result; with `failed` for a backup that is no whole one."""
    parameters = module.params
    mode = mode_of(parameters["mode"])
    for name, least in (("keep_local", 1), ("retries", 0)):
        if parameters[name] is not None and parameters[name] < least:
            raise ExpectationError(f"{name}: expected at least {least}, found {parameters[name]}")
    if parameters["dest"] is None and not parameters["verify"]:
        raise ExpectationError(
            "dest: expected a directory or the path of a file, found nothing. Only with verify=true it may be left "
            "out: the backup is read then, and not kept"
        )
    if parameters["dest"] is None and parameters["keep_local"] is not None:
        raise ExpectationError("keep_local: expected dest to be a directory, found nothing")
    patience = Patience(parameters["retries"], deadline=time.monotonic() + seconds(parameters, "timeout"))
    silence = seconds(parameters, "silence_timeout")
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    # A reader that was too short for a large file is followed by one that stays longer.
    stays = chain(_STAY_SECONDS, repeat(_STAY_SECONDS[-1]))

    def new() -> AbstractContextManager[Reader]:
        request = ReaderRequest(directory=parameters["directory"], stay_seconds=next(stays))
        return Reader(connection, cronjob, request, reader_settings(parameters))

    with Readers(lambda: connection.core, new, silence) as readers:
        backup, warning = choose(parse_listing(readers.current().listing()), parameters["backup"])
        if warning:
            module.warn(warning)
        source = VolumeFile(readers, backup.name)
        destination = resolve(parameters["dest"], backup.name) if parameters["dest"] is not None else None
        if parameters["keep_local"] is not None and destination is not None and not destination.in_directory:
            raise ExpectationError(f"keep_local: expected dest to be a directory, found {parameters['dest']}")
        try:
            if destination is None:
                return read(source, backup, patience)
            return bring(module, source, backup, destination, mode=mode, patience=patience)
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
