# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter unwanted_monitoring, a face of module_utils/_role/monitoring.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: unwanted_monitoring
short_description: Objects for monitoring that are not wanted any more
version_added: 1.1.0
description:
  - Names the PrometheusRule and the ConfigMap of the dashboard that an earlier run may have applied, and that the
    variables of the role P(homelab.postgres_backup.postgres_backup#role) do not ask for.
positional: _input
options:
  _input:
    description: The values of all variables of the role, by their full names. They must be valid.
    type: dict
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show the objects
  ansible.builtin.debug:
    msg: "{{ __postgres_backup_variables | homelab.postgres_backup.unwanted_monitoring }}"
"""

RETURN = r"""
_value:
  description: The objects, as definitions with C(apiVersion), C(kind), C(metadata.namespace) and C(metadata.name).
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.monitoring import unwanted_monitoring


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"unwanted_monitoring": unwanted_monitoring}
