# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter dry_run_pods, a face of module_utils/_role/pod_rejections.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: dry_run_pods
short_description: Make the pods of the postgres_backup role's CronJobs for a dry run
version_added: 1.1.0
description:
  - Makes a pod of the template of each CronJob, as its Jobs would.
positional: _input, service_account
options:
  _input:
    description: The objects of the role.
    type: list
    elements: dict
    required: true
  service_account:
    description: The name of a ServiceAccount that exists.
    type: str
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Check the pods
  kubernetes.core.k8s:
    resource_definition: "{{ objects | homelab.postgres_backup.dry_run_pods('default') }}"
  check_mode: true
"""

RETURN = r"""
_value:
  description: A pod for each CronJob, in their order.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.pod_rejections import dry_run_pods


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dry_run_pods": dry_run_pods}
