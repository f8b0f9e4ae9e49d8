# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The lookup extra_variables, for the playbooks: a template cannot distinguish the sources of variables."""

from __future__ import annotations

DOCUMENTATION = r"""
name: extra_variables
short_description: Names of the variables of the command line
version_added: 1.1.0
description:
  - Returns the names of the variables that were set with C(-e), as C(name=value), as JSON, or in a file.
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show the variables of the command line
  ansible.builtin.debug:
    msg: "{{ query('homelab.postgres_backup.extra_variables') }}"
"""

RETURN = r"""
_raw:
  description: The names.
  type: list
  elements: str
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars


class LookupModule(LookupBase):
    """The lookup under its name."""

    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[str]:  # noqa: ARG002 - Ansible's
        return sorted(load_extra_vars(self._loader))
