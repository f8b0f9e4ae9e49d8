# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter refused_dump_arguments, a face of module_utils/_jobs/dump_arguments.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: refused_dump_arguments
short_description: Which arguments of pg_dumpall a backup cannot have
version_added: 1.1.0
description:
  - Reads a list of arguments as pg_dumpall does, in any of its versions from 13 on, and names those that it does not
    have, and those with which it makes something other than a backup of everything.
  - The role applies it to O(homelab.postgres_backup.postgres_backup#role:main:postgres_backup_extra_args).
positional: _input
options:
  _input:
    description: The arguments.
    type: list
    elements: str
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Refuse arguments with which every run would fail
  ansible.builtin.assert:
    that: "['--exclude-table-data=public.log'] | homelab.postgres_backup.refused_dump_arguments | length == 0"
"""

RETURN = r"""
_value:
  description: A text for each argument that a backup cannot have; an empty list when there is none.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.dump_arguments import refused_arguments


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"refused_dump_arguments": refused_arguments}
