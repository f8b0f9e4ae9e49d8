# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
r"""Text chunks of a dump to its contents.

What pg_dumpall and pg_dump write in their plain format (src/bin/pg_dump/pg_dumpall.c, pg_dump.c,
pg_backup_archiver.c, dumputils.c of PostgreSQL 9.6 to 19), as psql would understand it: the lexer distinguishes
statements, commands and comments from text in strings or data that only resembles them.

Before 12, no comment names a section's database: the section begins with the \connect before pg_dump's first comment,
in 11 with that comment and CREATE DATABASE. Before 11, all databases are created among the globals, which also have
their settings and rights, and pg_dump names tables without their schema (before 10.3): it is the first of search_path.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import NoReturn

from ..errors import (
    DumpError,
    ForeignTextError,
    IncompleteDumpError,
    MoreThanOneDumpError,
    NotADumpError,
    TextAfterDumpError,
)
from .backup_header import HEADER_BYTES, read_header
from .contents import Contents, Database, Table
from .database_statements import CREATE_DATABASE, DatabaseStatements
from .encodings import codec_of, decode
from .identifiers import IDENTIFIER, PLAIN_IDENTIFIER, decoded_name, folded, unquoted
from .other_formats import BYTE_ORDER_MARK, other_format
from .psql_commands import arguments_of, database_name, is_idle
from .section_statements import SectionStatements
from .sql_lexer import SqlLexer

# The comments between statements that mark the parts of a dump (the line of dashes before them belongs to them).
_MARKERS = re.compile(
    rb"^(?:--\r?\n)?-- (?:PostgreSQL database (?:cluster )?dump(?: complete)?"
    rb"|Database \"[^\r\n]*\" dump"
    rb"|Dumped (?:from database|by pg_dump) version [^\r\n]*"
    rb"|Databases that could not be dumped: [^\r\n]*)\r?(?=\n)",
    re.MULTILINE,
)
_HINT = b"ump"  # of "dump" and "Dumped"
_CLUSTER, _CLUSTER_END = b"-- PostgreSQL database cluster dump", b"-- PostgreSQL database cluster dump complete"
_DATABASE, _DATABASE_END = b"-- PostgreSQL database dump", b"-- PostgreSQL database dump complete"
_FROM, _BY = b"-- Dumped from database version ", b"-- Dumped by pg_dump version "
_SECTION = b'-- Database "'
# What a run writes directly before the end of an incomplete backup, with the names as a JSON array.
_MISSING = b"-- Databases that could not be dumped: "
# The lengths of what is between the line of that comment and the end's comment: a newline, `--` and an empty line.
_BEFORE_END = frozenset({len(b"\n--\n\n"), len(b"\n--\r\n\r\n")})
# What follows the last marker, to the text's end.
_TAIL = b"\n--\n\n"
_TAIL_UNRESTRICT = re.compile(rb"\n--\n\n\\unrestrict [A-Za-z0-9]+\n\n")
_TAIL_UNRESTRICT_BEGUN = re.compile(rb"\n--\n\n(?:\\(?:[a-z]{0,10}|unrestrict [A-Za-z0-9]*\n?))?")
_TAIL_BYTES = 4096
_QUALIFIED = rb"\s+(" + IDENTIFIER + rb")(?:\s*\.\s*(" + IDENTIFIER + rb"))?"
# The form that pg_dump writes: the text format, without options.
_COPY = re.compile(
    rb"COPY" + _QUALIFIED + rb"\s*(\((?:[^\"()]|\"[^\"]*\")*\))?\s*(WITH\s+OIDS\s+)?FROM\s+STDIN\s*;",
    re.IGNORECASE,
)
# The form in which pg_dump writes it where no name is quoted.
_USUAL_COPY = re.compile(
    rb"COPY (%(name)s)\.(%(name)s) \((%(name)s(?:, %(name)s)*)\) FROM stdin;" % {b"name": PLAIN_IDENTIFIER}
)
_COLUMN = re.compile(rb"[^\",()\s]+|\"[^\"]*\"")
_COLUMNS = re.compile(rb"\(\s*(?:(?:\"(?:[^\"]|\"\")*\"|[^\",()\s]+)\s*(?:,\s*)?)+\)")
_QUOTED_OR_COMMENT = re.compile(rb"('[^']*'|\"[^\"]*\")|--[^\n\r]*|/\*.*?\*/", re.DOTALL)
_INSERT = re.compile(rb"INSERT\s+INTO" + _QUALIFIED, re.IGNORECASE)
_CREATE_TABLE = re.compile(rb"CREATE\s+(?:UNLOGGED\s+)?TABLE(?:\s+IF\s+NOT\s+EXISTS)?" + _QUALIFIED)
_CREATE_ROLE = re.compile(rb"CREATE\s+(?:ROLE|USER)\s+(" + IDENTIFIER + rb")\s*;")
_CREATE_TABLESPACE = re.compile(rb"CREATE\s+TABLESPACE\s+(" + IDENTIFIER + rb")")
_UPDATE = re.compile(rb"UPDATE\s+(?:pg_catalog\.)?\"?pg_", re.IGNORECASE)
_SEARCH_PATH = re.compile(rb"SET\s+search_path\s*(?:=|TO)\s*(" + IDENTIFIER + rb")", re.IGNORECASE)
_BEGIN = re.compile(rb"(BEGIN|COMMIT)(?:\s+(?:WORK|TRANSACTION))?\s*;")
_SET = re.compile(rb"SET\s+(client_encoding|standard_conforming_strings)\s*(?:=|TO)\s*'?([^';]*)'?\s*;", re.IGNORECASE)
_COMMAND = re.compile(rb"\\([^\s\\]+)\s*(.*)", re.DOTALL)


class _RefusedError(Exception):
    """An error was detected, so that the rest of the text need not be read."""


class _Section(DatabaseStatements):
    """A database while it is being read."""

    def __init__(self, offset: int) -> None:
        super().__init__()
        self.offset = offset
        self.end: int | None = None
        self.body_offset: int | None = None
        self.is_open = False  # between pg_dump's first and last comment
        self.was_open = False
        self.tables: dict[tuple[bytes, bytes], int] = {}
        self.codecs: dict[tuple[bytes, bytes], str] = {}
        self.created: bytes | None = None  # the name in CREATE DATABASE
        self.connected_to: bytes | None = None

    def connect(self, name: bytes, end: int) -> bool:
        r"""At a \connect that ends there: whether it names the section's database.

        Names that are not ASCII are not compared: pg_dump escapes their bytes, which may be parts of characters.
        """
        expected = self.created or self.connected_to or name
        self.connected_to, self.body_offset = name, end
        self.statements.connected()
        return name == expected or not (name + expected).isascii()

    def to_database(self, text_bytes: int, roles: dict[bytes, str] | None) -> Database:
        """What was read; `roles` are those of the dump, by their bytes."""
        end = text_bytes if self.end is None else self.end
        options = self.create_options
        tables = []
        for (schema, name), rows in self.tables.items():
            codec = self.codecs.get((schema, name), "utf-8") if self.codecs else "utf-8"
            tables.append(Table(decode(schema, codec), decode(name, codec), rows))
        return Database(
            name=self.name,
            offset_bytes=self.offset,
            body_offset_bytes=self.offset if self.body_offset is None else self.body_offset,
            length_bytes=end - self.offset,
            rows=sum(self.tables.values()),
            owner=self.owner,
            encoding=options.get("encoding"),
            locale_provider=options.get("locale_provider"),
            locale=options.get("locale", options.get("lc_collate")),
            create_options=dict(options),
            settings=dict(self.settings),
            role_settings=tuple(self.role_settings),
            properties=tuple(self.statements.properties),
            roles=self.statements.roles(roles),
            tables=tuple(tables),
        )


class DumpReader:
    """Feed it text, then call `finish`, which returns the contents or raises an error."""

    def __init__(self) -> None:
        self._lexer = SqlLexer(self, _MARKERS, _HINT)
        self._bytes = 0
        self._held: bytes | None = b""  # the first bytes, until it is known whether they are a byte order mark
        self._begin = b""
        self._last = b""
        self._codec = "utf-8"
        self._standard_strings = True
        self._kind: str | None = None
        self._globals_offset = 0
        self._server_version: str | None = None
        self._pg_dump_version: str | None = None
        self._roles: dict[bytes, str] = {}
        self._tablespaces: list[str] = []
        self._sections: list[_Section] = []
        self._section: _Section | None = None
        self._key: bytes | None = None  # of \restrict
        self._was_restricted = False
        self._target: tuple[bytes, bytes] | None = None  # whose COPY data is being read
        self._block_rows = 0
        self._end: int | None = None  # where the last marker's line ends
        self._end_offset = 0  # where its comment begins
        # The comment about missing databases, if it was the last marker: its offset, where its line ends, the names.
        self._missing_comment: tuple[int, int, bytes] | None = None
        self._missing: tuple[str, ...] = ()
        self._refused: DumpError | None = None
        self._complete = False
        self._schema = b"public"  # of names that have none
        self._early: int | None = None  # the offset of a statement before the first section that has rows
        self._copy_offset = 0  # of the COPY whose data is being read
        self._transaction = 0  # the line of a BEGIN without its COMMIT
        # Before version 12, the \\connect that may begin a section: its offset, where its line ends, the database.
        self._connected: tuple[int, int, bytes] | None = None
        # Before version 11, the databases that the globals declare.
        self._declared: dict[str, _Section] = {}
        self._session = SectionStatements()

    # -------------------------------------------------------------------------------------------------------- feeding

    def feed(self, chunk: bytes) -> None:
        """Read any number of bytes more."""
        if len(self._begin) < HEADER_BYTES and not self._bytes > HEADER_BYTES:
            self._begin += chunk[: HEADER_BYTES - len(self._begin)]
        at = self._bytes
        self._bytes += len(chunk)
        self._last = chunk[-_TAIL_BYTES:] if len(chunk) >= _TAIL_BYTES else (self._last + chunk)[-_TAIL_BYTES:]
        if self._refused is not None:
            return
        if self._held is not None:
            # Whether the text begins with a byte order mark is known when its first bytes were read.
            self._held += chunk
            if len(self._held) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(self._held):
                return
            chunk, at = self._held, 0
            self._held = None
            if chunk.startswith(BYTE_ORDER_MARK):
                chunk, at = chunk[len(BYTE_ORDER_MARK) :], len(BYTE_ORDER_MARK)
                self._lexer.skip_mark(at)
        self._feed(chunk, at)

    def _feed(self, chunk: bytes, offset: int) -> None:
        with suppress(_RefusedError):
            if self._lexer.feed_rows(chunk):
                return
            zero = chunk.find(b"\0")
            self._lexer.feed(chunk if zero < 0 else chunk[:zero])
            if zero >= 0:
                self.not_sql(offset + zero, self._lexer.line_at(offset + zero))

    def finish(self) -> Contents:
        """The contents of one complete dump; for any other text, raises a DumpError with what was read (`partial`)."""
        if self._held and not BYTE_ORDER_MARK.startswith(self._held):
            self._feed(self._held, 0)
        if self._refused is None:
            with suppress(_RefusedError):
                self._lexer.finish()
        error = self._error() if self._refused is None or self._kind is None else self._refused
        if error is not None:
            error.partial = self.contents()
            raise error
        self._complete = True
        return self.contents()

    def contents(self) -> Contents:
        """The contents as far as they were read."""
        roles = self._roles if self._kind == "cluster" else None
        databases = tuple(section.to_database(self._bytes, roles) for section in self._sections)
        kind = self._kind
        if kind == "cluster" and not databases and self._end is not None:
            kind = "globals"
        span = None
        if self._kind == "cluster":
            end = (
                databases[0].offset_bytes if databases else (self._end_offset if self._end is not None else self._bytes)
            )
            span = (self._globals_offset, end - self._globals_offset)
        return Contents(
            complete=self._complete,
            kind=kind,
            header=read_header(self._begin),
            server_version=self._server_version,
            pg_dump_version=self._pg_dump_version,
            roles=tuple(self._roles.values()),
            tablespaces=tuple(self._tablespaces),
            uncompressed_bytes=self._bytes,
            rows=sum(database.rows for database in databases),
            globals_span=span,
            databases=databases,
            missing=self._missing,
        )

    def _error(self) -> DumpError | None:
        """The reason why the text is not one complete dump; None when it is."""
        if self._kind is None:
            instead = other_format(self._begin)
            if self._refused is not None and instead is None:
                return self._refused
            instead = instead or (f"expected a comment '{_CLUSTER.decode()}' or '{_DATABASE.decode()}', found none")
            return NotADumpError(f"this is not a plain dump of pg_dumpall or pg_dump: {instead}", 0)
        expected = _CLUSTER_END if self._kind == "cluster" else _DATABASE_END
        if self._end is None:
            return IncompleteDumpError(
                f"the dump is cut off: expected '{expected.decode()}' as its end, found the end of the text at byte "
                f"{self._bytes}, {self._position()}. The program that wrote it did not finish: use another backup",
                self._bytes,
            )
        return self._end_error(self._end, expected) or (self._not_committed() if self._transaction else None)

    def _end_error(self, end: int, expected: bytes) -> DumpError | None:
        """The error in the text after the last marker; None when that is complete."""
        length = self._bytes - end
        tail = self._last[-length:] if 0 < length <= len(self._last) else b""
        tail = tail.replace(b"\r\n", b"\n").rstrip(b"\r")
        if self._kind == "database" and self._was_restricted:
            is_complete = self._key is None and _TAIL_UNRESTRICT.fullmatch(tail) is not None
            is_begun = _TAIL_UNRESTRICT_BEGUN.fullmatch(tail) is not None
        else:
            is_complete, is_begun = tail == _TAIL, False
        if is_complete:
            return None
        if tail.strip() == b"--" and len(tail) < len(_TAIL):
            return IncompleteDumpError(
                f"the dump's last newline is missing: expected an empty line after '{expected.decode()}', found the "
                f"end of the text at byte {self._bytes}. It has all statements, but the file was changed, or not "
                "written to its end: use another copy or backup",
                self._bytes,
            )
        if is_begun or _TAIL.startswith(tail):
            return IncompleteDumpError(
                f"the dump is cut off in its last lines, after '{expected.decode()}': found the end of the text at "
                f"byte {self._bytes}, expected a few bytes more. Use another backup",
                self._bytes,
            )
        return TextAfterDumpError(
            f"the dump's last lines are not those that pg_dump writes after '{expected.decode()}' at byte "
            f"{self._end_offset}: something was appended or changed. Use another copy",
            end,
        )

    def _place(self) -> str:
        """The part of the dump that is being read, for messages."""
        if self._kind is None:
            return "before the dump's first comment"
        section = self._section
        if section is None:
            return "among the roles and other globals"
        return "in a database" if section.name is None else f"in the database '{section.name}'"

    def _position(self) -> str:
        """Where in the dump the text ends, for messages, without any of its data."""
        place = self._place()
        if self._target is not None:
            place += f", in the rows of {self._table_name()} (after {self._block_rows} of them)"
        else:
            place += f", {self._lexer.where}"
        return place

    # --------------------------------------------------------------------------------------------------- as a handler

    def comment(self, line: bytes, offset: int) -> None:  # noqa: PLR0912 - one branch for each marker
        """A marker between statements."""
        text = line.rstrip(b"\r")
        dashes = text.find(b"\n") + 1
        text = text[dashes:]
        end = offset + len(line)
        section = self._section
        is_open = section is not None and section.is_open
        missing, self._missing_comment = self._missing_comment, None
        if text == _CLUSTER:
            if self._kind is None:
                self._kind, self._globals_offset = "cluster", offset
            else:
                self._more(offset)
        elif text == _DATABASE:
            self._database_begins(offset)
        elif text == _DATABASE_END:
            if section is not None and is_open:
                section.is_open = False
                if self._kind == "database":
                    self._ended(offset, end)
        elif text == _CLUSTER_END:
            if self._kind == "cluster" and not is_open:
                if missing is not None and offset - missing[1] in _BEFORE_END and self._end is None:
                    offset = missing[0]
                    self._missing = _names(missing[2])
                self._ended(offset, end)
        elif text.startswith(_MISSING):
            if self._kind == "cluster" and not is_open:
                self._missing_comment = (offset, end, text[len(_MISSING) :])
        elif text.startswith(_SECTION):
            if self._kind == "cluster" and not is_open and self._end is None:
                self._begin_section(offset).name = decode(text[len(_SECTION) : -len(b'" dump')], self._codec)
        elif text.startswith(_FROM) and is_open and self._server_version is None:
            self._server_version = decode(text[len(_FROM) :], "utf-8")
        elif text.startswith(_BY) and is_open and self._pg_dump_version is None:
            self._pg_dump_version = decode(text[len(_BY) :], "utf-8")

    def _database_begins(self, offset: int) -> None:
        section = self._section
        connected, self._connected = self._connected, None
        if self._end is not None or (section is not None and section.is_open):
            self._more(offset)
        if self._kind is None:
            self._kind = "database"
        if section is None or section.was_open:
            if self._kind == "database" and section is not None:
                self._more(offset)
            if connected is None:
                section = self._begin_section(offset)
            else:
                offset, end, name = connected
                decoded = decode(name, self._codec)
                section = self._begin_section(offset, self._declared.pop(decoded, None))
                section.name = decoded
                section.connect(name, end)
        section.is_open = section.was_open = True

    def _rows_before(self, offset: int) -> NoReturn:
        self._foreign(
            offset,
            "the dump contains rows that belong to none of its databases: expected rows after pg_dump's first comment, "
            f"found some at byte {offset} of the text. Was something written before the dump? Use another backup",
        )

    def _begin_section(self, offset: int, declared: _Section | None = None) -> _Section:
        if self._early is not None:
            self._rows_before(self._early)
        if self._section is not None:
            self._section.end = offset
        self._section = declared or _Section(offset)
        self._section.offset = offset
        self._connected = None
        self._sections.append(self._section)
        self._key = None
        return self._section

    def _ended(self, offset: int, end: int) -> None:
        if self._early is not None:
            self._rows_before(self._early)
        if self._end is None:
            self._end, self._end_offset = end, offset
            if self._kind == "cluster" and self._section is not None:
                self._section.end = offset

    def _refuse(self, error: DumpError) -> NoReturn:
        """Stop reading; the first error is the one that is reported."""
        if self._refused is None:
            self._refused = error
        raise _RefusedError

    def _more(self, offset: int) -> NoReturn:
        self._refuse(
            MoreThanOneDumpError(
                f"the file contains more than one dump: another one begins at byte {offset} of the text. Was a dump "
                "appended to another one, or did two programs write to the same file?",
                offset,
            )
        )

    def _after_end(self, offset: int) -> NoReturn:
        self._refuse(
            TextAfterDumpError(
                f"something follows the dump's end at byte {offset} of the text: expected nothing. "
                "Was something appended to the file? Use another copy",
                offset,
            )
        )

    def _foreign(self, offset: int, message: str) -> NoReturn:
        """Refuse text that psql would not read as part of a dump."""
        if self._end is not None:
            self._after_end(offset)
        self._refuse(ForeignTextError(message, offset))

    def _where(self, offset: int, line: int) -> str:
        return f"line {line} (byte {offset} of the text), {self._place()}"

    def not_sql(self, offset: int, line: int) -> NoReturn:
        self._foreign(
            offset,
            f"the dump contains text that is not SQL of pg_dumpall or pg_dump: {self._where(offset, line)}. psql would "
            "not restore the backup as it was made. Was a program's message written into it (2>&1, kubectl exec with "
            "a terminal)? Use another backup, and keep messages out of the dump",
        )

    def _not_of_a_dump(self, offset: int) -> NoReturn:
        self.not_sql(offset, self._lexer.line_at(offset))

    def not_ended(self, offset: int, line: int) -> NoReturn:
        self._foreign(
            offset,
            f"a statement of the dump begins before the one before it has ended: {self._where(offset, line)}. Some "
            "text is missing there, so that psql would execute neither: use another backup",
        )

    def not_a_row(self, offset: int, line: int, reason: str, rows: int) -> None:
        self.copied(rows, False)
        table = "" if self._target is None else f", in the rows of {self._table_name()}"
        self._foreign(
            offset,
            f"the dump contains a row that PostgreSQL refuses, so that its table would remain empty: {reason}, in "
            f"{self._where(offset, line)}{table}. Was a program's message written into the dump, or were its "
            "line ends or its encoding changed? Use another backup, or copy it again without changing it",
        )

    def _table_name(self) -> str:
        assert self._target is not None  # only called during COPY
        return ".".join(decode(part, self._codec) for part in self._target)

    def _not_committed(self) -> IncompleteDumpError:
        return IncompleteDumpError(
            f"the dump begins a transaction in line {self._transaction} and does not commit it: expected COMMIT before "
            "the end or the next \\connect; psql would restore nothing of it. Use another backup",
            self._bytes,
        )

    def command(self, line: bytes, offset: int, end: int) -> None:
        """A backslash command. Between \\restrict and \\unrestrict psql refuses all others (command.c)."""
        match = _COMMAND.match(line)
        is_cut = end == offset + len(line)
        if match is None:
            if not is_cut:
                self._not_of_a_dump(offset)
            return
        name, rest = match[1], match[2]
        if name == b"unrestrict":
            if rest.strip() == self._key:
                self._key = None
            return
        if name == b"." and not is_cut:
            # The COPY before it was not read as one.
            self._not_of_a_dump(offset)
        if self._key is not None:
            return
        if self._end is not None:
            self._after_end(offset)
        if name == b"restrict":
            self._key = rest.strip()
            self._was_restricted = True
        elif name in (b"connect", b"c") and not is_cut:
            self._connect(arguments_of(rest), offset, end)
        elif name == b"encoding":
            arguments = arguments_of(rest)
            if arguments:
                self._lexer.set_encoding(decode(arguments[0], "utf-8"))
        elif not is_cut and not is_idle(name, rest):
            self._other_command(offset)

    def _other_command(self, offset: int) -> NoReturn:
        self._foreign(
            offset,
            "the dump contains a command of psql that pg_dumpall and pg_dump do not write and that may change what "
            f"is restored: {self._where(offset, self._lexer.line_at(offset))}. Remove it, or use another backup",
        )

    def _elsewhere(self, offset: int) -> NoReturn:
        self._foreign(
            offset,
            "psql would restore objects into another database than theirs: expected \\connect with the database's name "
            f"before its objects, found another name or none: {self._where(offset, self._lexer.line_at(offset))}. Was "
            "a name changed in the dump, or a line removed? Change it everywhere, or use another backup",
        )

    def _connect(self, arguments: list[bytes], offset: int, end: int) -> None:
        positional = [argument for argument in arguments if not argument.startswith(b"-reuse-previous=")]
        self._set_standard_strings(True)
        self._lexer.set_encoding("")
        self._schema = b"public"
        if self._transaction:
            self._refuse(self._not_committed())
        name = database_name(positional[0]) if len(positional) == 1 else None
        if name is None:
            self._other_command(offset)
        if self._kind is None:
            return
        section = self._section
        if section is None or (section.was_open and not section.is_open):
            self._connected = (offset, end, name)
            self._session.connected()
            return
        if not section.connect(name, end):
            self._elsewhere(offset)
        if section.created is None:
            section.name = decode(name, self._codec)

    def copied(self, rows: int, ended: bool) -> None:
        """Rows of COPY data."""
        self._block_rows += rows
        if self._target is not None:
            self._add_rows(self._target, rows, self._copy_offset)
        if ended:
            self._target = None

    def statement(self, text: bytes, offset: int, rows: int) -> bool:
        """A statement; returns whether COPY data follows."""
        first = text[:6].upper()
        if self._end is not None:
            self._after_end(offset)
        if first[:4] == b"COPY":
            self._copy(text, offset)
            return True
        if first == b"INSERT":
            insert = _INSERT.match(text)
            if insert is None or not rows:
                self._not_of_a_dump(offset)
            self._add_rows(self._table(insert), rows, offset)
        elif first == b"CREATE":
            self._create(text, offset)
        elif first[:5] in (b"BEGIN", b"COMMI"):
            self._begin_or_commit(text, offset)
        elif first == b"UPDATE" and not _UPDATE.match(text):
            self._not_of_a_dump(offset)
        else:
            if first[:3] == b"SET":
                self._set(text)
            if self._section is None:
                self._read_globals(text, offset)
            else:
                if first == b"ALTER " and text[6:9] in (b"DAT", b"ROL"):
                    self._section.alter(text, self._codec)
                self._read_section(self._section, text, offset)
        return False

    def _begin_or_commit(self, text: bytes, offset: int) -> None:
        if _BEGIN.fullmatch(text) is None:
            self._not_of_a_dump(offset)
        self._transaction = self._lexer.line_at(offset) if text[:1] in (b"B", b"b") else 0

    def _read_globals(self, text: bytes, offset: int) -> None:
        """Read a statement of the globals, which before version 11 may be about a database."""
        about = self._session.read(text, self._codec)
        if about is None:
            return
        section = self._declared_section(decoded_name(about[about.lastindex or 0], self._codec))
        if text[6:9] in (b"DAT", b"ROL"):
            section.alter(text, self._codec)
        section.statements.continue_session(self._session)
        self._read_section(section, text, offset)

    def _declared_section(self, name: str) -> _Section:
        section = self._declared.setdefault(name, _Section(0))
        section.name = name
        return section

    def _read_section(self, section: _Section, text: bytes, offset: int) -> None:
        """Read a section's statement: keep it if it is about the section's database, and the roles that it names."""
        about = section.statements.read(text, self._codec)
        if about is not None and decoded_name(about[about.lastindex or 0], self._codec) == section.name:
            length = self._lexer.end - offset
            section.statements.add_property(about, offset, length, self._codec, self._standard_strings)

    def _copy(self, text: bytes, offset: int) -> None:
        copy = _USUAL_COPY.match(text)
        if copy is not None:
            columns = copy[3].count(b",") + 1
        else:
            copy = _COPY.fullmatch(_without_comments(text))
            if copy is None:
                self._not_of_a_dump(offset)
            columns = _columns(copy[3]) + int(copy[4] is not None) if copy[3] else 0
        self._lexer.set_columns(columns)
        self._target = self._table(copy)
        self._block_rows = 0
        self._copy_offset = offset
        self._add_rows(self._target, 0, offset)

    def _table(self, statement: re.Match[bytes]) -> tuple[bytes, bytes]:
        """The schema and the name of a table in a statement."""
        first, second = statement[1], statement[2]
        return (self._schema, folded(first)) if second is None else (folded(first), folded(second))

    def _add_rows(self, table: tuple[bytes, bytes], rows: int, offset: int) -> None:
        section = self._section
        if section is None:
            if rows and self._early is None:
                self._early = offset
            return
        if section.body_offset is None and (self._kind == "cluster" or section.created is not None):
            self._elsewhere(offset)
        section.tables[table] = section.tables.get(table, 0) + rows
        if self._codec != "utf-8":
            section.codecs[table] = self._codec

    def _create(self, text: bytes, offset: int) -> None:
        section = self._section
        if section is None:
            role = _CREATE_ROLE.match(text)
            if role is not None:
                self._roles[unquoted(role[1])] = decoded_name(role[1], self._codec)
                return
            tablespace = _CREATE_TABLESPACE.match(text)
            if tablespace is not None:
                self._tablespaces.append(decoded_name(tablespace[1], self._codec))
                return
            database = CREATE_DATABASE.match(text)
            if database is not None:
                section = self._declared_section(decoded_name(database[1], self._codec))
                section.create(database, self._codec, self._standard_strings)
                section.take_later(database, offset, self._lexer.end - offset, self._codec, self._standard_strings)
            return
        table = _CREATE_TABLE.match(text)
        if table is not None:
            self._add_rows(self._table(table), 0, offset)
            return
        database = CREATE_DATABASE.match(text) if section.created is None else None
        if database is not None:
            section.created = unquoted(database[1])
            section.create(database, self._codec, self._standard_strings)
        section.statements.read(text, self._codec)

    def _set(self, text: bytes) -> None:
        setting = _SET.match(text)
        if setting is None:
            path = _SEARCH_PATH.match(text)
            if path is not None:
                self._schema = folded(path[1])
            return
        value = decode(setting[2], "utf-8").strip()
        if setting[1].lower() == b"client_encoding":
            self._codec = codec_of(value)
            self._lexer.set_encoding(value)
        else:
            self._set_standard_strings(value.lower() not in ("off", "false", "0", "no"))

    def _set_standard_strings(self, on: bool) -> None:
        self._standard_strings = on
        self._lexer.set_standard_strings(on)


def _names(text: bytes) -> tuple[str, ...]:
    """The names in a JSON array; a text of another form is returned as it is, so that it is noticed."""
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return (text.decode("utf-8", "backslashreplace"),)


def _without_comments(text: bytes) -> bytes:
    return _QUOTED_OR_COMMENT.sub(lambda part: part[1] or b" ", text)


def _columns(names: bytes) -> int:
    """The number of columns in a list in parentheses; 0 for a list in an unusual form."""
    return len(_COLUMN.findall(names.replace(b'""', b""))) if _COLUMNS.fullmatch(names) else 0
