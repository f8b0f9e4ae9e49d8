# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The manifest `<backup>.json` of a backup: what the run knows about it.

Fields that this version does not know are ignored. A manifest of another format, or one that is damaged, is refused
with the reason; such a backup is then treated as one without a manifest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ManifestError
from .backup_names import time_in_name
from .recipients import wrong_identity

SUFFIX = ".json"
FORMAT = 1
# How much of a manifest is read: that of ten thousand databases is smaller.
LIMIT_BYTES = 64 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_STATES = frozenset({"complete", "incomplete"})
_KINDS = frozenset({"globals", "database", "end"})
DUMPED = "dumped"


@dataclass(frozen=True)
class Span:
    """Where a part lies: `offset_bytes` and `length_bytes` in the file, `text_…` in the uncompressed text."""

    offset_bytes: int
    length_bytes: int
    text_offset_bytes: int
    text_length_bytes: int


@dataclass(frozen=True)
class Extension:
    """An extension of a database."""

    name: str
    version: str
    schema: str | None


@dataclass(frozen=True)
class LeftOut:
    """What was left out of a database on request: patterns of tables, of tables' rows, and arguments of pg_dump."""

    tables: tuple[str, ...] = ()
    table_data: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatabaseDetails:
    """A database as the server described it during the run; None for a value that the run did not find out.

    `size_bytes` is its size on the server; `statements` are those about the database itself.
    """

    owner: str | None = None
    encoding: str | None = None
    locale_provider: str | None = None
    locale: str | None = None
    tablespace: str | None = None
    size_bytes: int | None = None
    extensions: tuple[Extension, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)
    statements: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """The globals, a database or the end: `kind` is `globals`, `database` or `end`; `name` is that of a database.

    `result` is `dumped`, or why the part is not in the file, such as `failed`, `excluded`, `not_accessible` or
    `dropped`. There may be a `reason`, what to do about it (`advice`), and PostgreSQL's error code (`sqlstate`). `span`
    is None for a part that is not in the file, `database` for one that is not a database.
    """

    kind: str
    name: str | None
    result: str
    reason: str | None = None
    advice: str | None = None
    sqlstate: str | None = None
    span: Span | None = None
    seconds: float | None = None
    database: DatabaseDetails | None = None


@dataclass(frozen=True)
class Encryption:
    """How age has encrypted a backup: the public keys of its recipients, and the bytes of gzip data in it."""

    recipients: tuple[str, ...]
    gzip_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a run knows about its backup.

    `state` is `complete` or `incomplete`; `dumped` are the databases in the file, `missing` those that should be in it
    and are not; `left_out` is whether something was left out on request. `started` and `finished` are times as the
    script writes them. `server` has what the run found out about the server. `encryption` is None for a plain backup;
    the spans of an encrypted one are those of the gzip data in it.
    """

    backup: str
    state: str
    dumped: tuple[str, ...]
    missing: tuple[str, ...]
    left_out: bool
    sha256: str
    size_bytes: int
    uncompressed_bytes: int
    started: str | None = None
    finished: str | None = None
    script_version: str | None = None
    compressor: str | None = None
    read_back: str | None = None
    warnings: tuple[str, ...] = ()
    server: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    encryption: Encryption | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The public keys to which the backup is encrypted; none if they are not known, or it is not encrypted."""
        return self.encryption.recipients if self.encryption else ()

    def database(self, name: str) -> Part | None:
        """The part of the database with that name; None where the manifest does not name it."""
        return next((part for part in self.parts if part.kind == "database" and part.name == name), None)


