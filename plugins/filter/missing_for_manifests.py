# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter missing_for_manifests, a face of module_utils/_role/manifests.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: missing_for_manifests
short_description: List the variables that the postgres_backup role needs to write manifests without a cluster
version_added: 1.1.0
description:
  - The role reads values that nobody has set from the cluster, such as the image of the server. With
    C(postgres_backup_state=rendered) it does not, so they must be set.
positional: _input
options:
  _input:
    description: The values of all variables of the role, by their full names.
    type: dict
    required: true
  unset:
    description: The value of variables that nobody has set.
    type: str
    required: true
  reads_service:
    description: Whether the role would read the service behind C(postgres_backup_host).
    type: bool
    default: true
  kustomization_path:
    description: The path of a kustomization in the folder that the role did not write. Empty if there is none.
    type: str
    default: ""
  kustomization:
    description: The text of that kustomization.
    type: str
    default: ""
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Fail if a variable is missing
  ansible.builtin.assert:
    that: variables | homelab.postgres_backup.missing_for_manifests(unset='(not set)') | length == 0
"""

RETURN = r"""
_value:
  description: A first line with the reason, and a message for each variable; an empty list if none is missing.
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.manifests import missing_for_manifests


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"missing_for_manifests": missing_for_manifests}
