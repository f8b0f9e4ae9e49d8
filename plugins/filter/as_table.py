# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter as_table, a face of module_utils/_role/table.py for the playbooks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: as_table
short_description: Format a list of dictionaries as a table in plain text
version_added: 1.1.0
description:
  - Formats a list of dictionaries, such as the backups that M(homelab.postgres_backup.backup_info) returns, as the
    lines of a table.
  - Each column is as wide as its longest cell.
positional: _input
options:
  _input:
    description: The rows of the table.
    type: list
    elements: dict
    required: true
  columns:
    description: The columns of the table, in their order.
    type: list
    elements: dict
    required: true
    suboptions:
      key:
        description: Key of the column's values in the rows.
        type: str
        required: true
      title:
        description: Title of the column. If no column has a title, the table has no heading.
        type: str
        default: ""
      kind:
        description: How to show the values.
        type: str
        default: text
        choices:
          text: Aligned to the left. The elements of a list are separated by commas.
          number: Aligned to the right. Of a list, the number of its elements is shown.
          size: A number of bytes, shown with a unit and aligned to the right.
      empty:
        description: What to show for a value that is missing, null or empty.
        type: str
        default: ""
seealso:
  - module: homelab.postgres_backup.backup_info
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Read the backups
  homelab.postgres_backup.backup_info:
  register: info

- name: Show the backups
  ansible.builtin.debug:
    msg: "{{ info.backups | homelab.postgres_backup.as_table(columns=columns) }}"
  vars:
    columns:
      - {key: name, title: backup}
      - {key: size_bytes, title: size, kind: size}
      - {key: state, title: state}
  # backup                                       size  state
  # postgres-backup-2026-11-22-020000.sql.gz  1.00 MB  complete
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""

from collections.abc import Callable, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.text.formatters import bytes_to_human
from ansible_collections.homelab.postgres_backup.plugins.module_utils._role import table
from ansible_collections.homelab.postgres_backup.plugins.module_utils.errors import ExpectationError


def as_table(rows: Sequence[dict[str, Any]], columns: Sequence[dict[str, str]]) -> list[str]:
    try:
        return table.as_table(rows, columns, bytes_to_human)
    except ExpectationError as error:
        raise AnsibleFilterError(f"as_table: {error}") from error


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"as_table": as_table}
