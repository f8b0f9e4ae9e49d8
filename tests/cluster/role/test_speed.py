# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A run that changes nothing calls no more modules than it needs: to load Kubernetes' libraries is most of its time."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible


@pytest.mark.weekly
def test_unchanged_installation_needs_few_calls(ansible: Ansible, role_variables: dict[str, Any]) -> None:
    assert ansible.site(**role_variables).status == 0
    quiet = ansible.site("-v", **role_variables)
    assert quiet.changed == 0
    calls = len(
        re.findall(r'^ok: .*(?:\{"api_found"|"censored"|"method": |"server_policies": )', quiet.output, re.MULTILINE)
    )
    assert calls == 2, quiet.output
