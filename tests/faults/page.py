# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Generates docs/faults.md from table.py and seen.json: `python -m tests.faults.page [--write]`.

A run of test_matrix.py with FAULTS_SEEN=tests/faults/seen.json records the results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.faults.table import FAULTS, OPERATIONS, Cell

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "faults.md"
SEEN = Path(__file__).with_name("seen.json")
_HEAD = """# What faults do

Observed behaviour of each operation when a component fails while it runs. `tests/faults/table.py` contains the
expected behaviour. The results are from a run of `tests/faults/test_matrix.py` on a real cluster; the names of
other tests that show the behaviour are listed with them. This page is generated from both: do not edit it.

**In all cases**, older backups are unchanged byte for byte; no partial file gets a final name; a backup without one of
the databases is incomplete; no Job, pod or temporary database remains; and the next run succeeds. The watch reports
each fault that leaves the installation unhealthy once, and its end once. The matrix checks this after each fault.
There is one exception: a run cannot delete its partial file while its volume is missing or read-only. This file is
deleted after a day.
"""
_LONGEST = 400


def what_was_seen() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(SEEN.read_text())
    return found


def page(seen: dict[str, dict[str, str]]) -> str:
    """The text of the page."""
    parts = [_HEAD, "## Operations\n", *(f"- **{name}**: {text}" for name, text in OPERATIONS.items()), ""]
    parts += ["## Summary\n", _row("fault", *OPERATIONS), _row(*["---"] * (len(OPERATIONS) + 1))]
    groups = _groups()
    for title, names in groups.items():
        parts += [
            _row(_link(name, title), *(FAULTS[name].cells[operation].word for operation in OPERATIONS))
            for name in names
        ]
    for title, names in groups.items():
        parts += ["", *_section(title, {name.removeprefix(_subject(title, names)): name for name in names}, seen)]
    return "\n".join(parts) + "\n"


def _groups() -> dict[str, list[str]]:
    """The faults of each section by its title: two ways in which one component fails share a section."""
    by_component: dict[tuple[str, str], list[str]] = {}
    for name, fault in FAULTS.items():
        by_component.setdefault((name.rpartition(" ")[0], fault.advice), []).append(name)
    return {
        f"{component} {' or '.join(name.rpartition(' ')[2] for name in names)}": names
        for (component, _), names in by_component.items()
    }


def _subject(title: str, names: list[str]) -> str:
    """What the names of a section's faults begin with; empty for a section of one fault."""
    return f"{names[0].rpartition(' ')[0]} " if len(names) > 1 else title


def _link(name: str, title: str) -> str:
    anchor = "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter == "-")
    return f"[{name}](#{anchor})"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _section(title: str, names: dict[str, str], seen: dict[str, dict[str, str]]) -> list[str]:
    """One section; `names` are its faults by a distinguishing word, which is empty for a single fault."""
    lines = [f"## {title}", ""]
    for word, name in names.items():
        lines += [f"How the test causes it{word and f' ({word})'}: {FAULTS[name].made}", ""]
    lines += [f"What to do: {next(FAULTS[name].advice for name in names.values())}", ""]
    lines += [_row("operation", "behaviour", "result and tests"), _row("---", "---", "---")]
    rows: dict[tuple[str, str], list[str]] = {}
    for operation in OPERATIONS:
        cells = {word: FAULTS[name].cells[operation] for word, name in names.items()}
        expected = _joined({word: _expected(cell) for word, cell in cells.items()})
        shown = {word: _shown_by(cells[word], seen.get(name, {}).get(operation, "")) for word, name in names.items()}
        rows.setdefault((expected, _joined(shown)), []).append(operation)
    return lines + [_row(", ".join(operations), *texts) for texts, operations in rows.items()]


def _expected(cell: Cell) -> str:
    return f"Like {cell.like}." if cell.like else cell.expected


def _joined(texts: dict[str, str]) -> str:
    """One text, if it is the same for all faults of the section, else each after the word for its fault."""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return " ".join(f"{word.capitalize()}: {text}" for word, text in texts.items())


def _shown_by(cell: Cell, seen: str) -> str:
    parts = []
    if cell.seen:
        text = seen if len(seen) <= _LONGEST else f"{seen[:_LONGEST]}…"
        parts.append(f"`{text.replace('|', '/').replace('`', chr(39))}`")
    parts += [f"`{test.rpartition('::')[2]}` ({test.partition('::')[0].removeprefix('tests/')})" for test in cell.tests]
    return "; ".join(parts) or "–"


def main() -> None:
    text = page(what_was_seen())
    if "--write" in sys.argv[1:]:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
