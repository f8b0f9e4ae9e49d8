# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The statements of a dump about one database: CREATE DATABASE, ALTER DATABASE and ALTER ROLE … IN DATABASE."""

from __future__ import annotations

import re

from .encodings import decode
from .identifiers import IDENTIFIER, decoded_name
from .section_statements import SectionStatements

CREATE_DATABASE = re.compile(rb"CREATE\s+DATABASE\s+(" + IDENTIFIER + rb")(.*)", re.DOTALL)
_OPTION_NAME = rb"((?:CONNECTION )?[A-Z_]+)\s*=\s*"
_OPTIONS = {
    True: re.compile(_OPTION_NAME + rb"(E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|" + IDENTIFIER + rb"|-?\d+)", re.DOTALL),
    False: re.compile(_OPTION_NAME + rb"(E?'(?:[^'\\]|''|\\.)*'|" + IDENTIFIER + rb"|-?\d+)", re.DOTALL),
}  # by standard_conforming_strings
_ALTER_DATABASE = re.compile(rb"ALTER\s+DATABASE\s+(" + IDENTIFIER + rb")\s+(.*);\Z", re.DOTALL)
_ALTER_ROLE_IN = re.compile(
    rb"ALTER\s+ROLE\s+(" + IDENTIFIER + rb")\s+IN\s+DATABASE\s+(" + IDENTIFIER + rb")\s+(.*);\Z", re.DOTALL
)
_OWNER = re.compile(rb"OWNER\s+TO\s+(" + IDENTIFIER + rb")")
_SETTING = re.compile(rb"SET\s+(" + IDENTIFIER + rb"(?:\." + IDENTIFIER + rb")*)\s+(?:TO|=)\s+(.*)", re.DOTALL)
_PROPERTY = re.compile(rb"(CONNECTION LIMIT|IS_TEMPLATE|ALLOW_CONNECTIONS)\s*=?\s*(\S+)")


class DatabaseStatements:
    """A database as its statements describe it; `statements` are those that a restore repeats, and their roles."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.owner: str | None = None
        self.create_options: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self.role_settings: list[dict[str, str]] = []
        self.statements = SectionStatements()

    def create(self, database: re.Match[bytes], codec: str, standard_strings: bool) -> None:
        """Take the name and the options from a match of CREATE_DATABASE."""
        self.name = decoded_name(database[1], codec)
        for option in _OPTIONS[standard_strings].finditer(database[2]):
            value = option[2] if standard_strings else re.sub(rb"\A'", b"E'", option[2])
            self.create_options[option[1].decode().lower().replace(" ", "_")] = _value(value, codec)

    def take_later(
        self, database: re.Match[bytes], offset: int, length: int, codec: str, standard_strings: bool
    ) -> None:
        """Take the options of CREATE DATABASE before version 11 that ALTER DATABASE sets since then.

        Offset and length are the statement's.
        """
        owner = self.create_options.pop("owner", None)
        if owner is not None:
            self.owner = owner
        for option in _OPTIONS[standard_strings].finditer(database[2]):
            if option[1] == b"OWNER":
                self.statements.owned_by(option[2], codec)
            elif option[1] in (b"CONNECTION LIMIT", b"IS_TEMPLATE"):
                self.statements.add_option(option[1] + b" " + option[2], offset, length)

    def alter(self, text: bytes, codec: str) -> None:
        """Take the settings of ALTER DATABASE or ALTER ROLE … IN DATABASE for this database; others are ignored."""
        if self.name is None:
            return
        database = _ALTER_DATABASE.match(text)
        if database is not None:
            if decoded_name(database[1], codec) != self.name:
                return
            action = database[2]
            owner, setting, a_property = _OWNER.match(action), _SETTING.match(action), _PROPERTY.match(action)
            if owner is not None:
                self.owner = decoded_name(owner[1], codec)
            elif setting is not None:
                self.settings[decoded_name(setting[1], codec)] = decode(setting[2], codec)
            elif a_property is not None:
                self.create_options[a_property[1].decode().lower().replace(" ", "_")] = _value(a_property[2], codec)
            return
        role = _ALTER_ROLE_IN.match(text)
        if role is not None and decoded_name(role[2], codec) == self.name:
            setting = _SETTING.match(role[3])
            if setting is not None:
                self.role_settings.append(
                    {
                        "role": decoded_name(role[1], codec),
                        "name": decoded_name(setting[1], codec),
                        "value": decode(setting[2], codec),
                    }
                )


def _value(literal: bytes, codec: str) -> str:
    """An option's value: the string that a literal stands for, or the word itself."""
    text = decode(literal, codec)
    if text[:2] == "E'":
        return re.sub(r"\\(.)|''", lambda match: match[1] or "'", text[2:-1], flags=re.DOTALL)
    if text[:1] == "'":
        return text[1:-1].replace("''", "'")
    return decoded_name(literal, codec)
