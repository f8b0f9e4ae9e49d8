# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The output of sections.awk for a text, with each awk that images contain."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests.script.support.combinations import AWKS, program
from tests.script.support.programs import REPOSITORY

FILES = REPOSITORY / "roles" / "postgres_backup" / "files"
PROGRAM = ("-f", str(FILES / "sql_lexer.awk"), "-f", str(FILES / "sections.awk"))
# Its text is passed through `tr`, and with a newline more.
_FEED = """{ tr -d '\\000'; echo; } | "$@" """


@dataclass(frozen=True)
class Facts:
    """`sections` are each one's offset, length, body's offset and name; `line` is the reason's, `missing` JSON."""

    kind: str
    reason: str
    line: int
    size: int
    sections: tuple[tuple[int, int, int, bytes], ...]
    encodings: tuple[str, ...]
    missing: str


def awk_command(awk: str) -> list[str]:
    return [str(program(awk)), *(["awk"] if awk == "busybox" else [])]


def facts(text: bytes, awk: str) -> Facts:
    command = [*awk_command(awk), *PROGRAM]
    done = subprocess.run(
        ["sh", "-c", _FEED, "sh", *command],
        input=text,
        capture_output=True,
        check=False,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    single: dict[bytes, bytes] = {}
    sections, encodings = [], []
    for line in done.stdout.split(b"\n")[:-1]:
        word, _, rest = line.partition(b" ")
        if word == b"section":
            offset, length, body, encoding, name = rest.split(b" ", 4)
            sections.append((int(offset), int(length), int(body), name))
            encodings.append(encoding.decode())
        else:
            assert word not in single
            single[word] = rest
    reason, line_number, _ = single.get(b"reason", b" 0 ").split(b" ", 2)
    assert (single.get(b"complete") == b"yes") == (not reason)
    return Facts(
        single[b"kind"].decode(),
        reason.decode(),
        int(line_number),
        int(single[b"bytes"]),
        tuple(sections),
        tuple(encodings),
        single.get(b"missing", b"").decode(),
    )


__all__ = ["AWKS", "FILES", "Facts", "awk_command", "facts"]
