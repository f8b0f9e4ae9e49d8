# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The cluster's state as a person reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dev.buildkit import commands
from dev.buildkit.errors import ReportedError

from . import health, machine
from .api import Api
from .objects import STORAGE_CLASSES
from .settings import API_PORT, Settings


def render(settings: Settings, kubernetes_version: str) -> str:
    """The lines that `status` prints."""
    process = machine.find(settings)
    lines = [f"cluster     {settings.full_name}: {'running' if process else 'not running'}"]
    if process:
        lines += _running(settings, process)
    else:
        lines.append(f"kubernetes  {kubernetes_version} (dev/cluster/up starts it)")
    lines.append(f"cache       {_size(settings.cache)} in {settings.cache}")
    found = health.problems(settings)
    lines.append("health      " + ("good" if not found else "NOT GOOD"))
    lines += [f"            - {problem}" for problem in found]
    return "\n".join(lines)


def _running(settings: Settings, process: int) -> list[str]:
    lines = [
        f"supervisor  process {process}",
        f"API server  https://{settings.node_address}:{API_PORT}",
        f"KUBECONFIG  {settings.kubeconfig}",
        f"kubectl     {settings.programs}/kubectl",
        f"logs        {settings.logs}",
        f"state       {_size(settings.state)} in {settings.state}",
        f"classes     {', '.join(STORAGE_CLASSES)}",
    ]
    try:
        node = health.node(Api.of(settings)).get("status", {})
    except ReportedError as error:
        lines.append(f"node        unknown: {error.message}")
    else:
        ready = [item["status"] for item in node.get("conditions", []) if item["type"] == "Ready"]
        facts = node.get("nodeInfo", {})
        lines.append(
            f"node        {'ready' if ready == ['True'] else 'NOT READY'}, Kubernetes {facts.get('kubeletVersion')},"
            f" {facts.get('containerRuntimeVersion')}, {facts.get('osImage')}, Linux {facts.get('kernelVersion')}"
        )
        lines.append(f"images      {_images(node)}")
    lines.append("components")
    for name, component in health.supervised(settings).items():
        state = "running" if component["pid"] else "NOT RUNNING"
        if component["restarts"]:
            state += f", {component['restarts']} restarts, last end: {component['last_end']}"
        lines.append(f"  {name:<24}{state}")
    return lines


def _images(node: dict[str, Any]) -> str:
    """The tags of the node's images; those without one, such as what an import left untagged, are counted."""
    names: list[list[str]] = [image.get("names") or [] for image in node.get("images") or []]
    tags = [[name for name in those if "@" not in name] for those in names]
    untagged = sum(not those for those in tags)
    shown = [*sorted(tag for those in tags for tag in those), *([f"{untagged} without a name"] if untagged else [])]
    return ", ".join(shown) or "none yet"


def _size(folder: Path) -> str:
    result = commands.attempt(["du", "--summarize", "--human-readable", "--one-file-system", folder])
    return result.stdout.split("\t", 1)[0] or "0"
