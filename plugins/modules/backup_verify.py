#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_verify; all that it does is in module_utils/_verify/verification.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_verify
short_description: Verify a local PostgreSQL backup without restoring it
version_added: 1.0.0
description:
  - Reads a gzip-compressed plain dump of C(pg_dumpall) or C(pg_dump) once, to its last byte. Checks whether it is
    complete, and returns what it contains - roles, databases, and the number of rows in every table.
  - Reads the text as C(psql) does, so that no row, name or function body is mistaken for something else.
  - Runs on any host with Python 3.9, such as a NAS, without a database.
  - An encrypted backup is decrypted while it is read, if an identity is given. Nothing decrypted is written to a disk.
requirements:
  - isal (optional; makes reading about three times as fast)
  - pyrage >= 1.3 (only to decrypt backups)
options:
  path:
    description:
      - Path of the backup on the host where the module runs.
    type: path
    required: true
  sha256:
    description:
      - The sha256 that the file must have. If it is set, the checksum file is ignored.
    type: str
  identity:
    description:
      - The private key of a recipient of an encrypted backup, as C(age-keygen) prints it (C(AGE-SECRET-KEY-1…)), or a
        private key of OpenSSH without a passphrase. Several of age can be given, one a line.
      - Without an identity, only the hash of an encrypted backup is compared, and the module fails.
      - If the manifest next to the file names other recipients, and the header of the file is not for the identity, the
        module fails before it reads the file.
    type: str
    version_added: 1.1.0
  identity_file:
    description:
      - A file with O(identity) on the host where the module runs.
    type: path
    version_added: 1.1.0
  sidecar:
    description:
      - Whether to compare the file with its checksum file, which has the suffix C(.sha256).
    type: str
    choices:
      auto: Compare it if there is one.
      required: Fail if there is none.
      ignore: Do not read it.
    default: auto
  kind:
    description:
      - The kind of dump that the file must be.
    type: str
    choices:
      cluster: All databases of a server (C(pg_dumpall)).
      database: One database (C(pg_dump)).
      globals: Only roles and tablespaces (C(pg_dumpall --globals-only)).
      any: Any of these.
    default: cluster
  min_size_bytes:
    description:
      - Minimum size of the compressed file.
    type: int
  max_age:
    description:
      - Maximum age of the backup, such as V(26h) or V(7d) - an integer with one of the units V(s), V(m), V(h), V(d),
        V(w).
      - The creation time is taken from the header of the backup, or from its name if there is no header.
    type: str
  databases:
    description:
      - Names of databases that must be in the backup.
    type: list
    elements: str
    default: []
  tables:
    description:
      - Tables that must be in the backup.
    type: list
    elements: dict
    default: []
    suboptions:
      database:
        description: The database that contains the table.
        type: str
        required: true
      schema:
        description: The schema that contains the table.
        type: str
        default: public
      name:
        description: The name of the table.
        type: str
        required: true
      rows:
        description: Number of rows that it must have.
        type: int
      min_rows:
        description: Minimum number of rows.
        type: int
  compare_to:
    description:
      - RV(contents) of an older backup. The module fails if databases, tables or roles are missing that the older
        backup contains, or if a table lost more rows than O(max_row_loss_percent) allows.
    type: dict
  max_row_loss_percent:
    description:
      - Maximum percentage of its rows that a table may have lost since O(compare_to).
    type: float
    default: 50
  allow_incomplete:
    description:
      - Whether to accept an incomplete backup. The run that made it could not dump all databases; RV(contents) has
        their names as C(missing).
      - The databases in O(databases) must be in the backup nevertheless.
    type: bool
    default: false
    version_added: 1.1.0
  contents_dest:
    description:
      - A file on the same host to write RV(contents) to, as JSON. It is not changed if the verification fails, so it
        can be used as O(compare_to) of the next backup.
    type: path
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - name: The playbook homelab.postgres_backup.verify
    description: Verifies a file and prints its contents as a table.
    link: https://github.com/homelab/postgres_backup
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Verify that the newest backup is complete and recent, and contains certain data
  homelab.postgres_backup.backup_verify:
    path: /srv/backups/postgres-backup-2026-11-22-020000.sql.gz
    max_age: 26h
    databases: [app, grafana]
    tables:
      - database: app
        name: users
        min_rows: 1

