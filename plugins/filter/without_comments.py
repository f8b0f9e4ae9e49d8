# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter without_comments, a face of module_utils/_role/script_text.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: without_comments
short_description: Text of a script without its comments
version_added: 1.1.0
description:
  - Removes the lines of comments from a file of C(backup.sh), except the first lines. With them, its ConfigMap would be
    larger than Kubernetes allows.
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
- name: Show the program as it runs in the cluster
  ansible.builtin.debug:
    msg: "{{ lookup('ansible.builtin.file', 'backup.sh', rstrip=false) | homelab.postgres_backup.without_comments }}"
"""

RETURN = r"""
_value:
  description: The text without these lines.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.script_text import without_comments


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"without_comments": without_comments}
