# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Is the cluster healthy, and if not, why not."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from dev.buildkit.errors import ReportedError

from . import machine, network
from .api import Api
from .objects import STORAGE_CLASSES
from .settings import NODE_NAME, READY_PORT, Settings


def supervised(settings: Settings) -> dict[str, dict[str, Any]]:
    """The supervisor's report: component → process id, restarts, how it ended last."""
    try:
        report = json.loads(settings.supervisor_report.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    assert isinstance(report, dict)
    return report


def problems(settings: Settings) -> list[str]:
    """Everything that keeps the cluster from being healthy; empty when it is."""
    if machine.find(settings) is None:
        return ["the cluster does not run"]
    if not network.connected(settings):
        return [f"the veth {settings.host_link} between this machine and the cluster is gone"]
    found = [f"{name} does not run" for name, component in supervised(settings).items() if not component["pid"]]
    try:
        api = Api.of(settings)
        reason = api.ready()
        return found + ([reason] if reason else _cluster_problems(api) + _dns_problems(settings))
    except ReportedError as error:
        return [*found, error.message]


def node(api: Api) -> dict[str, Any]:
    """The node object, or an empty one where it has not registered yet."""
    return api.get(f"/api/v1/nodes/{NODE_NAME}") or {}


def _cluster_problems(api: Api) -> list[str]:
    found = []
    conditions = {item["type"]: item for item in node(api).get("status", {}).get("conditions", [])}
    ready = conditions.get("Ready", {"status": "Unknown", "message": "it has not registered"})
    if ready["status"] != "True":
        found.append(f"the node is not ready: {ready['message']}")
    else:
        # The condition is from a while ago; this asks the kubelet, through the API server.
        try:
            api.check(f"/api/v1/nodes/{NODE_NAME}/proxy/healthz")
        except ReportedError as error:
            found.append(f"the kubelet is not healthy: {error.message}")
    for name in STORAGE_CLASSES:
        if api.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}") is None:
            found.append(f"the storage class {name} is missing")
    if api.get("/api/v1/namespaces/default/serviceaccounts/default") is None:
        found.append("the controller manager has not made the default service account yet")
    return found


def _dns_problems(settings: Settings) -> list[str]:
    try:
        with urllib.request.urlopen(f"http://{settings.node_address}:{READY_PORT}/ready", timeout=2):
            return []
    except urllib.error.HTTPError as error:
        return [f"CoreDNS is not ready (status {error.code})"]
    except OSError as error:
        return [f"CoreDNS does not answer ({error})"]
