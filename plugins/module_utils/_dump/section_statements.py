# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
r"""The statements about the database itself in a database's section, and the roles that the section names.

The forms are those that pg_dump writes: dumpDatabase(), dumpDatabaseConfig(), dumpPolicy() and dumpUserMappings() in
pg_dump.c, buildACLCommands() and makeAlterConfigCommand() in dumputils.c, _becomeUser() and _printTocEntry() in
pg_backup_archiver.c of PostgreSQL 12 to 19. It names the database in statements that any session could run, so that
a section's body, fed to another database, would still change the one of that name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .contents import Property
from .identifiers import IDENTIFIER, unquoted

_ROLES = rb"((?:GROUP\s+)?" + IDENTIFIER + rb"(?:\s*,\s*(?:GROUP\s+)?" + IDENTIFIER + rb")*)"
_ONE_ROLE = re.compile(rb"(?:GROUP\s+)?(" + IDENTIFIER + rb")(?:\s*,\s*)?")

# Each up to the database's name.
_COMMENT = re.compile(rb"COMMENT\s+ON\s+DATABASE\s+(" + IDENTIFIER + rb")")
_LABEL = re.compile(
    rb"SECURITY\s+LABEL\s+(?:FOR\s+(?:" + IDENTIFIER + rb"|'[^']*')\s+)?ON\s+DATABASE\s+(" + IDENTIFIER + rb")"
)
_ALTER_DATABASE = re.compile(rb"ALTER\s+DATABASE\s+(" + IDENTIFIER + rb")")
_ALTER_ROLE = re.compile(rb"ALTER\s+ROLE\s+(" + IDENTIFIER + rb")\s+IN\s+DATABASE\s+(" + IDENTIFIER + rb")")
_PRIVILEGES = re.compile(rb"(?:GRANT|REVOKE)\s+[A-Za-z\s,]+?\s+ON\s+DATABASE\s+(" + IDENTIFIER + rb")")

_OWNER = re.compile(rb"\sOWNER\s+TO\s+(" + IDENTIFIER + rb")\s*;\Z")
_GRANTEES = re.compile(
    rb"\s(?:TO|FROM)\s+"
    + _ROLES
    + rb"(?:\s+WITH\s+GRANT\s+OPTION)?(?:\s+GRANTED\s+BY\s+("
    + IDENTIFIER
    + rb"))?(?:\s+(?:CASCADE|RESTRICT))?\s*;\Z"
)
_DEFAULT_PRIVILEGES = re.compile(rb"ALTER\s+DEFAULT\s+PRIVILEGES\s+FOR\s+(?:ROLE|USER)\s+" + _ROLES)
_POLICY = re.compile(
    rb"CREATE\s+POLICY\s+" + IDENTIFIER + rb"\s+ON\s+" + IDENTIFIER + rb"(?:\." + IDENTIFIER + rb")?"
    rb"(?:\s+AS\s+[A-Z]+)?(?:\s+FOR\s+[A-Z]+)?\s+TO\s+" + _ROLES
)
_USER_MAPPING = re.compile(rb"CREATE\s+USER\s+MAPPING\s+FOR\s+(" + IDENTIFIER + rb")")
_SCHEMA = re.compile(rb"CREATE\s+SCHEMA\s+(?:" + IDENTIFIER + rb"\s+)?AUTHORIZATION\s+(" + IDENTIFIER + rb")\s*;")
_AUTHORIZATION = re.compile(
    rb"SET\s+(?:SESSION\s+AUTHORIZATION|ROLE)\s+(?:(" + IDENTIFIER + rb")|'((?:[^']|'')*)')\s*;\Z"
)
_RESET_AUTHORIZATION = re.compile(rb"RESET\s+SESSION\s+AUTHORIZATION\s*;\Z")
# Where a role may stand, these are none, unless quoted.
_KEYWORDS = frozenset((b"PUBLIC", b"CURRENT_USER", b"CURRENT_ROLE", b"SESSION_USER", b"DEFAULT", b"NONE"))
# No role can have these names (check_rolespec_name() in acl.c, CREATE ROLE); pg_dump writes FOR public.
_RESERVED = frozenset((b"public", b"none"))
_PREDEFINED = b"pg_"

_STANDARD_TOKEN = re.compile(r"\"[^\"]*\"|E'((?:[^'\\]|''|\\.)*)'|'((?:[^']|'')*)'", re.DOTALL)
_ESCAPE_TOKEN = re.compile(r"\"[^\"]*\"|E?'((?:[^'\\]|''|\\.)*)'()", re.DOTALL)
_NOT_DECODED = re.compile("[\udc80-\udcff]")
_ESCAPED_OR_NOT_DECODED = re.compile("\\\\(.)|[\udc80-\udcff]", re.DOTALL)


class SectionStatements:
    """Reads a section's statements one after the other."""

    def __init__(self) -> None:
        self.properties: list[Property] = []
        self._roles: dict[bytes, str] = {}  # the names' bytes, and the codec of the statements with them
        self._grantor: bytes | None = None  # the session's user after SET SESSION AUTHORIZATION
        self._last_owner = self._last_grantees = b"\0"  # the end of the last statement that named one
        self._readers: dict[bytes, Callable[[bytes, str], re.Match[bytes] | None]] = {
            b"ALTER ": self._alter,
            b"GRANT ": self._grant,
            b"REVOKE": self._grant,
            b"CREATE": self._create,
            b"COMMEN": lambda text, _: _COMMENT.match(text),
            b"SECURI": lambda text, _: _LABEL.match(text),
            b"SET SE": self._set,
            b"SET RO": self._set,
            b"RESET ": self._reset,
        }

    def connected(self) -> None:
        """A new session began."""
        self._grantor = None

    def continue_session(self, other: SectionStatements) -> None:
        """Read the statements that follow as part of the session of `other`."""
        self._grantor = other._grantor

    def read(self, text: bytes, codec: str) -> re.Match[bytes] | None:
        """Take the roles from a statement's text.

        Returns the match whose last group is the name of the database that the statement is about, None without one.
        """
        reader = self._readers.get(text[:6])
        return None if reader is None else reader(text, codec)

    def owned_by(self, owner: bytes, codec: str) -> None:
        """The database's owner, as CREATE DATABASE names it."""
        self._add(owner, codec)

    def add_option(self, option: bytes, offset: int, length: int) -> None:
        """Keep an option of CREATE DATABASE that is better set later; offset and length are that statement's."""
        self.properties.append(Property("ALTER DATABASE ", f" {option.decode()};", offset, length))

    def add_property(
        self, statement: re.Match[bytes], offset: int, length: int, codec: str, standard_strings: bool
    ) -> None:
        """Keep a statement about the section's database, which `read` returned; `length` is its complete length."""
        text, (start, end) = statement.string, statement.span(statement.lastindex or 0)
        before = sql_text(text[:start], codec, standard_strings)
        after = sql_text(text[end:], codec, standard_strings) if len(text) == length else None
        if self._grantor is not None and statement.re is _PRIVILEGES:
            # The grantor is recorded with the privilege; PostgreSQL accepts only the session's user as GRANTED BY.
            before = f"SET SESSION AUTHORIZATION {sql_text(self._grantor, codec, standard_strings)};\n{before}"
            after = None if after is None else f"{after}\nRESET SESSION AUTHORIZATION;"
        self.properties.append(Property(before, after, offset, length))

    def roles(self, known: dict[bytes, str] | None) -> tuple[str, ...]:
        """The names, in the order of their first use; only the `known` ones (bytes to name), unless that is None.

        The bytes are compared: names of roles are in a catalog that all databases share, and pg_dump writes their bytes
        unchanged for each database, whatever its encoding.
        """
        if known is None:
            return tuple(dict.fromkeys(_shown(name, codec) for name, codec in self._roles.items()))
        by_name = {name: name for name in known.values()}
        # With pg_dumpall --encoding the bytes may differ.
        names = (known.get(name) or by_name.get(_shown(name, codec)) for name, codec in self._roles.items())
        return tuple(dict.fromkeys(name for name in names if name is not None))

    # --------------------------------------------------------------------------------------------- kinds of statements

    def _alter(self, text: bytes, codec: str) -> re.Match[bytes] | None:
        # Most of a section's statements are these, and most name the same owner as the last one. No string and no
        # quoted identifier can end like this, with the quotes in it doubled.
        if not text.endswith(self._last_owner) and b" OWNER TO " in text:
            owner = _OWNER.search(text)
            if owner is not None:
                self._last_owner = owner[0]
                self._add(owner[1], codec)
        kind = text[6:9]
        if kind == b"DAT":
            return _ALTER_DATABASE.match(text)
        if kind == b"ROL":
            role = _ALTER_ROLE.match(text)
            if role is not None:
                self._add(role[1], codec)
            return role
        if kind == b"DEF":
            defaults = _DEFAULT_PRIVILEGES.match(text)
            if defaults is not None:
                self._add_all(_identifiers(defaults[1]), codec)
            self._grant(text, codec)
        return None

    def _grant(self, text: bytes, codec: str) -> re.Match[bytes] | None:
        if not text.endswith(self._last_grantees):
            grantees = _GRANTEES.search(text)
            if grantees is not None:
                self._last_grantees = grantees[0]
                self._add_all(_identifiers(grantees[1]), codec)
                if grantees[2] is not None:
                    self._add(grantees[2], codec)
        return _PRIVILEGES.match(text) if b"DATABASE" in text else None

    def _create(self, text: bytes, codec: str) -> None:
        kind = text[7:11]
        if kind == b"POLI":
            policy = _POLICY.match(text)
            if policy is not None:
                self._add_all(_identifiers(policy[1]), codec)
        elif kind in (b"USER", b"SCHE"):
            match = (_USER_MAPPING if kind == b"USER" else _SCHEMA).match(text)
            if match is not None:
                self._add(match[1], codec)

    def _set(self, text: bytes, codec: str) -> None:
        match = _AUTHORIZATION.match(text)
        if match is None:
            return
        if match[1] is not None:
            # buildACLCommands() writes an identifier, to grant as another role than the owner; with a string,
            # --use-set-session-authorization replaces OWNER TO.
            self._grantor = match[1] if self._add(match[1], codec) else None
        else:
            self._grantor = None
            self._add(b'"' + match[2].replace(b"''", b"'").replace(b'"', b'""') + b'"', codec)

    def _reset(self, text: bytes, _: str) -> None:
        if _RESET_AUTHORIZATION.match(text):
            self._grantor = None

    def _add_all(self, identifiers: Iterable[bytes], codec: str) -> None:
        for identifier in identifiers:
            self._add(identifier, codec)

    def _add(self, identifier: bytes, codec: str) -> bool:
        """Keep a role's name; False for a keyword or a predefined role."""
        # A quoted one is never a keyword: the quotes are compared too.
        if identifier.upper() in _KEYWORDS:
            return False
        name = unquoted(identifier)
        if name in _RESERVED or name.startswith(_PREDEFINED):
            return False
        self._roles.setdefault(name, codec)
        return True


