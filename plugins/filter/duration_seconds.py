# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter duration_seconds, a face of module_utils/units.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: duration_seconds
short_description: Convert a duration such as 26h to seconds
version_added: 1.1.0
description:
  - A duration is a whole number and one unit of V(s), V(m), V(h), V(d), V(w), as in the options of the modules.
positional: _input
options:
  _input:
    description: The duration.
    type: str
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show 93600
  ansible.builtin.debug:
    msg: "{{ '26h' | homelab.postgres_backup.duration_seconds }}"
"""

RETURN = r"""
_value:
  description: The number of seconds.
  type: int
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils.units import duration_seconds


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"duration_seconds": duration_seconds}
