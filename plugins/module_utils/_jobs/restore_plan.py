# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The plan for the restore of one database, from a backup's contents: names, SQL and pieces of the text.

The pod (restore.sh) gets it as RESTORE_* variables. All SQL is made here, with its names quoted; the script puts none
together.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..errors import ExpectationError, MissingDatabaseError

# PostgreSQL's NAMEDATALEN - 1.
NAME_BYTES = 63
# Linux takes no longer string into a program's environment (execve(2), MAX_ARG_STRLEN).
VARIABLE_BYTES = 131_000
# The setting that marks a temporary database until it is finished; its value is a hash of the final name. Unlike the
# comment, which the dump may replace, it can be removed in the transaction that renames the database.
MARK = "postgres_backup.unfinished_restore"
# Settings are set before the body, which may need them; the other properties must not delay the restore, or allow
# connections during it.
_SETTING = re.compile(r'\s+(?:RE)?SET\s+(?!TABLESPACE\b)(?:"(?P<quoted>[^"]+)"|(?P<plain>[\w.]+))', re.IGNORECASE)
# These could make the sessions of the restore fail, or change what they write, and no dump needs them: they are set
# after the body.
_HINDERING = frozenset({
    "array_nulls", "client_min_messages", "default_transaction_deferrable", "default_transaction_isolation",
    "default_transaction_read_only", "event_triggers", "exit_on_error", "idle_in_transaction_session_timeout",
    "idle_session_timeout", "lc_messages", "lock_timeout", "maintenance_work_mem", "max_stack_depth",
    "quote_all_identifiers", "restrict_nonsystem_relation_kind", "role", "session_authorization",
    "session_replication_role", "statement_timeout", "temp_file_limit", "temp_tablespaces", "transaction_timeout",
    "zero_damaged_pages",
})  # fmt: skip
# In a session that sets the settings of the database: the names of those that the server rejected.
_LEFT_OUT = "postgres_backup.left_out"
_ALTER = re.compile(r"ALTER\s+(?:DATABASE|ROLE)\s", re.IGNORECASE)
# These are set in the same transaction as the name: until then, the connection limit of the restore applies.
_LIMITS = re.compile(r"\s+(?:CONNECTION\s+LIMIT|IS_TEMPLATE|ALLOW_CONNECTIONS)\b", re.IGNORECASE)
_NAME_OPTIONS = ("tablespace", "locale_provider")
_TEXT_OPTIONS = ("encoding", "locale", "lc_collate", "lc_ctype", "icu_locale", "icu_rules", "builtin_locale")
_SYSTEM = ("template0", "template1")
_MAJOR = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class RestoreRequest:
    """The options of a restore; `contents` as Contents.to_dict() returns it, `token` unique to this restore."""

    backup: str
    sha256: str
    contents: Mapping[str, Any]
    database: str
    token: str
    now: datetime
    new_name: str | None = None
    replace: bool = False
    create_roles: bool = False
    terminate_connections: bool = False
    wait_seconds: int = 30
    check: bool = False

    @property
    def target(self) -> str:
        return self.database if self.new_name is None else self.new_name


@dataclass(frozen=True)
class RestorePlan:
    """The names, the variables of the pod, and warnings."""

    target: str
    temporary: str
    old: str
    rows: int
    variables: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def plan_restore(request: RestoreRequest) -> RestorePlan:
    """Raises ExpectationError, which names the option, if that cannot be restored.

    It is a MissingDatabaseError if the run that made the backup could not dump that database.
    """
    database = _database(request)
    target = request.target
    _check_target(request)
    # In ASCII: a session in a database with another encoding could not find any other name.
    plain = "".join(character if character.isascii() else "_" for character in target)
    temporary = cut_name(plain, f"_restoring_{request.token}")
    old = cut_name(target, f"_before_restore_{request.now.astimezone(timezone.utc):%Y%m%d%H%M%S}")
    statements = _Statements(database, temporary)
    mark = hashlib.sha256(target.encode("utf-8", "replace")).hexdigest()
    comment = (
        f'Unfinished restore of "{target}" by homelab.postgres_backup. The next restore of that database drops it, '
        f"once nobody is connected (its setting {MARK})"
    )
    head = database["body_offset_bytes"] - database["offset_bytes"]
    created = database.get("create_options") or {}
    quoted = quote_name(temporary)
    late = [f"COMMENT ON DATABASE {quoted} IS NULL;", *statements.late]
    swap = [f"ALTER DATABASE {quoted} RESET {MARK};", f"ALTER DATABASE {quoted} CONNECTION LIMIT -1;", *statements.last]
    variables = {
        "CHECK": _word(request.check),
        "BACKUP": request.backup,
        "SHA256": request.sha256.lower(),
        "DATABASE": request.database,
        "TARGET": target,
        "TEMPORARY": temporary,
        "OLD": old,
        "TOKEN": request.token,
        "REPLACE": _word(request.replace),
        "CREATE_ROLES": _word(request.create_roles),
        "TERMINATE": _word(request.terminate_connections),
        "WAIT_SECONDS": str(request.wait_seconds),
        "MAJOR": _major(request.contents),
        "ROLES": json.dumps(_roles(database), ensure_ascii=False),
        "TABLESPACE": created.get("tablespace", ""),
        "GLOBALS_BYTES": str(_globals_end(request.contents)),
        "SECTION": f"{database['offset_bytes']} {head}",
        "PIECES": "\n".join(f"{offset} {length}" for offset, length in pieces(database)),
        "ROWS": str(database["rows"]),
        "MARK": f"{MARK}={mark}",
        "MARK_SQL": f"ALTER DATABASE {quoted} SET {MARK} TO '{mark}';\n"
        f"COMMENT ON DATABASE {quoted} IS {quote_text(comment)};",
        "CREATE_SQL": create_statement(database, temporary),
        "BEFORE_SQL": _settings_sql(statements.early),
        "AFTER_SQL": "\n".join([*late, _settings_sql(statements.late_settings)]),
        "SWAP_SQL": "\n".join(swap),
        "AWAY_SQL": f"ALTER DATABASE {quote_name(target)} RENAME TO {quote_name(old)};",
        "RENAME_SQL": f"ALTER DATABASE {quoted} RENAME TO {quote_name(target)};",
    }
    _check_variables(variables)
    return RestorePlan(
        target=target,
        temporary=temporary,
        old=old,
        rows=database["rows"],
        variables={f"RESTORE_{name}": text for name, text in variables.items()},
        warnings=statements.warnings,
    )


