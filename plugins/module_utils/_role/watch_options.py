# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables of the watch: its channels, where they may connect to, and what its program reads of both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

from ..units import duration_seconds
from .checks import LABEL, ONE_LINE, SUBDOMAIN, Variables, is_host, is_list, is_true, number
from .copy_jobs import copy_jobs
from .egress import EGRESS_RULES, HOSTS, are_egress_rules

# The keys of a channel's Secret that are mounted, as far as it has them.
SECRET_KEYS = ("url", "token", "user", "password", "ca.crt")
# The options of each kind, in addition to those of all: name, kind and secret.
_OPTIONS: dict[str, Set[str]] = {
    "ntfy": {"priority"},
    "webhook": {"template", "body", "content_type"},
    "mail": {"host", "port", "tls", "from", "to"},
    "apprise": frozenset(),
    "ping": frozenset(),
    "pushgateway": frozenset(),
}
_TEMPLATES = ("json", "slack", "discord", "teams", "matrix", "body")
_PRIORITIES = ("min", "low", "default", "high", "max", "urgent")
_TLS = ("starttls", "tls", "none")
_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")


def are_channels(value: Any, variables: Variables) -> str | None:
    """What is expected of postgres_backup_watch_channels, None if the value is valid."""
    if not is_list(value) or not all(isinstance(channel, Mapping) for channel in value):
        return "a list of channels, such as [{kind: ntfy, secret: postgres-backup-ntfy}]"
    names = [_name(channel) for channel in value]
    if len(set(names)) < len(names):
        return "channels with different names: set name where two are of one kind"
    for channel, name in zip(value, names):
        expected = _expected(channel)
        if expected is not None:
            return f"{expected} in the channel {name}"
    if is_true(variables["postgres_backup_watch"]) and not value:
        return "at least one channel, since postgres_backup_watch is true"
    return None


def is_egress(value: Any, variables: Variables) -> str | None:
    """What is expected of postgres_backup_watch_egress, None if the value is valid."""
    if not are_egress_rules(value):
        return EGRESS_RULES
    if is_true(variables["postgres_backup_watch"]) and variables["postgres_backup_watch_channels"] and not value:
        return f"{HOSTS}: the watch can connect to nothing else"
    return None


def has_image(value: Any, variables: Variables) -> str | None:
    """What is expected of postgres_backup_watch_image, None if the value is valid."""
    if str(value) or not is_true(variables["postgres_backup_watch"]):
        return None
    return "an image with Python 3.11 or newer, sh and awk, since postgres_backup_watch is true"


def watch_configuration(variables: Variables) -> dict[str, Any]:
    """The configuration of the watch's program (_watch/configuration.py), without secrets; the variables are valid."""

    def value(name: str) -> Any:
        return variables[f"postgres_backup_{name}"]

    return {
        "name": str(value("name")),
        "namespace": str(value("namespace")),
        "max_age_seconds": duration_seconds(str(value("watch_max_age"))),
        "time_zone": str(value("time_zone")),
        "drill_schedule": str(value("drill_schedule")),
        "suspended": is_true(value("suspend")),
        "digest_seconds": duration_seconds(str(value("watch_digest"))) if str(value("watch_digest")) else None,
        "schedule": str(value("watch_schedule")),
        "file_mode": str(value("file_mode")),
        "channels": [_configured(channel) for channel in value("watch_channels")],
        **({"copies": _copies(variables)} if value("copies") else {}),
    }


def _copies(variables: Variables) -> dict[str, Any]:
    """What the watch must know of the copies: when they run, and the places without what only their program needs."""
    keys = ("name", "kind", "offsite", "max_delay_seconds", "location")
    return {
        "schedule": str(variables["postgres_backup_copy_schedule"]),
        "places": [
            {**{key: place[key] for key in keys}, **({"own_job": True} if job["place"] else {})}
            for job in copy_jobs(variables)
            for place in job["configuration"]["places"]
        ],
    }


def _configured(channel: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: channel[key] for key in sorted(_OPTIONS[str(channel["kind"])]) if _is_set(channel.get(key))}
    if "port" in options:
        options["port"] = int(options["port"])
    if "to" in options:
        options["to"] = [str(address) for address in options["to"]]
    return {
        "name": _name(channel),
        "kind": str(channel["kind"]),
        "secret": str(channel.get("secret") or ""),
        "options": options,
    }


def _name(channel: Mapping[str, Any]) -> str:
    return str(channel.get("name") or channel.get("kind"))


def _is_set(value: Any) -> bool:
    return value is not None and value not in ("", [])


def _expected(channel: Mapping[str, Any]) -> str | None:
    kind = str(channel.get("kind"))
    if kind not in _OPTIONS:
        return f"a kind, one of {', '.join(_OPTIONS)},"
    if not LABEL.fullmatch(_name(channel)):
        return "a name of lower-case letters, digits and '-'"
    others = {key for key, value in channel.items() if _is_set(value)} - _OPTIONS[kind] - {"name", "kind", "secret"}
    if others:
        return f"no {', '.join(sorted(others))}, which the kind {kind} does not have,"
    secret = channel.get("secret")
    if not (SUBDOMAIN.fullmatch(str(secret)) if _is_set(secret) else kind == "mail"):
        return "secret, the name of a Secret with the key url,"
    check = {"ntfy": _expected_of_ntfy, "webhook": _expected_of_webhook, "mail": _expected_of_mail}.get(kind)
    return check(channel) if check else None


def _expected_of_ntfy(channel: Mapping[str, Any]) -> str | None:
    if _is_set(channel.get("priority")) and channel["priority"] not in _PRIORITIES:
        return f"a priority, one of {', '.join(_PRIORITIES)},"
    return None


def _expected_of_webhook(channel: Mapping[str, Any]) -> str | None:
    template = channel.get("template") or "json"
    if template not in _TEMPLATES:
        return f"a template, one of {', '.join(_TEMPLATES)},"
    if (template == "body") != _is_set(channel.get("body")):
        return "body with the template body, and only with it,"
    if not ONE_LINE.fullmatch(str(channel.get("content_type") or "x")):
        return "a content_type in one line"
    return None


def _expected_of_mail(channel: Mapping[str, Any]) -> str | None:
    if not is_host(channel.get("host") or ""):
        return "host, the name or the address of a mail server (its port is `port`),"
    port = channel.get("port")
    if _is_set(port) and number(1, 65535)(port, {}) is not None:
        return "a port from 1 to 65535"
    if (channel.get("tls") or "starttls") not in _TLS:
        return f"tls, one of {', '.join(_TLS)},"
    addresses = channel.get("to")
    if not is_list(addresses) or not addresses:
        return "to, a list of addresses,"
    if not all(_ADDRESS.fullmatch(str(address)) for address in (channel.get("from"), *addresses)):
        return "addresses such as me@example.com in from and to"
    return None
