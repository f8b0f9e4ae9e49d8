# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a restore drill with another image reports for an upgrade: lines that files/upgrade_facts.sh prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import DrillError
from ..script_output import is_object

_TYPES = frozenset({"live_server", "part", "image_server", "image_database"})


@dataclass(frozen=True)
class Collation:
    """A collation of a database whose version differs between live server and image.

    `name` is that of the collation, `default` for the database's own; `provider` is `libc`, `icu` or `builtin`.
    `image_version` is None if the image's library does not report one.
    """

    database: str
    name: str
    provider: str
    version: str
    image_version: str | None


@dataclass(frozen=True)
class CallingFunction:
    """A function whose body calls functions of PostgreSQL, `calls`, that the image does not have."""

    database: str
    name: str
    calls: tuple[str, ...]


@dataclass(frozen=True)
class UpgradeFacts:
    """The live server, as the manifest describes it, next to the image's.

    `live_version` is the version of the server that was dumped, `dump_seconds` how long its dump took; None if they
    are not known. `reserved_roles` are roles that are not in the dump because of their names; `unknown_settings` are
    in the live server's configuration, and the image does not have them; `missing_libraries` are of its
    shared_preload_libraries. In the databases `public_schema`, only the owner may create objects in the schema public
    after the upgrade.
    """

    live_version: str | None = None
    dump_seconds: float | None = None
    reserved_roles: tuple[str, ...] = ()
    unknown_settings: tuple[str, ...] = ()
    missing_libraries: tuple[str, ...] = ()
    collations: tuple[Collation, ...] = ()
    functions: tuple[CallingFunction, ...] = ()
    public_schema: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """With lists, as a module returns it."""
        result: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return result


def upgrade_facts(lines: Iterable[str]) -> dict[str, Any] | None:
    """The facts as a module returns them; None if there are none. Raises DrillError as parse_upgrade_facts does."""
    facts = parse_upgrade_facts(lines)
    return None if facts == UpgradeFacts() else facts.to_dict()


def parse_upgrade_facts(lines: Iterable[str]) -> UpgradeFacts:
    """The facts among the lines of a drill's log; empty if there are none.

    Raises DrillError if a line is damaged, or from another version of the script.
    """
    objects: dict[str, list[dict[str, Any]]] = {name: [] for name in _TYPES}
    try:
        for line in lines:
            if is_object(line):
                content = json.loads(line)
                if content["type"] in _TYPES:
                    objects[content["type"]].append(content)
        return _facts(objects)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DrillError(f"the report of the drill is from another version, or incomplete: {error!r}") from error


def _facts(objects: Mapping[str, list[dict[str, Any]]]) -> UpgradeFacts:
    live = objects["live_server"][-1] if objects["live_server"] else {}
    image = objects["image_server"][-1] if objects["image_server"] else {}
    databases = {part["name"]: part for part in objects["part"] if part["kind"] == "database"}
    seconds = [part["seconds"] for part in objects["part"] if part.get("seconds") is not None]
    return UpgradeFacts(
        # Distributors add the version of their package.
        live_version=str(live.get("version") or image.get("dump_version") or "").partition(" ")[0] or None,
        dump_seconds=round(float(sum(seconds)), 1) if seconds else None,
        reserved_roles=tuple(live.get("reserved_roles") or ()),
        unknown_settings=tuple(image.get("unknown_settings") or ()),
        missing_libraries=tuple(image.get("missing_libraries") or ()),
        collations=tuple(
            collation
            for database in objects["image_database"]
            for collation in _changed(database, databases.get(database["database"], {}))
        ),
        functions=tuple(
            CallingFunction(database["database"], function["name"], tuple(function["calls"]))
            for database in objects["image_database"]
            for function in database["functions"]
        ),
        public_schema=tuple(
            database["database"]
            for database in objects["image_database"]
            if databases.get(database["database"], {}).get("public_create") and not database["public_create"]
        ),
    )


def _changed(restored: Mapping[str, Any], live: Mapping[str, Any]) -> list[Collation]:
    versions = {each["name"]: each["version"] for each in restored["collations"]}
    return [
        Collation(restored["database"], each["name"], each["provider"], each["version"], versions.get(each["name"]))
        for each in live.get("collations") or ()
        if each["version"] != versions.get(each["name"])
    ]
