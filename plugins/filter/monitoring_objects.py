# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter monitoring_objects, a face of module_utils/_role/monitoring.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: monitoring_objects
short_description: Objects for the monitoring of an installation
version_added: 1.1.0
description:
  - Makes a PrometheusRule with the alerts, and a ConfigMap with the dashboard for Grafana, from the variables of the
    role P(homelab.postgres_backup.postgres_backup#role), as far as they are wanted.
positional: _input
options:
  _input:
    description: The values of all variables of the role, by their full names. They must be valid.
    type: dict
    required: true
  labels:
    description: The labels of the objects of the installation.
    type: dict
    required: true
  annotations:
    description: The annotations of the objects.
    type: dict
    required: true
  has_rules:
    description: Whether the cluster has objects of the kind PrometheusRule.
    type: bool
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show the objects
  ansible.builtin.debug:
    msg: >-
      {{ __postgres_backup_variables
         | homelab.postgres_backup.monitoring_objects(labels={}, annotations={}, has_rules=true) }}
"""

RETURN = r"""
_value:
  description: The definitions of the objects.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.monitoring import monitoring_objects


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"monitoring_objects": monitoring_objects}