def parse_manifest(text: str | bytes, backup: str) -> Manifest:
    """The manifest of `backup` (its name, no path); raises ManifestError with the reason why it is unusable."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"the manifest of {backup} is damaged: {_brief(error)}") from error
    if not isinstance(content, dict):
        raise ManifestError(f"the manifest of {backup} is damaged: expected a JSON object, found another value")
    if content.get("format") != FORMAT:
        raise ManifestError(
            f"the manifest of {backup} is of another version: expected the format {FORMAT}, found "
            f"{str(content.get('format'))[:20]}. Update the collection"
        )
    try:
        manifest = _manifest(content)
        _check(manifest, backup)
    except _InvalidError as error:
        raise ManifestError(f"the manifest of {backup} is damaged: {error}") from error
    return manifest


def wrong_identity_by_manifest(
    public_keys: Sequence[str], text: str | bytes, backup: str, sha256: str | None
) -> str | None:
    """As `wrong_identity`, by the text of a manifest; None if it is unusable, or may be that of another file."""
    try:
        manifest = parse_manifest(text, backup)
    except ManifestError:
        return None
    return wrong_identity(public_keys, manifest.recipients, backup) if manifest.sha256 == sha256 else None


def is_manifest(text: str | bytes) -> bool:
    """Whether the text is a manifest of any format, and no other JSON."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(content, dict)
        and _is_of(int, content.get("format"))
        and isinstance(content.get("backup"), str)
        and time_in_name(content["backup"]) is not None
    )


class _InvalidError(Exception):
    """A field does not have the value that it must have."""


def _brief(error: Exception) -> str:
    """The reason why a text is not JSON, which does not contain any of it."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno}"
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is nested too deeply"


def _check(manifest: Manifest, backup: str) -> None:
    """The rules that hold between fields."""
    if manifest.backup != backup:
        raise _InvalidError(f"expected that of {backup}, found that of {manifest.backup!r:.100}")
    if _SHA256.fullmatch(manifest.sha256) is None:
        raise _InvalidError("sha256: expected 64 hexadecimal digits")
    if manifest.state not in _STATES:
        raise _InvalidError(f"state: expected complete or incomplete, found {manifest.state!r:.40}")
    if (manifest.state == "complete") != (not manifest.missing):
        raise _InvalidError(f"expected missing databases where the state is incomplete, found {manifest.state}")
    position = text_position = 0
    for number, part in enumerate(manifest.parts, 1):
        if part.span is None:
            continue
        if part.span.offset_bytes != position or part.span.text_offset_bytes != text_position:
            raise _InvalidError(f"part {number} does not begin where the one before it ends")
        position += part.span.length_bytes
        text_position += part.span.text_length_bytes
    size = manifest.encryption.gzip_bytes if manifest.encryption else manifest.size_bytes
    if position and (position, text_position) != (size, manifest.uncompressed_bytes):
        raise _InvalidError("the parts do not end where the file ends")


def _manifest(content: Mapping[str, Any]) -> Manifest:
    server = content.get("server")
    return Manifest(
        backup=_text(content, "backup"),
        state=_text(content, "state"),
        dumped=_texts(content, "dumped"),
        missing=_texts(content, "missing"),
        left_out=_value(content, "left_out", bool),
        sha256=_text(content, "sha256"),
        size_bytes=_size(content, "bytes"),
        uncompressed_bytes=_size(content, "uncompressed_bytes"),
        started=_text_or_none(content, "started"),
        finished=_text_or_none(content, "finished"),
        script_version=_text_or_none(content, "script_version"),
        compressor=_text_or_none(content, "compressor"),
        read_back=_text_or_none(content, "read_back"),
        warnings=_texts(content, "warnings", is_optional=True),
        server=server if isinstance(server, dict) else {},
        parts=tuple(_part(part) for part in _objects(content, "parts")),
        encryption=_encryption(content),
    )


def _encryption(content: Mapping[str, Any]) -> Encryption | None:
    encryption = content.get("encryption")
    if not isinstance(encryption, dict):
        return None
    return Encryption(_texts(encryption, "recipients"), _size(encryption, "gzip_bytes"))


def _part(content: Mapping[str, Any]) -> Part:
    kind, name = _text(content, "kind"), _text_or_none(content, "name")
    result = _text(content, "result")
    if kind not in _KINDS:
        raise _InvalidError(f"kind: expected globals, database or end, found {kind!r:.40}")
    if (kind == "database") != (name is not None):
        raise _InvalidError("name: expected one for each database, and for nothing else")
    keys = ("offset_bytes", "length_bytes", "text_offset_bytes", "text_length_bytes")
    span = None
    if content.get("offset_bytes") is not None:
        span = Span(*(_size(content, key) for key in keys))
    if (span is not None) != (result == DUMPED):
        raise _InvalidError(f"offset_bytes: expected one for a part that is in the file, found the result {result}")
    return Part(
        kind=kind,
        name=name,
        result=result,
        reason=_text_or_none(content, "reason"),
        advice=_text_or_none(content, "advice"),
        sqlstate=_text_or_none(content, "sqlstate"),
        span=span,
        seconds=_seconds(content),
        database=_details(content) if kind == "database" else None,
    )


def _details(content: Mapping[str, Any]) -> DatabaseDetails:
    left_out = content.get("left_out")
    patterns = left_out if isinstance(left_out, dict) else {}
    return DatabaseDetails(
        owner=_text_or_none(content, "owner"),
        encoding=_text_or_none(content, "encoding"),
        locale_provider=_text_or_none(content, "locale_provider"),
        locale=_text_or_none(content, "locale"),
        tablespace=_text_or_none(content, "tablespace"),
        size_bytes=None if content.get("size_bytes") is None else _size(content, "size_bytes"),
        extensions=tuple(
            Extension(_text(item, "name"), _text(item, "version"), _text_or_none(item, "schema"))
            for item in _objects(content, "extensions", is_optional=True)
        ),
        left_out=LeftOut(
            tables=_texts(patterns, "tables", is_optional=True),
            table_data=_texts(patterns, "table_data", is_optional=True),
            arguments=_texts(patterns, "arguments", is_optional=True),
        ),
        statements=_texts(content, "statements", is_optional=True),
    )


def _is_of(kind: type, value: Any) -> bool:
    """Whether a value of JSON is of the kind: a bool is an int in Python, and not in JSON."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _value(content: Mapping[str, Any], key: str, kind: type) -> Any:
    value = content.get(key)
    if not _is_of(kind, value):
        raise _InvalidError(f"{key}: expected {_NAMES[kind]}, found {'nothing' if value is None else 'another value'}")
    return value


