# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Texts of backups that name missing databases before their end, and texts in which something resembles that."""

from __future__ import annotations

from dataclasses import dataclass

from tests.backup_parts import END, make_backup, missing_comment
from tests.script.support.programs import REPOSITORY

CLUSTER = (REPOSITORY / "tests/unit/plugins/module_utils/dumps/18-all.sql").read_bytes()
COMMENT = missing_comment(("fake",))


@dataclass(frozen=True)
class Text:
    """A text, and the databases that are missing in it."""

    text: bytes
    missing: tuple[str, ...] = ()


def _before_end(inserted: bytes) -> bytes:
    assert CLUSTER.endswith(END)
    return CLUSTER[: -len(END)] + inserted + END


def _in_a_database(inserted: bytes) -> bytes:
    """Between two statements of the last database."""
    at = CLUSTER.rindex(b"--\n-- PostgreSQL database dump complete")
    return CLUSTER[:at] + inserted + CLUSTER[at:]


def _in_globals(inserted: bytes) -> bytes:
    at = CLUSTER.index(b"CREATE ROLE")
    return CLUSTER[:at] + inserted + CLUSTER[at:]


NAMES = ("sick", 'a "quoted"\\name', "ünïcode\U0001f418", "two\nlines", "x" * 63)

TEXTS = {
    "complete": Text(CLUSTER),
    "one": Text(_before_end(missing_comment(("sick",))), ("sick",)),
    "names": Text(_before_end(missing_comment(NAMES)), NAMES),
    "without-the-database": Text(make_backup(CLUSTER, without={"app": "x"}).text, ("app",)),
    "without-the-last-database": Text(make_backup(CLUSTER, without={"postgres": "x"}).text, ("postgres",)),
    "carriage-returns": Text(_before_end(missing_comment(("sick",))).replace(b"\n", b"\r\n"), ("sick",)),
    "not-json": Text(_before_end(missing_comment(("sick",)).replace(b'["sick"]', b"sick")), ("sick",)),
    "twice": Text(_before_end(COMMENT + missing_comment(("sick",))), ("sick",)),
    "in-a-database": Text(_in_a_database(COMMENT)),
    "in-a-string": Text(_in_a_database(b"COMMENT ON TABLE public.t IS '\n" + COMMENT + b"';\n")),
    "in-a-function": Text(
        _in_a_database(b"CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$\n" + COMMENT + END + b"$_$;\n")
    ),
    "in-a-comment": Text(_in_a_database(b"/*\n" + COMMENT + b"*/\n")),
    "in-rows": Text(
        _in_a_database(b"COPY public.other (a) FROM stdin;\n" + COMMENT.replace(b"\n\n", b"\n") + b"\\.\n")
    ),
    "in-the-globals": Text(_in_globals(COMMENT)),
    "in-the-name-of-a-role": Text(_in_globals(b'--\n-- User Config "x\n' + COMMENT + b'-- "\n--\n\n')),
    "before-a-statement": Text(_before_end(COMMENT + b"SELECT 1;\n")),
    "before-another-comment": Text(_before_end(COMMENT + b"-- x\n")),
}
