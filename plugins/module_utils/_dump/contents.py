# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The contents of a dump as values; `to_dict` returns them as modules return them and write them as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Header:
    """What a run wrote before pg_dumpall's text; None for a line that is missing or not understood.

    `databases_excluded` and `left_out` are what was left out on request: databases, and what the variables of the role
    name for tables, rows and arguments.
    """

    collection_version: str
    started: str | None = None
    server: str | None = None
    server_version: str | None = None
    pg_dumpall_version: str | None = None
    bootstrap_superuser: str | None = None
    databases_skipped: tuple[str, ...] = ()
    databases_excluded: tuple[str, ...] = ()
    left_out: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "databases_skipped": list(self.databases_skipped),
            "databases_excluded": list(self.databases_excluded),
        }


@dataclass(frozen=True)
class Table:
    """A table that the dump creates or contains rows of."""

    schema: str
    name: str
    rows: int


@dataclass(frozen=True)
class Property:
    """A statement about the database itself: its text before and after the database's name, which is left out.

    With another quoted name between them, it is the statement for another database, to be run in a session on that
    database, with any client_encoding: pg_dump writes the names of roles with their bytes in the shared catalogs, which
    are decoded here by the section's encoding. A new name that is not ASCII can be used only with UTF8. Where the
    statement grants as another role, SET and RESET SESSION AUTHORIZATION are part of the text. `after` is None when the
    statement is too long to be kept (HEAD_BYTES in sql_lexer.py). Offset and length are those of the statement in the
    dump, in bytes of uncompressed text, from its first word to its semicolon.
    """

    before: str
    after: str | None
    offset_bytes: int
    length_bytes: int


@dataclass(frozen=True)
class Database:
    """A database's section of the dump.

    `owner`, `encoding`, `locale_provider`, `locale` and `create_options` are those of its CREATE DATABASE and ALTER
    DATABASE … OWNER, None or empty where the dump has none (`postgres` and `template1` exist already); the options
    `connection_limit` and `is_template` come from ALTER DATABASE, and are among the properties, too. `settings`
    maps names to the SQL text after TO. `properties` are in the order of the text; those at or after
    `body_offset_bytes` are part of the body, and would change the database that has the section's name now. `roles`
    are those that the section's statements name and the dump creates (all, where it creates none), in the order of
    their first use. Offsets and lengths are bytes of uncompressed text; the body begins after the section's last
    \\connect and ends with the section.
    """

    name: str | None
    offset_bytes: int
    body_offset_bytes: int
    length_bytes: int
    rows: int
    owner: str | None = None
    encoding: str | None = None
    locale_provider: str | None = None
    locale: str | None = None
    create_options: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    role_settings: tuple[dict[str, str], ...] = ()
    properties: tuple[Property, ...] = ()
    roles: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "role_settings": list(self.role_settings),
            "properties": [dict(entry.__dict__) for entry in self.properties],
            "roles": list(self.roles),
            "tables": [dict(table.__dict__) for table in self.tables],
        }


@dataclass(frozen=True)
class Contents:
    """The contents of a dump as far as it was read; `complete` only when it was read to its end and is complete.

    `kind` is `cluster` (pg_dumpall), `globals` (pg_dumpall without databases), `database` (pg_dump) or None. `missing`
    are the databases that the run could not dump, as the comment before the end of an incomplete backup names them.
    """

    complete: bool = False
    kind: str | None = None
    header: Header | None = None
    server_version: str | None = None
    pg_dump_version: str | None = None
    roles: tuple[str, ...] = ()
    tablespaces: tuple[str, ...] = ()
    uncompressed_bytes: int = 0
    rows: int = 0
    globals_span: tuple[int, int] | None = None
    databases: tuple[Database, ...] = ()
    missing: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The `contents` of modules: only JSON's types."""
        result = {name: value for name, value in self.__dict__.items() if name != "globals_span"}
        result["header"] = self.header.to_dict() if self.header else None
        result["roles"], result["tablespaces"] = list(self.roles), list(self.tablespaces)
        result["globals"] = None
        if self.globals_span:
            result["globals"] = {"offset_bytes": self.globals_span[0], "length_bytes": self.globals_span[1]}
        result["databases"] = [database.to_dict() for database in self.databases]
        result["missing"] = list(self.missing)
        return result
