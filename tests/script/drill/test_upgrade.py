# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A backup of one version of PostgreSQL, restored by the drill of another version: the verdict on the upgrade."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from plugins.module_utils._jobs.upgrade_facts import parse_upgrade_facts
from plugins.module_utils._jobs.upgrade_verdict import upgrade_verdict
from tests.dump import hostile
from tests.in_turn import weekly_but

from ..support.combinations import under_one
from ..support.programs import Programs, root_filesystem, wrap
from ..support.rehearsal import Rehearsal
from ..support.sandbox import Outcome, Sandbox
from ..support.server import Server
from ..support.volume import give
from ..support.workspace import Workspace

ProgramsOf = Callable[[str], Programs]


@pytest.fixture(scope="module")
def programs_of(workspace: Workspace) -> ProgramsOf:
    """The programs of a version, unpacked once."""
    made: dict[str, Programs] = {}

    def programs(version: str) -> Programs:
        if version not in made:
            root = workspace.show(root_filesystem(version))
            made[version] = wrap(root, version, workspace.directory(f"upgrade-{version}"))
        return made[version]

    return programs


@contextmanager
def new_server(workspace: Workspace, programs: Programs, *configuration: str) -> Iterator[Server]:
    directory = workspace.directory("live", mode=0o777)
    server = Server(programs, directory).create()
    server.configure(*configuration)
    with server:
        yield server


def rehearse(sandbox: Sandbox, server: Server, image: Programs) -> tuple[dict[str, Any], Outcome]:
    """Back the server up, and restore the backup with the other programs: the verdict, and what the drill printed."""
    sandbox.server = server
    sandbox.run("run").check()
    rehearsal = Rehearsal.of(sandbox, image)
    shutil.copytree(sandbox.volume, rehearsal.volume, dirs_exist_ok=True)
    give(rehearsal.volume, rehearsal.uid)
    outcome = rehearsal.run("drill", env={"POSTGRES_BACKUP_DRILL_UPGRADE": "yes"})
    result = {
        **outcome.result,
        "failed": outcome.code != 0,
        "msg": outcome.result["reason"],
        "errors": outcome.of_type("error"),
        "upgrade": parse_upgrade_facts(outcome.out.splitlines()).to_dict(),
    }
    return upgrade_verdict(result), outcome


@dataclass(frozen=True)
class Plant:
    """An incompatibility, made by `sql` in a database by servers of `versions`, and what the verdict must say of it."""

    versions: str
    database: str
    sql: str
    kind: str
    object: str | None
    message: str
    remedy: str
    blocks: bool = True
    place: str | None = "app"


def error(versions: str, sql: str, place: str, message: str, remedy: str) -> Plant:
    return Plant(versions, "app", sql, "error", place, message, remedy)