_NAMES: dict[type, str] = {str: "a text", int: "a number", bool: "true or false", list: "a list"}


def _text(content: Mapping[str, Any], key: str) -> str:
    text: str = _value(content, key, str)
    return text


def _text_or_none(content: Mapping[str, Any], key: str) -> str | None:
    return None if content.get(key) is None else _text(content, key)


def _size(content: Mapping[str, Any], key: str) -> int:
    number: int = _value(content, key, int)
    if number < 0:
        raise _InvalidError(f"{key}: expected a number of bytes, found a negative one")
    return number


def _seconds(content: Mapping[str, Any]) -> float | None:
    value = content.get("seconds")
    return value if type(value) in (int, float) else None


def _list(content: Mapping[str, Any], key: str, is_optional: bool) -> list[Any]:
    if is_optional and content.get(key) is None:
        return []
    items: list[Any] = _value(content, key, list)
    return items


def _texts(content: Mapping[str, Any], key: str, *, is_optional: bool = False) -> tuple[str, ...]:
    items = _list(content, key, is_optional)
    if not all(isinstance(item, str) for item in items):
        raise _InvalidError(f"{key}: expected a list of texts")
    return tuple(items)


def _objects(content: Mapping[str, Any], key: str, *, is_optional: bool = False) -> list[dict[str, Any]]:
    items = _list(content, key, is_optional)
    if not all(isinstance(item, dict) for item in items):
        raise _InvalidError(f"{key}: expected a list of objects")
    return items
