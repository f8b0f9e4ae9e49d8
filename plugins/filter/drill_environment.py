# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter drill_environment, a face of module_utils/_role/drill_options.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: drill_environment
short_description: Environment of a drill's container for single databases
version_added: 1.1.0
description:
  - Makes the environment variables of C(backup.sh drill) from those variables of the role
    P(homelab.postgres_backup.postgres_backup#role) that determine how a scheduled restore drill restores single
    databases, and with which image.
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
- name: Show the environment of a scheduled drill
  ansible.builtin.debug:
    msg: "{{ __postgres_backup_variables | homelab.postgres_backup.drill_environment }}"
"""

RETURN = r"""
_value:
  description: The values of the environment variables by their names; none for variables that are not set.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.drill_options import drill_environment


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"drill_environment": drill_environment}
