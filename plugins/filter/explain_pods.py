# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter explain_pods, a face of module_utils/_role/pod_rejections.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: explain_pods
short_description: Explain what a dry run shows of the pods of the postgres_backup role
version_added: 1.1.0
description:
  - Finds the variables of the role that a quota, a limit range or an admission policy refuses.
positional: _input, results
options:
  _input:
    description: The objects of the role.
    type: list
    elements: dict
    required: true
  results:
    description:
      - The result of M(kubernetes.core.k8s) for each object, in the same order, and after them for each pod that
        P(homelab.postgres_backup.dry_run_pods#filter) makes of them.
    type: list
    elements: dict
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Refuse what a policy would refuse
  ansible.builtin.assert:
    that: (objects | homelab.postgres_backup.explain_pods(dry_run.result.results)).refused | length == 0
"""

RETURN = r"""
_value:
  description: What the dry run shows.
  type: dict
  contains:
    refused:
      description: A message for each reason why the pods would not be created; an empty list when there is none.
      type: list
      elements: str
    notes:
      description: What could not be checked, or may resolve itself.
      type: list
      elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.pod_rejections import explain_pods


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"explain_pods": explain_pods}
