# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The hosts to which the pods of the watch and of the copies may connect, for their NetworkPolicies."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from .checks import LABEL, is_list, number

HOSTS = "a list of hosts as a NetworkPolicy knows them, such as [{cidr: 192.168.2.10/32, port: 443}]"
EGRESS_RULES = f"{HOSTS}, or [{{namespace: ntfy, labels: {{app: ntfy}}, port: 80}}]"


def are_egress_rules(value: Any) -> bool:
    """Whether the value is a list of hosts for a NetworkPolicy (EGRESS_RULES)."""
    return is_list(value) and all(isinstance(rule, Mapping) and _is_rule(rule) for rule in value)


def _is_rule(rule: Mapping[str, Any]) -> bool:
    if set(rule) - {"cidr", "namespace", "labels", "port"} or number(1, 65535)(rule.get("port"), {}) is not None:
        return False
    if ("cidr" in rule) == ("namespace" in rule):
        return False
    if "cidr" in rule:
        return "labels" not in rule and _is_network(str(rule["cidr"]))
    labels = rule.get("labels", {})
    is_mapping = isinstance(labels, Mapping) and all(isinstance(text, str) for text in labels.values())
    return is_mapping and LABEL.fullmatch(str(rule["namespace"])) is not None


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return "/" in text
