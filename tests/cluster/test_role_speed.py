# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A run that changes nothing costs little more than its calls to the API server."""

from __future__ import annotations

import json
import re
import resource
from typing import Any

from .kube import Ansible

LIMIT = 1.5
ROUNDS = 3


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_run_that_changes_nothing(ansible: Ansible, home: dict[str, Any], namespace: str) -> None:
    """Measured in processor time, of which other tests beside this one take none; the best of some rounds each."""
    assert ansible.site(**home).status == 0
    quiet = ansible.site("-v", **home)
    assert quiet.changed == 0
    calls = len(re.findall(r'^ok: .*(?:\{"api_found"|"censored"|"method": )', quiet.output, re.MULTILINE))
    assert calls == 6, quiet.output

    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bare", "namespace": namespace}}
    task = {"name": "Bare", "kubernetes.core.k8s": {"definition": {**config_map, "data": {"a": "b"}}}}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task] * calls}
    bare = ansible.folder / "bare.yml"
    bare.write_text(json.dumps([play]))
    assert ansible(str(bare)).status == 0

    seconds: dict[str, list[float]] = {"bare": [], "site": []}
    for _ in range(ROUNDS):
        before = processor_seconds()
        assert ansible(str(bare)).changed == 0
        between = processor_seconds()
        assert ansible.site(**home).changed == 0
        seconds["bare"].append(between - before)
        seconds["site"].append(processor_seconds() - between)
    assert min(seconds["site"]) <= LIMIT * min(seconds["bare"]), seconds
