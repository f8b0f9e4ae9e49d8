# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter without_comments, a face of module_utils/_role/script_text.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: without_comments
short_description: Text of a script without what only its readers need
version_added: 1.1.0
description:
  - Removes the lines of comments from a file of C(backup.sh), except the first lines, and the indentation and the empty
    lines of an awk program. With them, its ConfigMap would be larger than Kubernetes allows.
positional: _input, file
options:
  _input:
    description: The text of the file.
    type: str
    required: true
  file:
    description: The name of the file. That of an awk program has the ending C(.awk).
    type: str
    default: ""
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show the program as it runs in the cluster
  ansible.builtin.debug:
    msg: >-
      {{ lookup('ansible.builtin.file', 'globals.awk', rstrip=false)
      | homelab.postgres_backup.without_comments('globals.awk') }}
"""

RETURN = r"""
_value:
  description: The text without them.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.script_text import deployed_text


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"without_comments": deployed_text}
