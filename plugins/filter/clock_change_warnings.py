# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter clock_change_warnings, a face of module_utils/_role/clock_changes.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: clock_change_warnings
short_description: Find the times of a schedule that summer time leaves out or repeats
version_added: 1.1.0
description:
  - Sentences for the next times of a schedule that do not exist, or exist twice, because the clocks are changed.
    Kubernetes starts nothing at the former, and starts a Job twice at the latter.
  - There are none if the machine that runs Ansible does not know the time zone.
positional: _input
options:
  _input:
    description: The schedule, five cron fields or a word such as C(@daily).
    type: str
    required: true
  variable:
    description: The name of the variable that has the schedule.
    type: str
    required: true
  zone:
    description: The name of the time zone.
    type: str
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show the times that summer time affects
  ansible.builtin.debug:
    msg: "{{ '30 2 * * *' | homelab.postgres_backup.clock_change_warnings('schedule', 'Europe/Berlin') }}"
"""

RETURN = r"""
_value:
  description: The sentences.
  type: list
  elements: str
"""

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.clock_changes import clock_change_warnings


def warnings_from_now(schedule: object, variable: str, zone: object) -> list[str]:
    """Those of the year that begins now."""
    return clock_change_warnings(variable, str(schedule), str(zone), datetime.now(timezone.utc))


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"clock_change_warnings": warnings_from_now}
