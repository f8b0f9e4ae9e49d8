# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The pages for people, and what stands in them: fenced blocks, commands, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
ROLE = CHECKOUT / "roles" / "postgres_backup"
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")), ROLE / "README.md"]
NAMES = [str(path.relative_to(CHECKOUT)) for path in PAGES]


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is its first one."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Each command of a shell block, without its comment; a command with a continuation line is one line."""
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        return [command for command in (re.sub(r"\s+# .*$", "", line).strip() for line in lines) if command]


def blocks(page: str) -> list[Block]:
    found: list[Block] = []
    open_at: int | None = None
    language, kept = "", [""]
    for number, line in enumerate((CHECKOUT / page).read_text().splitlines(), start=1):
        if not line.lstrip().startswith("```"):
            kept.append(line)
        elif open_at is None:
            open_at, language, kept = number, line.strip().removeprefix("```"), []
        else:
            found.append(Block(page, open_at, language, "\n".join(kept) + "\n"))
            open_at = None
    assert open_at is None, f"{page}:{open_at}: the fence is not closed"
    return found


ALL = [block for page in NAMES for block in blocks(page)]


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", (CHECKOUT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def rows(page: str) -> Iterator[dict[str, str]]:
    """Each row of the page's tables, by the columns' titles."""
    titles: list[str] = []
    for line in prose(page).splitlines():
        if not line.startswith("|"):
            titles = []
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not titles:
            titles = cells
        elif set(line) - set("|-: "):
            yield dict(zip(titles, cells, strict=True))


def spans(cell: str) -> list[str]:
    """The pieces of code in a text."""
    return re.findall(r"`([^`]+)`", cell)
