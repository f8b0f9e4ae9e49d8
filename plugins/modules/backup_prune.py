#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module backup_prune."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_prune
short_description: Apply retention to PostgreSQL backups
version_added: 1.0.0
description:
  - Deletes the backups that the policy of the CronJob no longer keeps, as its next successful run would.
  - Retention that would delete unusually many backups at once deletes none, and the module fails (RV(held_back)).
  - In check mode nothing is deleted, and the volume is mounted read-only.
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show which backups retention would delete
  homelab.postgres_backup.backup_prune:
  check_mode: true
  diff: true

- name: Apply retention
  homelab.postgres_backup.backup_prune:
"""

RETURN = r"""
deleted:
  description: Names of the deleted backups, oldest first; in check mode, of those that would be deleted.
  type: list
  elements: str
  returned: always
freed_bytes:
  description: Total size of the deleted backups.
  type: int
  returned: always
held_back:
  description:
    - Number of backups that were not deleted because retention may not delete so many at once
      (C(postgres_backup_max_deletions)). Then none is deleted, and the module fails; in check mode, it warns. The
      backups have the verdict V(delete).
    - To allow it, set C(postgres_backup_allow_deletions) to the date of the day (UTC) on which they may be deleted.
  type: int
  returned: always
  version_added: 1.1.0
backups:
  description: All backups that were on the volume, newest first, with their verdicts and the reasons, as returned by
    M(homelab.postgres_backup.backup_info).
  type: list
  elements: dict
  returned: always
"""

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.reader import Reader
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.volume_jobs import ReaderRequest
from ansible_collections.homelab.postgres_backup.plugins.module_utils._volume.catalog import Plan, parse_plan
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import ListingError
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import run_module, start_limits

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def prune(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters = module.params
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    words = ("prune", "--dry-run") if module.check_mode else ("prune",)
    request = ReaderRequest(words, directory=parameters["directory"], writes=not module.check_mode)
    failure: dict[str, Any] = {}
    with Reader(connection, cronjob, request, start_limits(parameters)) as reader:
        try:
            plan = parse_plan(reader.listing())
        except ListingError as error:
            if not isinstance(error.partial, Plan):
                raise
            plan, failure = error.partial, {"failed": True, "msg": str(error)}
    if plan.held_back and not failure:
        module.warn(f"retention would delete nothing: {plan.held_back} backups at once are more than it may delete")
    now = datetime.now(timezone.utc)
    result: dict[str, Any] = {
        **failure,
        "changed": bool(plan.deleted),
        "deleted": list(plan.deleted),
        "freed_bytes": plan.freed_bytes,
        "held_back": plan.held_back,
        "backups": [backup.to_dict(now) for backup in plan.backups],
    }
    if module._diff:
        deleted = set(plan.deleted)
        before = [f"{backup.name}  {', '.join(backup.reasons)}\n" for backup in plan.backups]
        after = [line for line, backup in zip(before, plan.backups) if backup.name not in deleted]
        header = f"backups of {parameters['namespace']}/{parameters['name']}"
        result["diff"] = {
            "before_header": header,
            "after_header": header,
            "before": "".join(before),
            "after": "".join(after),
        }
    return result


def main() -> None:
    run_module({}, prune)


if __name__ == "__main__":
    main()
