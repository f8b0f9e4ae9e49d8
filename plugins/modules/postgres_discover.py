#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module postgres_discover."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_discover
short_description: Find the PostgreSQL servers of a cluster, and those without a recent backup
version_added: 1.1.0
description:
  - Lists the PostgreSQL servers in some namespaces or in all, with their kind and version, and the newest successful
    run of the CronJob that backs up each of them.
  - A server is found by the same rules as with C(postgres_backup_server=auto) of the role
    P(homelab.postgres_backup.postgres_backup#role). CronJobs of other programs are not considered.
  - A run is successful if its backup is complete and was read back. The module reads this from the CronJobs and their
    Jobs, and not from the volumes; M(homelab.postgres_backup.backup_info) reads a volume. If the newest Job of a
    CronJob was not a run, and was deleted, the module takes it for one, because the CronJob's status does not
    distinguish them.
  - What the user may not list is reported in RV(unreadable), and is not a failure.
options:
  namespaces:
    description:
      - The namespaces. Without any, all namespaces are read, which needs a ClusterRole.
    type: list
    elements: str
    default: []
  max_age:
    description:
      - Maximum age of the newest backup of a protected server, such as V(26h) or V(7d).
    type: str
    default: 26h
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 31
  - kubernetes.core >= 6.2
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module does not change anything.
  idempotent:
    support: full
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Find the servers of all namespaces
  homelab.postgres_backup.postgres_discover:
  register: discovered

- name: Fail if a server has no backup of the last day
  ansible.builtin.assert:
    that: discovered.servers | rejectattr('protected') | length == 0
    fail_msg: "{{ discovered.summary }}"
"""

RETURN = r"""
servers:
  description:
    - The servers, sorted by namespace and name.
    - The last ones are hosts that CronJobs back up and that are not among the servers that were found, such as servers
      outside the cluster. Their C(kind), C(name), C(namespace) and C(version) are null.
  type: list
  elements: dict
  returned: always
  contains:
    kind:
      description: The operator, chart or image that the server belongs to.
      type: str
    name:
      description: The name that the operator, chart or service gives it.
      type: str
    namespace:
      description: The namespace.
      type: str
    version:
      description: The major version, null if the image's name does not contain it.
      type: int
    host:
      description: The host name of the service that leads to the server, or the host that the CronJob has.
      type: str
    installation:
      description: Namespace and name of the CronJob that backs it up; of several, the one with the newest backup.
      type: str
    newest_backup:
      description: When the newest successful run ended (UTC).
      type: str
    age_seconds:
      description: How long ago that was.
      type: int
    protected:
      description: Whether the newest backup is not older than O(max_age).
      type: bool
    reason:
      description: Why the server is not protected; empty if it is.
      type: str
  sample:
    - kind: Bitnami
      name: postgres
      namespace: data
      version: 18
      host: postgres-postgresql.data.svc.cluster.local
      installation: data/postgres-backup
      newest_backup: "2026-11-28T02:00:11Z"
      age_seconds: 36000
      protected: true
      reason: ""
summary:
  description: The number of servers, of protected ones, and the names of the others.
  type: str
  returned: always
  sample: "12 servers, 11 with a backup younger than 26h, without: shop/orders"
unreadable:
  description: The API server's errors for what the user may not list. The servers there are not in the result.
  type: list
  elements: str
  returned: always
"""

from datetime import datetime, timezone
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.discovery import discover
from ansible_collections.homelab.postgres_backup.plugins.module_utils._servers.find import find_servers
from ansible_collections.homelab.postgres_backup.plugins.module_utils._servers.protection import (
    backup_cronjobs,
    protections,
    sentence,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_runner import run_module
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import duration

ARGUMENTS = {
    "namespaces": {"type": "list", "elements": "str", "default": []},
    "max_age": {"type": "str", "default": "26h"},
}


def discovered(module: Any, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    max_age = duration(module.params, "max_age")
    read = discover(connection, module.params["namespaces"])
    now = datetime.now(timezone.utc)
    found = protections(
        find_servers(read.objects),
        backup_cronjobs(read.cronjobs, read.jobs),
        read.addresses,
        now,
        max_age,
        sees_every_cronjob=read.sees_every_cronjob,
    )
    return {
        "changed": False,
        "servers": [each.to_dict() for each in found],
        "summary": sentence(found, module.params["max_age"]),
        "unreadable": read.unreadable,
    }


def main() -> None:
    run_module(ARGUMENTS, discovered, common=False)


if __name__ == "__main__":
    main()
