# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter refused_variables, a face of module_utils/_role/variables.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: refused_variables
short_description: Check the variables of the postgres_backup role
version_added: 1.1.0
description:
  - Checks what the argument specification of the role P(homelab.postgres_backup.postgres_backup#role) cannot express,
    such as patterns, ranges, and variables that depend on each other.
  - The role applies it before it does anything else.
positional: _input
options:
  _input:
    description: The values of all variables of the role, by their full names.
    type: dict
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Refuse variables that cannot work
  ansible.builtin.assert:
    that: __postgres_backup_variables | homelab.postgres_backup.refused_variables | length == 0
"""

RETURN = r"""
_value:
  description: A message for each invalid value; an empty list when there is none.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.variables import refused_variables


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"refused_variables": refused_variables}
