# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A run that changes nothing calls no more modules than it needs: to load Kubernetes' libraries is most of its time."""

from __future__ import annotations

import re
from typing import Any

from .kube import Ansible


def test_a_run_that_changes_nothing(ansible: Ansible, home: dict[str, Any]) -> None:
    assert ansible.site(**home).status == 0
    quiet = ansible.site("-v", **home)
    assert quiet.changed == 0
    calls = len(
        re.findall(r'^ok: .*(?:\{"api_found"|"censored"|"method": |"server_policies": )', quiet.output, re.MULTILINE)
    )
    assert calls == 2, quiet.output
