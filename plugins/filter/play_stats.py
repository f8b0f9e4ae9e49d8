# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter play_stats, a face of module_utils/_role/play_stats.py for the playbooks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: play_stats
short_description: What a playbook of this collection leaves for the next step of a workflow
version_added: 1.1.0
description:
  - Turns the results of the modules that a playbook of this collection ran into a few typed values of bounded size,
    for M(ansible.builtin.set_stats).
  - The page docs/consoles.md of the collection lists the keys of each playbook.
positional: _input
options:
  _input:
    description: The registered results by a short name. One that does not exist is an empty dictionary.
    type: dict
    required: true
  playbook:
    description: The name of the playbook.
    type: str
    required: true
  failed:
    description: Whether the playbook did not reach its end.
    type: bool
    required: true
  check_mode:
    description: Whether it ran in check mode.
    type: bool
    default: false
seealso:
  - module: ansible.builtin.set_stats
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Run a restore drill
  homelab.postgres_backup.restore_drill:
  register: drill

- name: Leave its figures for the next step
  ansible.builtin.set_stats:
    data:
      drill: "{{ {'drill': drill} | homelab.postgres_backup.play_stats(playbook='drill', failed=false) }}"
"""

RETURN = r"""
_value:
  description:
    - Every key of the playbook, with null for a value that is not known. Texts have at most 1,000 characters, lists at
      most 20 elements.
    - All playbooks have C(failed), C(message) (why it failed), C(changed) and C(check_mode).
  type: dict
  sample:
    failed: false
    message: null
    changed: true
    check_mode: false
    backup: postgres-backup-2026-11-22-020000.sql.gz
    rows: 1000
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.play_stats import play_stats


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"play_stats": play_stats}
