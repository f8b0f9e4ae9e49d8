# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The report page as a whole: every installation, the worst first, and a verdict about all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from .charts import HEIGHT, WIDTH
from .commands import Target
from .days import Grid, grid
from .facts import Facts
from .installation import COMPACT, FULL, HEALTHY, UNHEALTHY, UNREADABLE, Detail, Section, section, unreadable
from .text import counted, format_time, printable

# More installations than this are shown with less detail, so that the page is small and can be read.
_IN_FULL = 10
_ORDER = (UNHEALTHY, UNREADABLE, HEALTHY)


@dataclass(frozen=True)
class Page:
    """What the template prints. `state` is the worst of the sections, which are sorted by their state."""

    created: str
    state: str
    verdict: str
    about: str
    why: str
    sections: tuple[Section, ...]
    is_compact: bool
    grid: Grid
    chart_size: tuple[int, int] = (WIDTH, HEIGHT)

    @property
    def lines(self) -> list[str]:
        """The page in a few lines of plain text: what the playbook prints."""
        bad = [each for each in self.sections if each.state != HEALTHY]
        messages = [f"{each.title}: {problem.message}" for each in bad for problem in each.problems]
        return [self.verdict, *messages]


def page(installations: Sequence[Mapping[str, Any]], inventory: Sequence[str], now: datetime) -> Page:
    """The page of these installations: each has a `host` and the `result` of backup_info with `history: true`.

    A result that has no `healthy` is that of a task that failed: its `msg` is shown. `inventory` are the arguments of
    `ansible-playbook -i`, for the commands that the page shows. `now` (UTC) is when the results were read.
    """
    detail = COMPACT if len(installations) > _IN_FULL else FULL
    sections = [_section(f"i{index}", item, tuple(inventory), now, detail) for index, item in enumerate(installations)]
    sections.sort(key=lambda each: (_ORDER.index(each.state), each.title))
    states = [each.state for each in sections]
    state = next((state for state in _ORDER if state in states), UNREADABLE)
    return Page(
        created=format_time(now),
        state=state,
        verdict=_verdict(sections),
        about=sections[0].title if len(sections) == 1 else "",
        why=sections[0].since if len(sections) == 1 else "",
        sections=tuple(sections),
        is_compact=detail is COMPACT,
        grid=grid(now.date()),
    )


def _section(
    anchor: str, item: Mapping[str, Any], inventory: tuple[str, ...], now: datetime, detail: Detail
) -> Section:
    """The section of one result, which may be anything: one installation never prevents the page of the others."""
    target, result = Target(printable(str(item["host"])), inventory), item["result"]
    if not isinstance(result, Mapping) or "healthy" not in result:
        message = result.get("msg") if isinstance(result, Mapping) else None
        return unreadable(anchor, printable(str(message or _NOTHING)), target)
    try:
        facts = Facts(result)
        target = replace(target, namespace=facts.namespace, name=facts.name)
        return section(anchor, facts, target, now, detail)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        message = f"the result of backup_info is not of this version: {error!r}"
        return unreadable(anchor, printable(message), target)


_NOTHING = "nothing was read: a task before that failed"


def _verdict(sections: Sequence[Section]) -> str:
    if not sections:
        return "No installation was read"
    if len(sections) == 1:
        return sections[0].verdict
    bad = [each for each in sections if each.state == UNHEALTHY]
    unknown = [each for each in sections if each.state == UNREADABLE]
    if not bad and not unknown:
        return f"All {len(sections)} installations are healthy"
    phrases = ((bad, ("is not healthy", "are not healthy")), (unknown, ("could not be read",) * 2))
    parts = [f"{len(found)} {{}}{verbs[len(found) != 1]}" for found, verbs in phrases if found]
    of = f"of {counted(len(sections), 'installation')} "
    return ", ".join(part.format("" if index else of) for index, part in enumerate(parts))
