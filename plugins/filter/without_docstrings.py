# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter without_docstrings, a face of module_utils/_role/program_text.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: without_docstrings
short_description: Text of a Python file without its docstrings and comments
version_added: 1.1.0
description:
  - Removes the docstrings and the lines of comments from a file of the program of the copies or of the watch, except
    the first lines. The other lines keep their numbers. With them, a ConfigMap would be larger than Kubernetes allows.
positional: _input
options:
  _input:
    description: The text of the file.
    type: str
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show a file as it runs in the cluster
  ansible.builtin.debug:
    msg: "{{ lookup('ansible.builtin.file', 'program.py', rstrip=false) | homelab.postgres_backup.without_docstrings }}"
"""

RETURN = r"""
_value:
  description: The text without them.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.program_text import without_docstrings


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"without_docstrings": without_docstrings}
