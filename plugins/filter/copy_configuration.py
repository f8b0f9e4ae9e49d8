# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter copy_configuration, a face of module_utils/_role/copy_options.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: copy_configuration
short_description: Configuration of the program that copies the backups of an installation
version_added: 1.1.0
description:
  - Makes the configuration of the program of the copies from those variables of the role
    P(homelab.postgres_backup.postgres_backup#role) that it needs. It contains no secrets, only the names of Secrets.
positional: _input
options:
  _input:
    description: The values of all variables of the role, by their full names. They must be valid.
    type: dict
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show the configuration of the copies
  ansible.builtin.debug:
    msg: "{{ __postgres_backup_variables | homelab.postgres_backup.copy_configuration }}"
"""

RETURN = r"""
_value:
  description: The configuration.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.copy_options import copy_configuration


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"copy_configuration": copy_configuration}