class _Statements:
    """The statements about the database itself, for its temporary name: before the body, after it, with the name."""

    def __init__(self, database: Mapping[str, Any], temporary: str) -> None:
        # Each with its setting's name.
        self.early: list[tuple[str, str]] = []
        resets: list[tuple[str, str]] = []
        settings: list[tuple[str, str]] = []
        self.late: list[str] = []
        self.last: list[str] = []
        warnings: list[str] = []
        body = database["body_offset_bytes"]
        for entry in database["properties"]:
            before, after = entry["before"], entry["after"]
            if after is None:
                warnings.append(
                    f"the statement about the database at byte {entry['offset_bytes']} of the backup's text is too "
                    "long and was omitted: run it by hand"
                )
                continue
            statement = f"{before}{quote_name(temporary)}{after}"
            if _ALTER.match(before) and _LIMITS.match(after):
                self.last.append(statement)
                continue
            name = _setting_name(before, after)
            if name is None:
                self.late.append(statement)
                continue
            settings.append((name, statement))
            if entry["offset_bytes"] < body and name not in _HINDERING:
                self.early.append((name, statement))
                resets.append((name, f"{before}{quote_name(temporary)} RESET {quote_name(name)};"))
        # PostgreSQL keeps settings in the order in which they were set, here that of the source.
        self.late_settings = [*resets, *settings] if len(settings) > len(self.early) else []
        self.warnings = tuple(warnings)


def _setting_name(before: str, after: str) -> str | None:
    """Which setting ALTER DATABASE or ALTER ROLE IN DATABASE sets or resets; None for other statements."""
    match = _SETTING.match(after) if _ALTER.match(before) else None
    return (match["quoted"] or match["plain"]).lower() if match else None


def _settings_sql(settings: list[tuple[str, str]]) -> str:
    """SQL for these statements, each with its setting's name; it returns those that the server rejected.

    A newer version may have removed a setting, or no longer know its value; a library may reserve its prefix.
    """
    if not settings:
        return ""
    pairs = ",\n".join(f"[{quote_text(statement)}, {quote_text(name)}]" for name, statement in settings)
    body = (
        f"DECLARE pair text[]; left_out text[];\nBEGIN\nFOREACH pair SLICE 1 IN ARRAY ARRAY[\n{pairs}\n] LOOP\n"
        "BEGIN EXECUTE pair[1]; EXCEPTION WHEN undefined_object OR invalid_parameter_value OR invalid_name "
        "OR cant_change_runtime_param OR feature_not_supported THEN "
        "left_out := array_append(array_remove(left_out, pair[2]), pair[2]); END;\n"
        f"END LOOP;\nPERFORM set_config('{_LEFT_OUT}', array_to_string(left_out, ', '), false);\nEND"
    )
    tag = "$settings$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag}\n{body}\n{tag};\nSELECT current_setting('{_LEFT_OUT}');"


