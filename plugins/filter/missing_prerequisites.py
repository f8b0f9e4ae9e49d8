# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter missing_prerequisites, a face of module_utils/_role/prerequisites.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: missing_prerequisites
short_description: List what the backups of the postgres_backup role need and the cluster lacks
version_added: 1.1.0
description:
  - What the user may not read counts as present.
positional: _input, prerequisites
options:
  _input:
    description: The values of all variables of the role, by their full names.
    type: dict
    required: true
  prerequisites:
    description: The result of M(homelab.postgres_backup.prerequisites_info).
    type: dict
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Fail if something is missing
  ansible.builtin.assert:
    that: variables | homelab.postgres_backup.missing_prerequisites(prerequisites) | length == 0
"""

RETURN = r"""
_value:
  description: A message for each prerequisite that is missing; an empty list when there is none.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.prerequisites import missing_prerequisites


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"missing_prerequisites": missing_prerequisites}
