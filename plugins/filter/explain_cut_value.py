# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter explain_cut_value, a face of module_utils/_role/command_line.py for the role and the playbooks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: explain_cut_value
short_description: Explain a value that Ansible cut at a space
version_added: 1.1.0
description:
  - With C(-e name=a value), Ansible sets C(name) to C(a), and keeps the other words in the variable C(_raw_params).
positional: _input
options:
  _input:
    description: The value of C(_raw_params).
    type: str
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Refuse values that were cut at spaces
  ansible.builtin.assert:
    that: _raw_params is not defined
    fail_msg: "{{ _raw_params | default('') | homelab.postgres_backup.explain_cut_value }}"
"""

RETURN = r"""
_value:
  description: What was found, and how to quote the value.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.command_line import explain_cut_value


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"explain_cut_value": explain_cut_value}
