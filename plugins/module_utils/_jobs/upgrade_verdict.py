# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Whether an upgrade by dump and restore would succeed: items from the result of a drill with the new image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from .upgrade_remedies import REMOVED_FUNCTIONS, remedy_of, without_severity

# The steps of a drill that an upgrade has, too.
_RESTORE_STEPS = ("globals", "restore")
_DEFAULT_COLLATION = "default"
_LIBRARIES = {"libc": "the C library", "icu": "ICU", "builtin": "PostgreSQL's own collations"}
_READ_MESSAGE = (
    "Read the message: it is from PostgreSQL. Change the object in the live database, and make a new backup."
)


@dataclass(frozen=True)
class Item:
    """Something to know before an upgrade.

    `kind` is a word for programs: `extension`, `error`, `drill`, `role`, `setting`, `library`, `function`,
    `collation`, `permission`, `search_path` or `not_tested`. An upgrade fails, or an application after it, because of
    an item that `blocks`. `database` is None for what belongs to the server. `follow_ups` is how many other errors
    are consequences of this one.
    """

    kind: str
    blocks: bool
    message: str
    remedy: str
    database: str | None = None
    object: str | None = None
    sqlstate: str | None = None
    follow_ups: int = 0


def upgrade_verdict(result: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict on the result of M(restore_drill) with the image of the new version.

    It has `ready`, the `items` (those that block first), the versions `from_version` and `to_version`,
    `outage_seconds` (`dump`, `restore` and their sum `total`), with None where it is not known, and `lines`, all of it
    for people.
    """
    facts = result.get("upgrade") or {}
    versions = facts.get("live_version"), result.get("server_version")
    result = {**result, "errors": _with_causes(result, versions)}
    # Those that block first.
    items = [
        *_extensions(result),
        *_errors(result, versions),
        *_differences(result),
        *_facts(facts, versions),
        *_notes(result),
    ]
    if result.get("failed") and not any(item.blocks for item in items):
        items.insert(0, Item("drill", True, _first_line(result), "Read the log of the drill."))
    verdict = {
        "ready": not any(item.blocks for item in items),
        "items": [asdict(item) for item in items],
        "from_version": versions[0],
        "to_version": versions[1],
        "outage_seconds": _outage(result, facts),
    }
    return {**verdict, "lines": [*_heading(verdict, result.get("backup")), *_lines(items)]}


def _heading(verdict: Mapping[str, Any], backup: str | None) -> Iterator[str]:
    outage = verdict["outage_seconds"]
    dump, restore, total = (
        "unknown" if seconds is None else f"{seconds:.0f} s"
        for seconds in (outage["dump"], outage["restore"], outage["total"])
    )
    yield f"result   {'ready' if verdict['ready'] else 'not ready'} for PostgreSQL {verdict['to_version'] or 'unknown'}"
    yield f"server   PostgreSQL {verdict['from_version'] or 'unknown'}"
    yield f"backup   {backup or 'unknown'}"
    yield f"outage   {total} (dump {dump}, restore {restore})"


def _lines(items: list[Item]) -> Iterator[str]:
    for blocks, title in ((True, "prevents the upgrade:"), (False, "to know before the upgrade:")):
        chosen = [item for item in items if item.blocks is blocks]
        if chosen:
            yield title
        for item in chosen:
            place = ": ".join(filter(None, (item.database and f"database {item.database}", item.object)))
            details = "; ".join(
                filter(
                    None, (item.sqlstate, f"other errors because of it: {item.follow_ups}" if item.follow_ups else None)
                )
            )
            yield f"- {place + ': ' if place else ''}{item.message}{f' ({details})' if details else ''}"
            yield f"  what to do: {item.remedy}"


def _outage(result: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, float | None]:
    seconds = result.get("seconds") or {}
    dump = facts.get("dump_seconds")
    restore = float(sum(seconds.get(step, 0) for step in _RESTORE_STEPS)) if "restore" in seconds else None
    return {
        "dump": dump,
        "restore": restore,
        "total": None if dump is None or restore is None else round(dump + restore, 1),
    }


def _first_line(result: Mapping[str, Any]) -> str:
    return str(result.get("msg") or "the drill failed").splitlines()[0]


def _major(version: str | None) -> int | None:
    match = re.match("[0-9]+", version or "")
    return int(match[0]) if match else None


def _with_causes(result: Mapping[str, Any], versions: tuple[str | None, str | None]) -> list[dict[str, Any]]:
    """The errors, those whose cause is known to be another version as causes.

    A drill takes what is missing after a CREATE EXTENSION that failed for a consequence of that.
    """
    return [
        {**error, "follows": None, "advice": None} if _is_cause(error, versions) else dict(error)
        for error in result.get("errors") or ()
    ]


def _is_cause(error: Mapping[str, Any], versions: tuple[str | None, str | None]) -> bool:
    source, target = map(_major, versions)
    remedy = remedy_of(error.get("sqlstate"), error.get("message") or "", source, target, only_causes=True)
    return error.get("follows") is not None and remedy is not None


# Extensions


def _extensions(result: Mapping[str, Any]) -> Iterator[Item]:
    """Those that the image lacks, or has in an older version than the live server."""
    errors = {
        (error.get("database"), _name_of_extension(error)): error
        for error in result.get("errors") or ()
        if _name_of_extension(error)
    }
    for extension in result.get("extensions") or ():
        database, name, version = extension["database"], extension["name"], extension.get("version")
        available = extension.get("image_version")
        error = errors.get((database, name), {})
        of_error = {"sqlstate": error.get("sqlstate"), "follow_ups": _follow_ups(result, error)}
        if available is None:
            message = (
                without_severity(error.get("message") or "")
                or f"the image lacks the extension {name} (the live server has {version})"
            )
            remedy = _remedy_for_extension(name, result)
            yield Item("extension", True, message, remedy, database, f"extension {name}", **of_error)
        elif version is not None and _is_older(available, version):
            yield Item(
                "extension",
                True,
                f"the image has the extension {name} {available}, the live server {version}",
                f"Use an image with {name} {version} or newer.",
                database,
                f"extension {name}",
                **of_error,
            )


def _remedy_for_extension(name: str, result: Mapping[str, Any]) -> str:
    source = _major((result.get("upgrade") or {}).get("live_version"))
    message = f'extension "{name}" is not available'
    return remedy_of("0A000", message, source, _major(result.get("server_version"))) or ""


def _name_of_extension(error: Mapping[str, Any]) -> str | None:
    """The extension that a CREATE EXTENSION lacked."""
    if error.get("sqlstate") not in {"0A000", "58P01"}:
        return None
    match = re.search(r'extension "([^"]*)" is not available|/([^/"]*)\.control"', error.get("message") or "")
    return (match[1] or match[2]) if match else None


def _is_older(version: str, other: str) -> bool:
    """Compare the numbers in two versions of an extension, such as 1.10 and 1.9; others are not compared."""
    numbers = [tuple(map(int, re.findall("[0-9]+", text))) for text in (version, other)]
    return bool(numbers[0]) and bool(numbers[1]) and numbers[0] < numbers[1]


# Errors


def _errors(result: Mapping[str, Any], versions: tuple[str | None, str | None]) -> Iterator[Item]:
    """One item for each cause: several statements about an object may fail, and each session repeats a setting."""
    reported = {
        (extension["database"], extension["name"])
        for extension in result.get("extensions") or ()
        if extension.get("image_version") is None
    }
    causes: dict[tuple[Any, ...], Item] = {}
    for error in sorted(result.get("errors") or (), key=lambda error: error.get("object") is None):
        database = error.get("database")
        if error.get("follows") is not None or (database, _name_of_extension(error)) in reported:
            continue
        message, sqlstate = without_severity(error.get("message") or ""), error.get("sqlstate")
        remedy = remedy_of(sqlstate, message, *map(_major, versions))
        name = error.get("object") or message
        # At the end of the name: the object itself, or the rows of a table, whose COPY names its columns, too.
        known = [key for key in causes if key[0] == database and name.endswith(key[1]) and remedy in {None, key[2]}]
        if error.get("object") is None and remedy is not None:
            # pg_dump sets what is set for the database, too.
            known += [key for key in causes if key[0] == database and key[1].startswith("database ")]
        if known:
            first = causes[known[0]]
            more = _follow_ups(result, error) + (message != first.message)
            causes[known[0]] = replace(first, follow_ups=first.follow_ups + more)
            continue
        advice = remedy or error.get("advice") or _READ_MESSAGE
        follow_ups = _follow_ups(result, error)
        causes[database, name, remedy] = Item(
            "error", True, message, advice, database, error.get("object"), sqlstate, follow_ups
        )
    yield from causes.values()


def _follow_ups(result: Mapping[str, Any], cause: Mapping[str, Any]) -> int:
    number = cause.get("number")
    if number is None:
        return 0
    return sum(1 for error in result.get("errors") or () if error.get("follows") == number)


def _differences(result: Mapping[str, Any]) -> Iterator[Item]:
    for failure in result.get("failures") or ():
        yield Item("drill", True, failure["message"], "Run a drill with the live server's image, and compare.")


# What succeeds in a drill


def _facts(facts: Mapping[str, Any], versions: tuple[str | None, str | None]) -> Iterator[Item]:
    target = versions[1] or "of the image"
    for name in facts.get("reserved_roles") or ():
        yield Item(
            "role",
            True,
            f'the name of the role "{name}" is reserved: the role is not in a dump, and what it owns or may do is lost',
            f'ALTER ROLE "{name}" RENAME TO another name in the live server, and make a new backup.',
            object=f"role {name}",
        )
    for name in facts.get("missing_libraries") or ():
        yield Item(
            "library",
            False,
            f"the image lacks the library {name}, which the live server loads (shared_preload_libraries)",
            "Use an image that has it, or remove it from the configuration: the new server does not start with it.",
            object=f"library {name}",
        )
    for name in facts.get("unknown_settings") or ():
        yield Item(
            "setting",
            False,
            f"the live server's configuration has the setting {name}, which PostgreSQL {target} does not have",
            "Remove it from the configuration of the new server, which does not start with it.",
            object=f"setting {name}",
        )
    yield from _functions(facts, versions)
    yield from _collations(facts)
    databases = facts.get("public_schema") or ()
    if databases:
        yield Item(
            "permission",
            False,
            "since PostgreSQL 15, only the owner of a database may create objects in its schema public; in the live "
            f"server all users may, in the databases {', '.join(databases)}",
            "If an application creates tables as another user: GRANT CREATE ON SCHEMA public TO that user in the live "
            "database now, or after the upgrade.",
            object="schema public",
        )


def _functions(facts: Mapping[str, Any], versions: tuple[str | None, str | None]) -> Iterator[Item]:
    source, target = map(_major, versions)
    for function in facts.get("functions") or ():
        for name in function["calls"]:
            removed = REMOVED_FUNCTIONS.get(name)
            if removed and (source or 0) < removed.since <= (target or removed.since):
                yield Item(
                    "function",
                    False,
                    f"the function {function['name']} seems to call {name}, which PostgreSQL {removed.since} removed",
                    f"Change the function before or after the upgrade. Instead of {name}, use {removed.instead}.",
                    function["database"],
                    f"function {function['name']}",
                )


def _collations(facts: Mapping[str, Any]) -> Iterator[Item]:
    """One item for each collation and pair of versions, with the databases that use it."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for each in facts.get("collations") or ():
        key = (each["name"], each["provider"], each["version"], each["image_version"])
        groups.setdefault(key, []).append(each["database"])
    for (name, provider, version, image_version), databases in groups.items():
        subject = "the default collation" if name == _DEFAULT_COLLATION else f"the collation {name}"
        yield Item(
            "collation",
            False,
            f"{subject} of {', '.join(databases)} may order text in another way: the live server has version {version} "
            f"of {_LIBRARIES.get(provider, provider)}, the image {image_version or 'an unknown one'}",
            "A restore builds all indexes again, so nothing is damaged; expect other ORDER BY results. An upgrade with "
            "pg_upgrade or with the old data needs REINDEX and ALTER ... REFRESH VERSION.",
            databases[0] if len(databases) == 1 else None,
            f"collation {name}",
        )


def _notes(result: Mapping[str, Any]) -> Iterator[Item]:
    for need in result.get("needs") or ():
        yield Item(
            "search_path",
            False,
            f"the dump can only be restored with search_path={need.get('search_path')}",
            f"Restore this database with the option search_path, or cure it: {need.get('cure') or 'see the object'}",
            need.get("database"),
            need.get("object"),
        )
    for part in result.get("left_out") or ():
        yield Item(
            "not_tested",
            False,
            f"the drill left it out: {part.get('reason')}",
            "Test it after the upgrade.",
            part.get("database"),
            part.get("object"),
        )
