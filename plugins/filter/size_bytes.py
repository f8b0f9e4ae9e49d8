# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter size_bytes, a face of module_utils/units.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: size_bytes
short_description: Convert a size in Kubernetes' notation to bytes
version_added: 1.1.0
description:
  - Fractions of a byte are rounded up.
positional: _input
options:
  _input:
    description: The size, such as V(10Gi) or V(500M), or a number of bytes.
    type: raw
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show 10737418240
  ansible.builtin.debug:
    msg: "{{ '10Gi' | homelab.postgres_backup.size_bytes }}"
"""

RETURN = r"""
_value:
  description: The number of bytes.
  type: int
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils.units import parse_size


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"size_bytes": parse_size}
