#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module report_upload: puts a report next to the backups."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report_upload
short_description: Put a report next to the backups
version_added: 1.1.0
description:
  - Writes a page to the backup volume of a CronJob, as C(<name>.report.html), where C(<name>) begins the names of the
    backups. It replaces an earlier report, and no other file.
  - The file is replaced atomically, and has the mode of the backups.
options:
  content:
    description:
      - The text of the page. The playbook C(homelab.postgres_backup.report) makes it.
    type: str
    required: true
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - homelab.postgres_backup.cluster
  - kubernetes.core.k8s_auth_options
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It would be the entire page.
  idempotent:
    support: full
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Put a page next to the backups
  homelab.postgres_backup.report_upload:
    content: "{{ lookup('ansible.builtin.file', 'postgres-backup-report.html') }}"
"""

RETURN = r"""
file:
  description: Name of the file on the volume.
  type: str
  returned: success
  sample: postgres-backup.report.html
size_bytes:
  description: Its size.
  type: int
  returned: success
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.volume_upload import (
    ensure_file,
    installation_name,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_support import run_module, start_limits

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

ARGUMENTS = {"content": {"type": "str", "required": True}}


def put(module: AnsibleModule, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters = module.params
    content = parameters["content"].encode()
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    name = f"{installation_name(cronjob, parameters['directory'])}.report.html"
    changed = ensure_file(
        connection,
        cronjob,
        name,
        content,
        directory=parameters["directory"],
        check=module.check_mode,
        limits=start_limits(parameters),
    )
    return {"changed": changed, "file": name, "size_bytes": len(content)}


def main() -> None:
    run_module(ARGUMENTS, put)


if __name__ == "__main__":
    main()