- name: Compare the backup with the one before
  homelab.postgres_backup.backup_verify:
    path: /srv/backups/postgres-backup-2026-11-22-020000.sql.gz
    # On the first run there is nothing to compare with.
    compare_to: "{{ lookup('ansible.builtin.file', contents) | from_json if contents is file else omit }}"
    max_row_loss_percent: 10
    contents_dest: "{{ contents }}"
  vars:
    contents: /srv/backups/contents.json
"""

RETURN = r"""
path:
  description: The file that was read.
  type: str
  returned: always
size_bytes:
  description: The size of the file.
  type: int
  returned: if the file could be read
sha256:
  description: The sha256 of the file; null if it could not be read to its end.
  type: str
  returned: if the file could be read
sha256_compared_with:
  description: The source of the sha256 that the file was compared with - V(sha256), V(sidecar) (the checksum file), or
    null if there was none.
  type: str
  returned: if the file could be read
created:
  description: When the backup was started, in UTC; null if neither its header nor its name contains the time.
  type: str
  returned: if the file could be read
  sample: "2026-11-22T02:00:00Z"
age_seconds:
  description: The age of the backup.
  type: int
  returned: if the file could be read
duration_seconds:
  description: How long it took to read the file.
  type: float
  returned: if the file could be read
reader:
  description: The library that decompressed the file, V(isal) or V(zlib).
  type: str
  returned: if the file could be read
failures:
  description: All failed checks; empty if the verification succeeded.
  type: list
  elements: dict
  returned: always
  contains:
    check:
      description: The subject of the check - V(file), V(gzip), V(dump), V(sha256), V(sidecar), V(size), V(age),
        V(kind), V(databases), V(tables) or V(drift).
      type: str
    message:
      description: The expected and the actual value, and what to do.
      type: str
contents:
  description:
    - What the dump contains, as far as it could be read. Offsets are in bytes of the uncompressed text. The body of a
      database begins after the last C(\connect) of its section, and is the part that a restore under another name
      uses.
    - C(contents.databases[].properties) are the statements about the database itself, such as its comment, privileges,
      settings and limits. Each is split at the name of the database, so that it can be applied to another database.
      Statements at or after C(body_offset_bytes) are part of the body, and would change the database that currently has
      the name. Run them in a session on the other database, whose name must be ASCII unless its encoding is UTF8.
      C(after) is null for a statement of more than 1 MiB.
    - C(contents.databases[].roles) are the roles that must exist before a restore. These are owners and roles with
      privileges, policies or settings, as far as the dump creates them. For a dump of one database, they are all roles
      that it refers to.
    - C(contents.missing) are the databases that the run could not dump, as the text of an incomplete backup names them.
      C(contents.header.databases_excluded) and C(contents.header.left_out) are what was left out on request -
      databases, and what the variables of the role name for tables, rows and arguments.
    - C(contents.databases[].settings) are the settings of the databases. They and C(properties) may contain secrets.
  type: dict
  returned: if the file could be read
  sample:
    complete: true
    kind: cluster
    header: null
    server_version: "18.1"
    pg_dump_version: "18.1"
    roles: [postgres]
    tablespaces: []
    uncompressed_bytes: 10485
    rows: 8
    globals: {offset_bytes: 0, length_bytes: 749}
    databases:
      - name: app
        offset_bytes: 749
        body_offset_bytes: 1804
        length_bytes: 9700
        rows: 8
        owner: postgres
        encoding: UTF8
        locale_provider: libc
        locale: C
        create_options: {template: template0, encoding: UTF8, locale_provider: libc, locale: C}
        settings: {work_mem: "'8MB'"}
        role_settings: []
        properties:
          - {before: "ALTER DATABASE ", after: " OWNER TO postgres;", offset_bytes: 1502, length_bytes: 37}
          - {before: "ALTER DATABASE ", after: " SET work_mem TO '8MB';", offset_bytes: 1740, length_bytes: 41}
        roles: [postgres]
        tables: [{schema: public, name: users, rows: 3}]
    missing: []
