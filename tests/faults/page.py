# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""docs/faults.md, made from table.py and seen.json: `python -m tests.faults.page [--write]`.

A run of test_matrix.py with FAULTS_SEEN=tests/faults/seen.json records what it sees.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.faults.table import FAULTS, OPERATIONS, Cell, Fault

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = CHECKOUT / "docs" / "faults.md"
SEEN = Path(__file__).with_name("seen.json")
_HEAD = """# What faults do

Each fault meets each operation, in its middle where it has one. What is expected is written down in
`tests/faults/table.py`. What was seen is from a run of `tests/faults/test_matrix.py` on a real cluster;
other tests that show it are named. This page is made of both: do not edit it.

**Always**: every older backup stays byte for byte as it was; no half-written backup has a final name; no Job, pod or
database of a restore is left over; and the next good run works. The matrix checks it after each fault. One thing may
stay: the partial of a run that a vanished or read-only volume did not let tidy up. It goes after a day.
"""
_LONGEST = 400


def what_was_seen() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(SEEN.read_text())
    return found


def page(seen: dict[str, dict[str, str]]) -> str:
    """The whole text."""
    parts = [_HEAD, "## Operations\n", *(f"- **{name}**: {text}" for name, text in OPERATIONS.items()), ""]
    parts += ["## In short\n", _row("fault", *OPERATIONS), _row(*["---"] * (len(OPERATIONS) + 1))]
    parts += [_row(_link(name), *(fault.cells[each].word for each in OPERATIONS)) for name, fault in FAULTS.items()]
    for name, fault in FAULTS.items():
        parts += ["", *_section(name, fault, seen.get(name, {}))]
    return "\n".join(parts) + "\n"


def _link(name: str) -> str:
    anchor = "".join(letter for letter in name.lower().replace(" ", "-") if letter.isalnum() or letter == "-")
    return f"[{name}](#{anchor})"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _section(name: str, fault: Fault, seen: dict[str, str]) -> list[str]:
    lines = [f"## {name}", "", f"How it is made: {fault.made}", "", f"What to do: {fault.advice}", ""]
    lines += [_row("operation", "what happens", "what was seen"), _row("---", "---", "---")]
    for operation in OPERATIONS:
        cell = fault.cells[operation]
        expected = f"As {cell.like}." if cell.like else cell.expected
        lines.append(_row(operation, expected, _shown_by(cell, seen.get(operation, ""))))
    return lines


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