PLANTED = (
    # Extensions
    Plant(
        "13 15", "app", "CREATE EXTENSION adminpack;", "extension", "extension adminpack", "adminpack", "DROP EXTENSION"
    ),
    Plant(
        "13 15",
        "app",
        "CREATE EXTENSION hstore; UPDATE pg_extension SET extversion = '9.9' WHERE extname = 'hstore';",
        "extension",
        "extension hstore",
        "the live server 9.9",
        "hstore 9.9 or newer",
    ),
    # Settings
    Plant(
        "13",
        "postgres",
        "CREATE ROLE old; ALTER ROLE old SET password_encryption = 'on';",
        "error",
        "role old",
        'invalid value for parameter "password_encryption"',
        "scram-sha-256",
        place=None,
    ),
    Plant(
        "13",
        "postgres",
        "ALTER DATABASE app SET operator_precedence_warning = on;",
        "error",
        "database app",
        '"operator_precedence_warning"',
        'RESET "operator_precedence_warning"',
    ),
    Plant(
        "13 15",
        "postgres",
        "CREATE ROLE forced; ALTER ROLE forced IN DATABASE app SET force_parallel_mode = on;",
        "error",
        "role forced",
        '"force_parallel_mode"',
        'RESET "force_parallel_mode"',
    ),
    # Roles
    Plant(
        "13 15",
        "postgres",
        "CREATE ROLE pgx; UPDATE pg_authid SET rolname = 'pg_watcher' WHERE rolname = 'pgx';",
        "role",
        "role pg_watcher",
        "reserved",
        'ALTER ROLE "pg_watcher" RENAME',
        place=None,
    ),
    Plant(
        "13 15",
        "postgres",
        "CREATE ROLE boss; CREATE ROLE worker; CREATE ROLE grantor; GRANT boss TO worker;"
        "UPDATE pg_auth_members SET grantor = 'grantor'::regrole WHERE member = 'worker'::regrole;",
        "error",
        "grant to or from worker",
        'as role "grantor"',
        "ADMIN option",
        place=None,
    ),
    # Functions, operators, types
    error(
        "13",
        "CREATE AGGREGATE collect(anyelement) (sfunc = array_append, stype = anyarray, initcond = '{}');",
        "aggregate public.collect",
        "array_append(anyarray, anyelement)",
        "anycompatiblearray",
    ),
    error(
        "13",
        "CREATE FUNCTION same(int) RETURNS int LANGUAGE sql AS 'SELECT $1';"
        "CREATE OPERATOR ## (leftarg = int, procedure = same);",
        "operator public.##",
        "operator right argument",
        "DROP OPERATOR",
    ),
    error("13", "CREATE VIEW after_five AS SELECT 5 ! AS f;", "view public.after_five", "syntax error", "factorial(n)"),
    error("13", "CREATE VIEW before_five AS SELECT !! 5 AS f;", "view public.before_five", "!! bigint", "factorial(n)"),
    error(
        "13",
        "CREATE TABLE shapes (p polygon, q polygon); CREATE INDEX contained ON shapes ((p @ q));",
        "index public.contained",
        "polygon @ polygon",
        "<@ and @>",
    ),
    error(
        "13",
        "CREATE VIEW backing_up AS SELECT pg_is_in_backup() AS b;",
        "view public.backing_up",
        "pg_is_in_backup",
        "drop",
    ),
    Plant(
        "13",
        "app",
        "CREATE FUNCTION begin_backup(label text) RETURNS void LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_start_backup(label); END $$;",
        "function",
        "function public.begin_backup(text)",
        "pg_start_backup",
        "pg_backup_start",
        blocks=False,
    ),
    Plant(
        "15",
        "app",
        "CREATE FUNCTION written() RETURNS bigint LANGUAGE sql AS 'SELECT pg_stat_get_buf_written_backend()';",
        "function",
        "function public.written()",
        "pg_stat_get_buf_written_backend",
        "pg_stat_io",
        blocks=False,
    ),
    # Columns of PostgreSQL's own views
    error(
        "13",
        "CREATE VIEW oids AS SELECT datlastsysoid FROM pg_database;",
        "view public.oids",
        "datlastsysoid",
        "without the",
    ),
    error(
        "13 15",
        "CREATE VIEW bg AS SELECT buffers_backend FROM pg_stat_bgwriter;",
        "view public.bg",
        "buffers_",
        "without the",
    ),
    error(
        "13 15",
        "CREATE VIEW att AS SELECT attcacheoff FROM pg_attribute;",
        "view public.att",
        "attcacheoff",
        "without the",
    ),
    error("15", "CREATE VIEW wal AS SELECT wal_write FROM pg_stat_wal;", "view public.wal", "wal_write", "without the"),
    error(
        "13 15",
        "CREATE VIEW dead AS SELECT max_dead_tuples FROM pg_stat_progress_vacuum;",
        "view public.dead",
        "max_dead_tuples",
        "without the",
    ),
    error(
        "13 15",
        "CREATE EXTENSION pg_stat_statements; CREATE VIEW reads AS SELECT blk_read_time FROM pg_stat_statements;",
        "view public.reads",
        "blk_read_time",
        "without the",
    ),
    # Tables
    error(
        "13 15",
        "CREATE UNLOGGED TABLE events (id int) PARTITION BY RANGE (id);",
        "table public.events",
        "partitioned tables cannot be unlogged",
        "UNLOGGED",
    ),
    error(
        "13 15",
        "CREATE TABLE words (system_user text); INSERT INTO words VALUES ('secret');",
        "table public.words",
        'at or near "system_user"',
        "since PostgreSQL 16",
    ),
    # What PostgreSQL 19 removed
    Plant(
        "18",
        "postgres",
        'CREATE ROLE "line\nbreak";',
        "error",
        'role "line break"',
        "role name",
        "line breaks",
        place=None,
    ),
    Plant(
        "18",
        "postgres",
        "CREATE ROLE warned; ALTER ROLE warned SET escape_string_warning = off;",
        "error",
        "role warned",
        '"escape_string_warning"',
        'RESET "escape_string_warning"',
        place=None,
    ),
    Plant(
        "18",
        "postgres",
        "ALTER DATABASE app SET standard_conforming_strings = off;",
        "error",
        "database app",
        "non-standard string literals",
        "RESET standard_conforming_strings",
    ),
    # Configuration, rights, order of text
    Plant("13", "app", "SELECT;", "setting", "setting stats_temp_directory", "", "Remove it", blocks=False, place=None),
    Plant(
        "13 15",
        "app",
        "SELECT;",
        "library",
        "library adminpack",
        "shared_preload",
        "Use an image",
        blocks=False,
        place=None,
    ),
    Plant(
        "13",
        "app",
        "SELECT;",
        "permission",
        "schema public",
        "app, postgres, template1",
        "GRANT",
        blocks=False,
        place=None,
    ),
    Plant(
        "13 15",
        "app",
        'CREATE TABLE sorted (a text COLLATE "de-x-icu");',
        "collation",
        'collation pg_catalog."de-x-icu"',
        "of ICU",
        "ORDER BY",
        blocks=False,
    ),
)


