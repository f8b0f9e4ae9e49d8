# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter copy_jobs, a face of module_utils/_role/copy_options.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: copy_jobs
short_description: CronJobs that copy the backups of an installation
version_added: 1.1.0
description:
  - Lists the CronJobs of the copies from those variables of the role P(homelab.postgres_backup.postgres_backup#role)
    that they need, each with the configuration of its program. It contains no secrets, only the names of Secrets.
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
- name: Show the CronJobs of the copies
  ansible.builtin.debug:
    msg: "{{ __postgres_backup_variables | homelab.postgres_backup.copy_jobs }}"
"""

RETURN = r"""
_value:
  description:
    - The CronJobs - one for the places that are reached over the network, and one for each place that is mounted.
    - C(place) is the place that it mounts, C(file) the key of its C(configuration) in the ConfigMap.
  type: list
  elements: dict
"""

from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.copy_jobs import copy_jobs


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"copy_jobs": copy_jobs}
