# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter metrics_environment, a face of module_utils/_role/metrics.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: metrics_environment
short_description: Environment of a run for the metrics of an installation
version_added: 1.1.0
description:
  - Makes the environment variables with which C(backup.sh run), and the container that records a scheduled restore
    drill, write the metrics, from the variables of the role P(homelab.postgres_backup.postgres_backup#role).
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
- name: Show the environment of the metrics
  ansible.builtin.debug:
    msg: "{{ __postgres_backup_variables | homelab.postgres_backup.metrics_environment }}"
"""

RETURN = r"""
_value:
  description: The values of the environment variables by their names; none if metrics are not enabled.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.metrics import metrics_environment


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"metrics_environment": metrics_environment}
