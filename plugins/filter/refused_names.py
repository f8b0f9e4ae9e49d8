# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter refused_names, a face of module_utils/_role/variable_names.py for the playbooks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: refused_names
short_description: Find misspelt names of variables
version_added: 1.1.0
description:
  - Ansible ignores a variable that nothing uses, so that a misspelt one has no effect.
  - Finds the names that the role P(homelab.postgres_backup.postgres_backup#role) and the playbooks of this collection
    do not have. Of the command line, those are all names that begin with C(postgres_backup_), and those that are
    nearly a known name. Of other sources, such as an inventory, only those that begin with C(postgres_backup_) and are
    nearly a known name.
positional: _input
options:
  _input:
    description: The names of the variables that begin with C(postgres_backup_), from all sources.
    type: list
    elements: str
    required: true
  given:
    description: The names of the variables of the command line, see P(homelab.postgres_backup.extra_variables#lookup).
    type: list
    elements: str
    required: true
  known:
    description: The names of the variables of the role and the playbooks.
    type: list
    elements: str
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Refuse misspelt variables
  ansible.builtin.assert:
    that: names | homelab.postgres_backup.refused_names(given=[], known=['postgres_backup_place']) | length == 0
  vars:
    names: "{{ query('ansible.builtin.varnames', '^postgres_backup_') }}"
"""

RETURN = r"""
_value:
  description: A message for each name; an empty list when there is none.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.variable_names import refused_names


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"refused_names": refused_names}