def pieces(database: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Offsets and lengths of the body's text without the statements that name the database."""
    position = database["body_offset_bytes"]
    end = database["offset_bytes"] + database["length_bytes"]
    found: list[tuple[int, int]] = []
    for left_out in sorted(database["properties"], key=lambda each: each["offset_bytes"]):
        begin = left_out["offset_bytes"]
        if begin < position:
            continue
        found.append((position, begin - position))
        position = begin + left_out["length_bytes"]
    found.append((position, end - position))
    return [piece for piece in found if piece[1] > 0]


def create_statement(database: Mapping[str, Any], name: str) -> str:
    """CREATE DATABASE without its semicolon; in the server's encoding and locale if the dump has no options."""
    options = database.get("create_options") or {}
    parts = [f"CREATE DATABASE {quote_name(name)} TEMPLATE template0"]
    if database.get("owner") is not None:
        parts.append(f"OWNER {quote_name(database['owner'])}")
    for option in (*_TEXT_OPTIONS, *_NAME_OPTIONS):
        if option in options:
            quote = quote_text if option in _TEXT_OPTIONS else quote_name
            parts.append(f"{option.upper()} {quote(options[option])}")
    return " ".join(parts)


def cut_name(name: str, ending: str) -> str:
    """The name with this suffix in at most 63 bytes of UTF-8, truncated between two characters."""
    room = NAME_BYTES - len(ending.encode())
    return name.encode()[:room].decode("utf-8", "ignore") + ending


def quote_name(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """An SQL string that does not depend on standard_conforming_strings."""
    quoted = text.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else f"'{quoted}'"


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _database(request: RestoreRequest) -> Mapping[str, Any]:
    contents = request.contents
    if not contents.get("complete") or contents.get("kind") != "cluster":
        raise ExpectationError(
            "contents: expected those of a complete dump of all databases (pg_dumpall), found "
            f"{'another kind of dump' if contents.get('complete') else 'an incomplete one'}. "
            "Fetch the backup with verify: true, and pass the contents that this returns"
        )
    if request.database in contents.get("missing", ()):
        raise MissingDatabaseError(
            f"database: expected one that is in the backup, found '{request.database}', which the run could not dump: "
            f"{request.backup} is incomplete"
        )
    named = [one for one in contents["databases"] if one["name"] == request.database]
    if len(named) != 1:
        names = ", ".join(str(one["name"]) for one in contents["databases"]) or "none"
        raise ExpectationError(f"database: expected one of those in the backup ({names}), found '{request.database}'")
    database: Mapping[str, Any] = named[0]
    if "properties" not in database or "roles" not in database:
        raise ExpectationError(
            "contents: expected those of this version of the collection, with `properties` and `roles` of each "
            "database, found older ones. Fetch the backup with verify: true again"
        )
    return database


def _check_target(request: RestoreRequest) -> None:
    option = "database" if request.new_name is None else "new_name"
    target = request.target
    size = len(target.encode("utf-8", "replace"))
    if not 0 < size <= NAME_BYTES:
        raise ExpectationError(f"{option}: expected a name of 1 to {NAME_BYTES} bytes, found {size} bytes")
    if any(character in target for character in "\0\n\r"):
        raise ExpectationError(f"{option}: expected a name without line breaks, which pg_dumpall rejects")
    if target in _SYSTEM:
        raise ExpectationError(
            f"{option}: '{target}' is a template for new databases and cannot be replaced. Set new_name"
        )
    if re.fullmatch(r"[0-9a-fA-F]{64}", request.sha256) is None:
        raise ExpectationError("sha256: expected 64 hexadecimal digits, as backup_fetch returns them")


def _major(contents: Mapping[str, Any]) -> str:
    header = contents.get("header") or {}
    match = _MAJOR.match(contents.get("server_version") or header.get("server_version") or "")
    return match[0] if match else ""


def _roles(database: Mapping[str, Any]) -> list[str]:
    """The roles that the section uses, including the owner."""
    owner = database.get("owner")
    return list(dict.fromkeys([*([owner] if owner else []), *database["roles"]]))


def _globals_end(contents: Mapping[str, Any]) -> int:
    section = contents.get("globals") or {"offset_bytes": 0, "length_bytes": 0}
    return int(section["offset_bytes"]) + int(section["length_bytes"])


def _check_variables(variables: Mapping[str, str]) -> None:
    for name, text in variables.items():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise ExpectationError(
                f"contents: the database's name or its own statements ({name}) are not valid UTF-8, which Kubernetes "
                "requires. Restore it by hand, as the runbook shows"
            ) from None
        if size > VARIABLE_BYTES or "\0" in text:
            raise ExpectationError(
                f"contents: the database's own statements ({name}) are too long: expected at most {VARIABLE_BYTES} "
                f"bytes, found {size}. Restore it by hand, as the runbook shows"
            )


def database_lists(before: Iterable[str], plan: RestorePlan, replaced: str | None) -> tuple[str, str]:
    """The server's databases before and after, one a line, for a diff."""
    existing = sorted(before)
    after = sorted({*existing, plan.target, *([replaced] if replaced else [])})
    return "".join(f"{name}\n" for name in existing), "".join(f"{name}\n" for name in after)
