# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter undeclared_fields, a face of module_utils/_role/undeclared_fields.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: undeclared_fields
short_description: Find fields of a live CronJob that a manifest does not declare
version_added: 1.1.0
description:
  - Lists are not compared item by item, and fields that the API server adds are left out.
positional: _input, desired
options:
  _input:
    description: The spec of the CronJob as it is in the cluster after the manifest was applied.
    type: dict
    required: true
  desired:
    description: The spec in the manifest.
    type: dict
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show what something else added to the CronJob
  ansible.builtin.debug:
    msg: "{{ live.spec | homelab.postgres_backup.undeclared_fields(manifest.spec) }}"
"""

RETURN = r"""
_value:
  description: The paths of the fields, such as V(jobTemplate.spec.parallelism).
  type: list
  elements: str
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.undeclared_fields import undeclared_fields


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"undeclared_fields": undeclared_fields}
