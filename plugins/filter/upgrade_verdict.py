# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter upgrade_verdict, a face of module_utils/_jobs/upgrade_verdict.py for the playbook upgrade_rehearsal."""

from __future__ import annotations

DOCUMENTATION = r"""
name: upgrade_verdict
short_description: Whether a server is ready for an upgrade by dump and restore
version_added: 1.1.0
description:
  - Turns the result of a restore drill with another image (O(homelab.postgres_backup.restore_drill#module:image)) into
    a list of what prevents the upgrade to the version of that image, and of what to know before it.
positional: _input
options:
  _input:
    description: The result of M(homelab.postgres_backup.restore_drill), also one that failed.
    type: dict
    required: true
seealso:
  - module: homelab.postgres_backup.restore_drill
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Restore the newest backup into PostgreSQL 19
  homelab.postgres_backup.restore_drill:
    image: postgres:19
  register: drill
  failed_when: false

- name: Fail if something prevents the upgrade
  ansible.builtin.assert:
    that: (drill | homelab.postgres_backup.upgrade_verdict).ready
"""

RETURN = r"""
_value:
  description:
    - C(ready) is whether no item blocks. Each of the C(items), those that block first, has a C(kind), whether it
      C(blocks), the C(database) and C(object), a C(message) and a C(remedy), the C(sqlstate) of an error, and in
      C(follow_ups) how many other errors are its consequences.
    - The C(kind) is V(extension) (missing in the image, or too old), V(error) (PostgreSQL rejected a statement),
      V(drill) (any other failure), V(role) (a reserved name), V(setting) or V(library) (in the configuration of the
      live server, and not in the image), V(function) (its body calls a function that was removed), V(collation),
      V(permission), V(search_path) (see C(needs) of the module) or V(not_tested).
    - C(outage_seconds) is how long the C(dump) took when the backup was made, how long the C(restore) took in the
      drill, and their C(total). Unknown values are null. C(from_version) and C(to_version) are the versions.
    - C(lines) has all of it in plain text.
  type: dict
  sample:
    ready: false
    from_version: "15.14"
    to_version: "19.0"
    items:
      - kind: error
        blocks: true
        database: shop
        object: view public.wal
        sqlstate: "42883"
        message: function pg_is_in_backup() does not exist
        remedy: "PostgreSQL 15 removed exclusive backups and pg_is_in_backup(): drop what uses it."
        follow_ups: 1
    outage_seconds: {dump: 12.5, restore: 30.0, total: 42.5}
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.upgrade_verdict import upgrade_verdict


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"upgrade_verdict": upgrade_verdict}
