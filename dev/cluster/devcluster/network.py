# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The veth pair between the machine and the cluster's network namespace."""

from __future__ import annotations

import json
from ipaddress import IPv4Network

from dev.buildkit import commands
from dev.buildkit.errors import ReportedError

from . import machine
from .settings import Settings

_INNER_LINK = "uplink"


def plan(settings: Settings) -> dict[str, str]:
    """The addresses that the supervisor sets."""
    prefix = settings.node_network.prefixlen
    return {"node": f"{settings.node_address}/{prefix}", "nowhere": str(settings.nowhere)}


def refuse_taken_addresses(settings: Settings) -> None:
    """Refuse a network that this machine already has a route to."""
    routes = json.loads(commands.run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    for route in routes:
        destination = route.get("dst", "default")
        if destination == "default" or route.get("dev") == settings.host_link:
            continue
        if IPv4Network(destination, strict=False).overlaps(settings.node_network):
            raise ReportedError(
                f"expected {settings.node_network} to be free, but this machine has a route to {destination}"
                f" (device {route.get('dev', '?')})",
                "choose another network, for example CLUSTER_NETWORK=10.199.0.0/16",
            )


def connected(settings: Settings) -> bool:
    """Say whether the machine's end of the veth is there and up."""
    links = commands.attempt(["ip", "-json", "address", "show", "dev", settings.host_link, "up"])
    return links.returncode == 0 and str(settings.host_address) in links.stdout


def connect(settings: Settings, process: int) -> None:
    """Make the veth pair into the network namespace of a process, anew if there is one."""
    disconnect(settings)
    link = settings.host_link
    commands.run(["ip", "link", "add", link, "type", "veth", "peer", "name", _INNER_LINK, "netns", str(process)])
    commands.run(machine.inside(settings, ["ip", "link", "set", _INNER_LINK, "master", "cluster0", "up"]))
    prefix = settings.node_network.prefixlen
    commands.run(["ip", "address", "add", f"{settings.host_address}/{prefix}", "dev", link])
    commands.run(["ip", "link", "set", link, "up"])


def disconnect(settings: Settings) -> None:
    """Remove the veth pair; the kernel removes it with the namespace too, but a moment later."""
    commands.attempt(["ip", "link", "delete", settings.host_link])