"""

import json
import os
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.postgres_backup.plugins.module_utils._dump.gzip_reader import backends
from ansible_collections.homelab.postgres_backup.plugins.module_utils._progress.event_file import reporter_of
from ansible_collections.homelab.postgres_backup.plugins.module_utils._verify.expectations import (
    Expectations,
    TableExpectation,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._verify.identity_file import identity_keys
from ansible_collections.homelab.postgres_backup.plugins.module_utils._verify.verification import (
    read_identities,
    verify,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.backup_names import TIME_FORMAT
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import BackupError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.findings import Failure
from ansible_collections.homelab.postgres_backup.plugins.module_utils.units import parse_duration

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "sha256": {"type": "str"},
    "identity": {"type": "str", "no_log": True},
    "identity_file": {"type": "path"},
    "sidecar": {"type": "str", "choices": ["auto", "required", "ignore"], "default": "auto"},
    "kind": {"type": "str", "choices": ["cluster", "database", "globals", "any"], "default": "cluster"},
    "min_size_bytes": {"type": "int"},
    "max_age": {"type": "str"},
    "databases": {"type": "list", "elements": "str", "default": []},
    "tables": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "database": {"type": "str", "required": True},
            "schema": {"type": "str", "default": "public"},
            "name": {"type": "str", "required": True},
            "rows": {"type": "int"},
            "min_rows": {"type": "int"},
        },
        "mutually_exclusive": [["rows", "min_rows"]],
    },
    "compare_to": {"type": "dict"},
    "max_row_loss_percent": {"type": "float", "default": 50.0},
    "allow_incomplete": {"type": "bool", "default": False},
    "contents_dest": {"type": "path"},
}


def expectations_of(parameters: dict[str, Any]) -> Expectations:
    """What the user expects; raises ExpectationError."""
    return Expectations(
        kind=None if parameters["kind"] == "any" else parameters["kind"],
        min_size_bytes=parameters["min_size_bytes"],
        max_age=parse_duration(parameters["max_age"]) if parameters["max_age"] else None,
        databases=tuple(parameters["databases"]),
        tables=tuple(TableExpectation(**table) for table in parameters["tables"]),
        compare_to=parameters["compare_to"],
        max_row_loss_percent=parameters["max_row_loss_percent"],
        allow_incomplete=parameters["allow_incomplete"],
    )


def write_contents(module: AnsibleModule, path: str, contents: dict[str, Any]) -> dict[str, Any]:
    """Write the file when it differs; returns `changed` and, when asked for, `diff`."""
    text = json.dumps(contents, indent=2, ensure_ascii=False) + "\n"
    try:
        before = Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        before = ""
    result: dict[str, Any] = {"changed": before != text}
    if result["changed"] and not module.check_mode:
        descriptor, temporary = tempfile.mkstemp(dir=module.tmpdir)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        # The settings of a database may contain secrets: like a backup, a new file is not readable by all users.
        umask = os.umask(0o027)
        try:
            module.atomic_move(temporary, path)
        finally:
            os.umask(umask)
    if module._diff:
        result["diff"] = {"before_header": path, "after_header": path, "before": before, "after": text}
    return result


def run(module: AnsibleModule) -> dict[str, Any]:
    """The module's result; raises BackupError when the file cannot be checked."""
    parameters = module.params
    expected = expectations_of(parameters)
    identity = (parameters["identity"], parameters["identity_file"])
    now = datetime.now(timezone.utc)
    began = time.monotonic()
    verification = verify(
        parameters["path"],
        expected,
        now,
        parameters["sha256"],
        parameters["sidecar"],
        identities=read_identities(*identity),
        public_keys=identity_keys(*identity),
        reporter=reporter_of(os.environ),
    )
    duration = time.monotonic() - began
    created = verification.created
    result: dict[str, Any] = {
        "changed": False,
        "path": verification.path,
        "size_bytes": verification.size_bytes,
        "sha256": verification.sha256,
        "sha256_compared_with": verification.expected_sha256_from,
        "created": created.strftime(TIME_FORMAT) if created else None,
        "age_seconds": int((now - created).total_seconds()) if created else None,
        "duration_seconds": round(duration, 3),
        "reader": backends()[0],
        "failures": [failure.to_dict() for failure in verification.failures],
        "contents": verification.contents.to_dict(),
    }
    if parameters["contents_dest"] and not verification.failures:
        result.update(write_contents(module, parameters["contents_dest"], result["contents"]))
    return result


def main() -> NoReturn:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module)
    except BackupError as error:
        failure = Failure(error.check, str(error))
        module.fail_json(msg=failure.message, path=module.params["path"], failures=[failure.to_dict()])
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or module.params['path']}: {error.strerror}. Check the path and its permissions",
            path=module.params["path"],
            failures=[],
        )
    if result["failures"]:
        messages = "; ".join(failure["message"] for failure in result["failures"])
        module.fail_json(msg=f"{result['path']} is not the backup that was expected: {messages}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
