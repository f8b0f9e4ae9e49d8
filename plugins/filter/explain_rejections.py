# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter explain_rejections, a face of module_utils/_role/rejections.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: explain_rejections
short_description: Explain what the API server refuses of the objects of the postgres_backup role
version_added: 1.1.0
description:
  - Finds the variables of the role that the rejected fields come from.
positional: _input, results
options:
  _input:
    description: The objects of the role.
    type: list
    elements: dict
    required: true
  results:
    description: The result of M(kubernetes.core.k8s) for each object, in the same order.
    type: list
    elements: dict
    required: true
  live_claim:
    description: The volume claim as it is in the cluster.
    type: dict
  replacement:
    description: The result of M(kubernetes.core.k8s) with O(kubernetes.core.k8s#module:force=true) for the CronJob.
    type: dict
  storage_classes:
    description: The storage classes of the cluster; leave it out if they were not read.
    type: list
    elements: dict
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Refuse what the API server would refuse
  ansible.builtin.assert:
    that: objects | homelab.postgres_backup.explain_rejections(dry_run.result.results) | length == 0
"""

RETURN = r"""
_value:
  description: A message for each problem; an empty list when there is none.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.rejections import explain_rejections


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"explain_rejections": explain_rejections}