# How many of them prevent the upgrade.
PLANTED_PAIRS = {"13 to 18": 20, "15 to 18": 12, "18 to 19": 3}


@pytest.mark.parametrize("pair", weekly_but(PLANTED_PAIRS, "13 to 18", "18 to 19"))
def test_planted_incompatibilities(offline: Sandbox, workspace: Workspace, programs_of: ProgramsOf, pair: str) -> None:
    version, image = pair.split(" to ")
    plants = [plant for plant in PLANTED if version in plant.versions.split()]
    assert len([plant for plant in plants if plant.blocks]) >= PLANTED_PAIRS[pair]
    libraries = "adminpack, pg_stat_statements" if version != "18" else ""
    configuration = ["allow_system_table_mods = on", f"shared_preload_libraries = '{libraries}'"]
    configuration += ["stats_temp_directory = 'pg_stat_tmp'"] if version == "13" else []
    with new_server(workspace, programs_of(version), *configuration) as server:
        server.sql("CREATE DATABASE app;")
        for plant in plants:
            server.sql(plant.sql, plant.database)
        verdict, outcome = rehearse(offline, server, programs_of(image))
    assert not verdict["ready"]
    left = list(verdict["items"])
    for plant in plants:
        found = [item for item in left if (item["kind"], item["object"]) == (plant.kind, plant.object)]
        assert len(found) == 1, (plant, verdict["lines"])
        (item,) = found
        left.remove(item)
        assert (item["database"], item["blocks"]) == (plant.place, plant.blocks), plant
        assert plant.message in item["message"] and plant.remedy in item["remedy"], item
        assert (item["sqlstate"] is not None) == (plant.kind == "error") or plant.object == "extension adminpack", item
    # Nothing else, not even what follows from them.
    assert left == [], verdict["lines"]
    assert verdict["from_version"].startswith(f"{version}.") and verdict["to_version"].startswith(image)
    assert verdict["outage_seconds"]["dump"] is not None
    assert "secret" not in outcome.out + outcome.log


# What is true of the servers that Debian has packages for.
TRUE = {"collation", "permission"}


PAIRS = ("13 to 18", "15 to 18", "17 to 18", "18 to 18", "15 to 19", "18 to 19")


@under_one
@pytest.mark.parametrize("pair", weekly_but(PAIRS, "13 to 18"))
def test_no_false_alarm_on_the_hostile_databases(
    offline: Sandbox, workspace: Workspace, programs_of: ProgramsOf, pair: str
) -> None:
    version, image = pair.split(" to ")
    with new_server(workspace, programs_of(version)) as server:
        hostile.fill(server, workspace.directory("spaces", mode=0o777))
        if image == "19":  # which does not accept this name
            server.sql('DROP ROLE "role\nCREATE ROLE forged;";')
        verdict, _ = rehearse(offline, server, programs_of(image))
    assert verdict["ready"], verdict["lines"]
    kinds = {item["kind"] for item in verdict["items"]}
    assert kinds <= (TRUE if version < "15" else {"collation"}), verdict["lines"]
    if version == image:
        assert verdict["items"] == []
    outage = verdict["outage_seconds"]
    assert outage["total"] == pytest.approx(outage["dump"] + outage["restore"], abs=0.2)


@under_one
@pytest.mark.parametrize("version", weekly_but(("13", "15", "17", "19"), "13", "19"))
def test_a_backup_of_each_version_is_restored_by_the_same_version(
    offline: Sandbox, workspace: Workspace, programs_of: ProgramsOf, version: str
) -> None:
    with new_server(workspace, programs_of(version)) as server:
        server.sql("CREATE DATABASE app; CREATE ROLE reader;")
        server.sql(
            "CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n; GRANT SELECT ON numbers TO reader;", "app"
        )
        verdict, outcome = rehearse(offline, server, programs_of(version))
    assert outcome.result["rows"] == outcome.result["copied_rows"] == 1000
    assert outcome.result["server_version"].startswith(version)
    assert (verdict["ready"], verdict["items"]) == (True, [])
    assert set(verdict["from_version"]) <= set("0123456789.rc")
