# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter restore_kit, a face of module_utils/_role/script_text.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: restore_kit
short_description: Program that restores a backup by hand
version_added: 1.1.0
description:
  - Puts files of C(backup.sh) together into C(restore-kit.sh), one program that checks, lists and restores a backup
    with a POSIX shell, gzip and psql.
positional: _input
options:
  _input:
    description: The texts of the files by their names.
    type: dict
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show the program
  ansible.builtin.debug:
    msg: "{{ {'kit.sh': lookup('ansible.builtin.file', 'kit.sh', rstrip=0)} | homelab.postgres_backup.restore_kit }}"
"""

RETURN = r"""
_value:
  description: The text of the program.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.script_text import restore_kit


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"restore_kit": restore_kit}
