# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The filter service_behind, a face of module_utils/_jobs/postgres_server.py for the role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: service_behind
short_description: Find the Kubernetes service that a host name stands for
version_added: 1.1.0
description:
  - A host name of one label, of two labels, or with V(svc) as its third label can be the name of a service.
positional: _input, namespace
options:
  _input:
    description: The host name.
    type: str
    required: true
  namespace:
    description: The namespace of the pods that use the host name.
    type: str
    required: true
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Show the namespace and the name of the service
  ansible.builtin.debug:
    msg: "{{ 'postgres.data.svc.cluster.local' | homelab.postgres_backup.service_behind('data') }}"
"""

RETURN = r"""
_value:
  description: The C(namespace) and C(name) of the service; empty for an address and for any other host name.
  type: dict
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.postgres_server import service_behind


def service_of_host(host: str, namespace: str) -> dict[str, str]:
    service = service_behind(host, namespace)
    return {} if service is None else dataclasses.asdict(service)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"service_behind": service_of_host}
