# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Schedules of CronJobs, by the rules of Kubernetes' parser (github.com/robfig/cron/v3, ParseStandard)."""

from __future__ import annotations

import re

_NUMBERS = (
    "[0-5]?[0-9]",
    "([01]?[0-9]|2[0-3])",
    "(0?[1-9]|[12][0-9]|3[01])",
    "(0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    "([0-6]|sun|mon|tue|wed|thu|fri|sat)",
)


def _field(number: str) -> str:
    """A pattern for one field: a list of stars, numbers or ranges, each with or without a step."""
    item = f"([*?]|{number}(-{number})?)(/[1-9][0-9]?)?"
    return f"{item}(,{item})*"


_SCHEDULE = re.compile(
    "@(hourly|daily|midnight|weekly|monthly|yearly|annually)|@every ([0-9]+[hms])+|" + " +".join(map(_field, _NUMBERS)),
    re.IGNORECASE,
)
# The API server accepts the 31st of April and the 30th of February, which do not exist.
_NEVER = re.compile(r"[^ ]+ +[^ ]+ +((30|31) +0?2|31 +(0?[469]|11)) +[*?]")
# A single field: the rest of a schedule that Ansible cut at a space.
_ONE_FIELD = re.compile(r"[-0-9*?/,]+")


def is_schedule(text: str) -> bool:
    """Whether Kubernetes accepts this schedule and it names a time that exists. It must not contain a time zone."""
    return _SCHEDULE.fullmatch(text) is not None and _NEVER.fullmatch(text) is None


def is_cut_schedule(text: str) -> bool:
    """Whether the text looks like the first field of a schedule that was cut at its first space."""
    return _ONE_FIELD.fullmatch(text) is not None