def sql_text(text: bytes, codec: str, standard_strings: bool) -> str:
    r"""A piece of SQL in a form that has the same meaning with any client_encoding and standard strings.

    Bytes that are not valid in the codec become \xNN: in a string that is the same byte, elsewhere it is for people.
    """
    decoded = text.decode(codec, "surrogateescape")
    if standard_strings and not _NOT_DECODED.search(decoded):
        return decoded

    def portable(token: re.Match[str]) -> str:
        escaped, plain = token[1], token[2]
        if escaped is not None:
            return f"E'{_ESCAPED_OR_NOT_DECODED.sub(_in_string, escaped)}'"
        if plain is not None and _NOT_DECODED.search(plain):
            return "E'" + _NOT_DECODED.sub(_shown_byte, plain.replace("\\", "\\\\")) + "'"
        return token[0]

    tokens = _STANDARD_TOKEN if standard_strings else _ESCAPE_TOKEN
    return _NOT_DECODED.sub(_shown_byte, tokens.sub(portable, decoded))


def _in_string(match: re.Match[str]) -> str:
    """An escape for a byte, with or without a backslash before it; any other escape unchanged."""
    last = match[0][-1]
    return f"\\x{ord(last) - 0xDC00:02x}" if _NOT_DECODED.match(last) else match[0]


def _shown_byte(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]) - 0xDC00:02x}"


def _shown(name: bytes, codec: str) -> str:
    return name.decode(codec, "backslashreplace")


def _identifiers(roles: bytes) -> list[bytes]:
    """The identifiers of a list."""
    identifiers: list[bytes] = _ONE_ROLE.findall(roles)
    return identifiers
