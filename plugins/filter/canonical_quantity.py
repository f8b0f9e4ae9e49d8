# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter canonical_quantity, a face of module_utils/units.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: canonical_quantity
short_description: Write a Kubernetes quantity as the API server does
version_added: 1.1.0
description:
  - The API server stores C(10240Mi) as C(10Gi), and C(0.1) as C(100m). An object that is sent in another form
    always looks changed.
positional: _input
options:
  _input:
    description: The quantity, a string or a number.
    type: raw
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show 10Gi
  ansible.builtin.debug:
    msg: "{{ '10240Mi' | homelab.postgres_backup.canonical_quantity }}"
"""

RETURN = r"""
_value:
  description: The quantity in its canonical form.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils.units import canonical_quantity


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"canonical_quantity": canonical_quantity}
