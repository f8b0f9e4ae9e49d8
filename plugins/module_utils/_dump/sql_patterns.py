# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The patterns by which the lexer reads statements; the rules are those of PostgreSQL's src/fe_utils/psqlscan.l."""

from __future__ import annotations

import re

# A word that may mean something together with what follows is at most this long.
WORD_BYTES = 64
# What a dump's statements begin with (src/bin/pg_dump of PostgreSQL 8 to 19), as pg_dump writes it. A first line that
# is nothing but capitals is the tag of a command that was run, as psql prints it.
FIRST_WORD = re.compile(
    rb"(?:ALTER|BEGIN|COMMENT|COMMIT|COPY|CREATE|DROP|GRANT|INSERT|REFRESH|RESET|REVOKE|SECURITY|SELECT|SET|UPDATE)"
    rb"(?![A-Za-z0-9_$\x80-\xff])(?![A-Z0-9 ]{0,40}\r?\n)|;"
)
# A line with which pg_dump begins a statement. Those within one begin with blanks, unless they are in a string.
STATEMENT_LINE = re.compile(rb"\n(?:ALTER|COMMENT ON|COPY|CREATE|DROP|GRANT|INSERT INTO|REVOKE|SELECT|SET|UPDATE) ")
# That may become one with more text; or a comment, after which the statement begins.
NOT_A_WORD_YET = re.compile(rb"(?:[A-Z]*|[/-])\Z|/\*")

SPACE = b" \\t\\n\\r\\f"
WORD = b"A-Za-z0-9_$\\x80-\\xff"
GAP = re.compile(rb"[" + SPACE + rb"]*(?:--[^\n\r]*[\n\r][" + SPACE + rb"]*)*")
WORD_BYTES_SET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$&-/*") | frozenset(
    range(128, 256)
)
IDENTIFIER_SET = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$") | frozenset(
    range(128, 256)
)
# `name: ` is how a program's message begins; SQL has a colon only doubled, in := and [1:2], after a blank
# (JSON_OBJECT in ruleutils.c, get_json_constructor), or in [1: before a CASE on a separate line (get_rule_expr).
STOP = re.compile(rb"['\"$;\\()]|--|/\*|(?<![" + SPACE + rb":\[]):(?![:=])")
BEFORE_A_CASE = re.compile(rb":\r?\n *CASE(?![" + WORD + rb"])")
BEFORE_A_CASE_BEGUN = re.compile(rb":(?:\r|\r?\n *(?:C|CA|CAS|CASE)?)\Z")
# psql counts BEGIN, CASE and END only in a statement that creates a function or procedure (psqlscan.l, {identifier}).
STOP_IN_ROUTINE = re.compile(
    STOP.pattern + rb"|(?<![" + WORD + rb"])(?:[bB][eE][gG][iI][nN]|[cC][aA][sS][eE]|[eE][nN][dD])(?![" + WORD + rb"])"
)
ROUTINE = re.compile(
    rb"CREATE["
    + SPACE
    + rb"]+(?:OR["
    + SPACE
    + rb"]+REPLACE["
    + SPACE
    + rb"]+)?(?:FUNCTION|PROCEDURE)(?!["
    + WORD
    + rb"])",
    re.I,
)
# What may become one of these with more text.
BEGUN = re.compile(rb"(?:CREATE|INSERT)(?:[ \t\n\r\f]+(?:OR|REPLACE))*[ \t\n\r\f]*[A-Z]{0,9}\Z", re.IGNORECASE)
DOLLAR = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$")
DOLLAR_BEGUN = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\Z")
COMMENT = re.compile(rb"/\*|\*/")
LINE_END = re.compile(rb"[\n\r]")
BLANK_BYTES = frozenset((b" ", b"\t", b"\n", b"\r", b"\f"))
INSERT = re.compile(rb"INSERT[" + SPACE + rb"]+INTO(?![" + WORD + rb"])", re.I)


def _simple(strings: bytes, levels: int, with_messages: bool = False) -> bytes:
    """A pattern for text without surprises, in parentheses at most so many levels deep.

    Each alternative begins with a byte that no other can match, so that a failing match takes linear time. Patterns
    `with_messages` do not distinguish the colons of STOP, and take a fifth less time.
    """
    plain = rb"[^'\"$;\\/()\-%s]*" % (b"" if with_messages else b":")
    atoms = strings + rb"|\"[^\"\\]*\"|-(?!-)|/(?!\*)"
    if not with_messages:
        atoms += rb"|:(?![" + SPACE + rb"])"
    pattern = plain + rb"(?:(?:" + atoms + rb")" + plain + rb")*"
    for _level in range(levels):
        pattern = plain + rb"(?:(?:" + atoms + rb"|\(" + pattern + rb"\))" + plain + rb")*"
    return pattern


# With standard_conforming_strings a backslash means nothing, unless a letter (or the & of U&'') is before the quote.
_STANDARD_STRINGS = rb"(?<![A-Za-z&])'[^']*'|(?<=[A-Za-z&])'[^'\\]*'(?!')"
_ESCAPE_STRINGS = rb"'[^'\\]*'"
_DEEP = 3


class _Patterns:
    """The patterns that depend on standard_conforming_strings."""

    def __init__(self, strings: bytes) -> None:
        self.statement = re.compile(_simple(strings, _DEEP) + rb";")
        self.values = _simple(strings, 2)
        self.values_with_messages = _simple(strings, 2, with_messages=True)
        self.one_row = re.compile(
            rb"(INSERT INTO [^'\"$;\\/():\-]*(?:\"[^\"\\]*\"[^'\"$;\\/():\-]*)*"
            + rb"(?:\([^'$;\\/()]*\)[^'\"$;\\/():\-]*)?VALUES \()"
            + self.values
            + rb"\)(?: ON CONFLICT DO NOTHING)?;\n"
        )


PATTERNS = {True: _Patterns(_STANDARD_STRINGS), False: _Patterns(_ESCAPE_STRINGS)}
