# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Checks that several variables of the role share.

Most values are checked as text, whatever their type: with `-e postgres_backup_port=5432` the port is a string.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Optional

from ..errors import ExpectationError
from ..units import duration_seconds, parse_quantity, parse_size

Variables = Mapping[str, Any]
# Takes a variable's value and all variables; returns what is expected, or None if the value is valid.
# Optional, since Python 3.9 evaluates an alias.
Check = Callable[[Any, Variables], Optional[str]]

# RFC 1123, as Kubernetes checks names (k8s.io/apimachinery/pkg/util/validation).
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
# A key of a Secret or a ConfigMap.
KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
ONE_LINE = re.compile(r"[^\x00-\x1f\x7f]+")
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9.])?")
# The CronJob controller appends up to 11 characters for the names of its Jobs (batch/v1 CronJob).
CRONJOB_NAME_LIMIT = 52
# What the name of the CronJob of the drills ends in; no other CronJob's does.
DRILL_SUFFIX = "-drill"
# The largest value of Kubernetes' int32 fields, and of user and group ids.
INT32_MAX = 2**31 - 1
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


def holds(condition: Callable[[Any], bool], expected: str) -> Check:
    """A check that needs only the value."""
    return lambda value, _variables: None if condition(value) else expected


def matches(pattern: re.Pattern[str], expected: str, *, or_empty: bool = False) -> Check:
    def is_valid(value: object) -> bool:
        text = str(value)
        return (or_empty and text == "") or pattern.fullmatch(text) is not None

    return holds(is_valid, expected)


def number(least: int, most: int) -> Check:
    def is_valid(value: object) -> bool:
        count = whole_number(value)
        return count is not None and least <= count <= most

    return holds(is_valid, f"a number from {least} to {most}")


def duration(least: int, most: int, expected: str) -> Check:
    """A duration from `least` to `most` seconds."""

    def is_valid(value: object) -> bool:
        length = seconds(value)
        return length is not None and least <= length <= most

    return holds(is_valid, expected)


def id_or_none(pattern: re.Pattern[str], expected: str) -> Check:
    """A user or group id, or None if the platform assigns one."""

    def is_valid(value: object) -> bool:
        text = str(value)
        return value is None or (pattern.fullmatch(text) is not None and int(text) <= INT32_MAX)

    return holds(is_valid, expected)


def strings(expected: str, reserved: tuple[str, ...] = ()) -> Check:
    """A mapping whose values are strings, without the reserved keys."""
    return holds(
        lambda value: (
            isinstance(value, Mapping)
            and all(isinstance(text, str) for text in value.values())
            and not any(key in value for key in reserved)
        ),
        expected,
    )


def whole_number(value: object) -> int | None:
    """The value as an integer; None if it is not a whole number. A boolean is not a whole number."""
    text = str(value)
    return int(text) if not isinstance(value, bool) and _WHOLE_NUMBER.fullmatch(text) else None


def seconds(value: object) -> int | None:
    """The length of a duration; None if the value is not a duration."""
    try:
        return duration_seconds(str(value))
    except ExpectationError:
        return None


def is_quantity(value: object) -> bool:
    return _is_accepted(parse_quantity, value)


def is_size(value: object) -> bool:
    return _is_accepted(parse_size, value)


def _is_accepted(parse: Callable[[str], object], value: object) -> bool:
    try:
        parse(str(value))
    except ExpectationError:
        return False
    return True


def is_host(value: object) -> bool:
    """Whether it is a name or an address, an IPv6 address also in brackets. A port is none, nor is a zone (%eth0)."""
    text = str(value)
    if ":" not in text:
        return _HOST_NAME.fullmatch(text) is not None
    try:
        ipaddress.IPv6Address(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    except ValueError:
        return False
    return "%" not in text


def is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def is_true(value: object) -> bool:
    """Whether an option of type bool is true, also as text (ansible.module_utils.parsing.convert_bool)."""
    return str(value).lower() in {"true", "yes", "on", "1", "y", "t"}
