#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_verify; all that it does is in module_utils/_verify/verification.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_verify
short_description: Read a local PostgreSQL backup without restoring it
version_added: 1.0.0
description:
  - Reads a gzip-compressed plain dump of C(pg_dumpall) or C(pg_dump) once, to its last byte, and tells whether it is
    whole and what is in it - roles, databases, and the rows of every table.
  - Reads the text as C(psql) does, so that no row, name or function body can pass for something else.
  - Runs on any host with Python 3.9, such as a NAS, without a database.
requirements:
  - isal (optional; reads about three times as fast)
options:
  path:
    description:
      - The backup, a file on the host where the module runs.
    type: path
    required: true
  sha256:
    description:
      - The sha256 that the file must have. The sidecar is not looked at then.
    type: str
  sidecar:
    description:
      - Whether the file's sidecar, RV(path) with C(.sha256) added, is compared.
    type: str
    choices:
      auto: When there is one.
      required: It must be there.
      ignore: It is not looked at.
    default: auto
  kind:
    description:
      - What the file must be a dump of.
    type: str
    choices:
      cluster: All databases of a server (C(pg_dumpall)).
      database: One database (C(pg_dump)).
      globals: Roles and tablespaces alone (C(pg_dumpall --globals-only)).
      any: Any of these.
    default: cluster
  min_size_bytes:
    description:
      - The least size of the compressed file.
    type: int
  max_age:
    description:
      - The greatest age of the backup, such as V(26h) or V(7d) - one whole number with one of the units V(s), V(m),
        V(h), V(d), V(w).
      - The time is that in the backup's header, else that in its name.
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
        description: The database that the table is in.
        type: str
        required: true
      schema:
        description: The schema that the table is in.
        type: str
        default: public
      name:
        description: The table's name.
        type: str
        required: true
      rows:
        description: How many rows it must have.
        type: int
      min_rows:
        description: How many rows it must have at least.
        type: int
  compare_to:
    description:
      - An older RV(contents). It is a failure when databases, tables or roles of it are gone, or when a table lost more
        rows than O(max_row_loss_percent) allows.
    type: dict
  max_row_loss_percent:
    description:
      - The greatest share of its rows that a table may have lost since O(compare_to).
    type: float
    default: 50
  contents_dest:
    description:
      - A file on the same host to write RV(contents) to, as JSON. It is left alone when the verification fails, so that
        it can serve as the next O(compare_to).
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
    description: Verifies a file and prints a table for people.
    link: https://github.com/homelab/postgres_backup
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: The newest backup is whole, from last night, and has what matters
  homelab.postgres_backup.backup_verify:
    path: /srv/backups/postgres-backup-2026-11-22-020000.sql.gz
    max_age: 26h
    databases: [app, grafana]
    tables:
      - database: app
        name: users
        min_rows: 1

- name: Nothing of yesterday's is gone
  homelab.postgres_backup.backup_verify:
    path: /srv/backups/postgres-backup-2026-11-22-020000.sql.gz
    # The first time there is nothing to compare with.
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
  description: Its size.
  type: int
  returned: when the file could be read
sha256:
  description: Its sha256; null when it could not be read to its end.
  type: str
  returned: when the file could be read
sha256_compared_with:
  description: Where the sha256 that it was compared with came from - V(sha256), V(sidecar), or null when there was
    none.
  type: str
  returned: when the file could be read
created:
  description: When the backup was started, in UTC; null when neither its header nor its name say so.
  type: str
  returned: when the file could be read
  sample: "2026-11-22T02:00:00Z"
age_seconds:
  description: How long ago that was.
  type: int
  returned: when the file could be read
duration_seconds:
  description: How long reading took.
  type: float
  returned: when the file could be read
reader:
  description: The library that decompressed, V(isal) or V(zlib).
  type: str
  returned: when the file could be read
failures:
  description: Everything that is not as expected; empty when all is well.
  type: list
  elements: dict
  returned: always
  contains:
    check:
      description: What was checked - V(file), V(gzip), V(dump), V(sha256), V(sidecar), V(size), V(age), V(kind),
        V(databases), V(tables) or V(drift).
      type: str
    message:
      description: What was expected, what was found and what to do.
      type: str
contents:
  description:
    - What the dump holds, as far as it could be read. Offsets are bytes of the uncompressed text; a database's body
      begins after the last C(\connect) of its section and is what a restore under another name needs.
    - C(contents.databases[].properties) are the statements about the database itself - its comment, rights, settings,
      limits - cut in two where its name stands, so that they can be made for another one. Those at or after
      C(body_offset_bytes) are part of the body, and would change the database that has the name now. They are to be
      run in a session on the other database, whose name must be ASCII unless its encoding is UTF8. C(after) is null
      for a statement of more than 1 MiB.
    - C(contents.databases[].roles) are the roles that must be there before a restore - owners and whoever has rights,
      policies or settings - as far as the dump creates them; in the dump of one database, all that it names.
    - C(contents.databases[].settings) are those of the databases, and may be secret where somebody put a secret there;
      so may be C(properties).
  type: dict
  returned: when the file could be read
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
from ansible_collections.homelab.postgres_backup.plugins.module_utils._verify.expectations import (
    Expectations,
    TableExpectation,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._verify.verification import verify
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.backup_names import TIME_FORMAT
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import BackupError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.findings import Failure
from ansible_collections.homelab.postgres_backup.plugins.module_utils.units import parse_duration

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "sha256": {"type": "str"},
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
        # A database's own settings may hold secrets: a new file is as little for everybody to read as a backup is.
        umask = os.umask(0o027)
        try:
            module.atomic_move(temporary, path)
        finally:
            os.umask(umask)
    if module._diff:
        result["diff"] = {"before_header": path, "after_header": path, "before": before, "after": text}
    return result


def run(module: AnsibleModule) -> dict[str, Any]:
    """The module's result; raises BackupError when there is nothing to say about the file."""
    parameters = module.params
    expected = expectations_of(parameters)
    now = datetime.now(timezone.utc)
    began = time.monotonic()
    found = verify(parameters["path"], expected, now, parameters["sha256"], parameters["sidecar"])
    duration = time.monotonic() - began
    result: dict[str, Any] = {
        "changed": False,
        "path": found.path,
        "size_bytes": found.size_bytes,
        "sha256": found.sha256,
        "sha256_compared_with": found.expected_sha256_from,
        "created": found.created.strftime(TIME_FORMAT) if found.created else None,
        "age_seconds": int((now - found.created).total_seconds()) if found.created else None,
        "duration_seconds": round(duration, 3),
        "reader": backends()[0],
        "failures": [failure.to_dict() for failure in found.failures],
        "contents": found.contents.to_dict(),
    }
    if parameters["contents_dest"] and not found.failures:
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
            msg=f"{error.filename or module.params['path']}: {error.strerror}. Look at the path and its permissions",
            path=module.params["path"],
            failures=[],
        )
    if result["failures"]:
        messages = "; ".join(failure["message"] for failure in result["failures"])
        module.fail_json(msg=f"{result['path']} is not the backup that was expected: {messages}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
