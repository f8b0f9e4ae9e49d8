# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter option_variables, a face of module_utils/_role/option_variables.py for the playbooks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: option_variables
short_description: Find the variables of a playbook for the options in a message
version_added: 1.1.0
description:
  - The message of a module names the options of the module. Users of a playbook set variables instead.
positional: _input
options:
  _input:
    description: The registered results as for P(homelab.postgres_backup.play_stats#filter).
    type: dict
    required: true
  playbook:
    description: The name of the playbook.
    type: str
    required: true
seealso:
  - plugin: homelab.postgres_backup.play_stats
    plugin_type: filter
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show the variables of the options in the message
  ansible.builtin.debug:
    msg: "{{ {'result': result} | homelab.postgres_backup.option_variables(playbook='restore') }}"
"""

RETURN = r"""
_value:
  description:
    - The options that the message of the failed module names, each as C(option) with its C(variable). Options for which
      the playbook has no variable, and whose variable is in the message, too, are left out.
  type: list
  elements: dict
  sample:
    - option: create_roles
      variable: postgres_backup_restore_create_roles
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.option_variables import option_variables


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"option_variables": option_variables}
