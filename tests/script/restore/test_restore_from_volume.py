# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""What the pod of a restore finds out on the volume: the backup, the database's part, and whether to trust it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore
from tests.backup_parts import NAME
from tests.dump import hostile, truth

from ..support.combinations import Combination, under_all, under_one
from ..support.restores import (
    Backup,
    Live,
    as_of_run,
    assert_failed,
    back_up,
    drop,
    names,
    prepare,
    request,
    restore,
    state_of,
    text_of,
)
from ..support.sandbox import Sandbox
from ..support.script_files import copy_script
from ..support.server import Server
from ..support.workspace import Workspace

# Of these days in 2026.
OLDER, OLDEST = (NAME.replace("11-22", day) for day in ("11-21", "11-20"))
FUTURE = NAME.replace("2026", "2096")
HOSTILE = 'a,"b"] \\ ü'


@pytest.fixture(scope="module")
def small(workspace: Workspace, template: Server) -> Iterator[Live]:
    """A server with three databases, which no test changes."""
    with template.clone(workspace.directory("small", mode=0o777)) as server:
        for name, rows in (("app", 1000), (HOSTILE, 10), ("zoo", 5)):
            quoted = name.replace('"', '""')
            server.sql(f'CREATE DATABASE "{quoted}" STRATEGY file_copy;')
            server.sql(f"CREATE TABLE numbers AS SELECT generate_series(1, {rows}) AS n;", name)
        yield Live(server, back_up(server))


def restored(sandbox: Sandbox, small: Live, database: str, **options: Any) -> dict[str, Any]:
    """The result of a successful restore, whose database is dropped again."""
    outcome = restore(sandbox, plan_restore(request(database, new_name="again", **options))).check()
    assert truth.tables(small.server, "again") == truth.tables(small.server, database)
    drop(small.server, "again")
    return outcome.result


@under_all
def test_newest_backup_that_holds_the_database(offline: Sandbox, small: Live) -> None:
    prepare(
        offline,
        small.server,
        as_of_run(small.backup, "app", HOSTILE),
        as_of_run(small.backup, "app", name=OLDER),
        as_of_run(small.backup, name=OLDEST),
        as_of_run(small.backup, name=FUTURE),
    )
    found = {name: restored(offline, small, name) for name in ("zoo", HOSTILE, "app")}
    assert [result["backup"] for result in found.values()] == [NAME, OLDER, OLDEST]
    assert [result["missing_databases"] for result in found.values()] == [["app", HOSTILE], ["app"], []]
    # One that was made by version 1.0 is expected to hold it; a damaged one is passed over.
    single = replace(small.backup, name=NAME.replace("-22-", "-19-"))
    for path in offline.volume.iterdir():
        path.unlink()
    prepare(offline, small.server, single, as_of_run(small.backup, name=OLDEST))
    checksum_file(offline, single)
    (offline.volume / f"{OLDEST}.sha256").unlink()
    (offline.volume / f"{OLDEST}.damaged").write_text("gzip cannot read it (checked 2026-11-22)\n")
    assert restored(offline, small, HOSTILE)["backup"] == single.name


def checksum_file(sandbox: Sandbox, backup: Backup) -> None:
    (sandbox.volume / f"{backup.name}.sha256").write_text(f"{backup.sha256}  {backup.name}\n")


@under_one
def test_no_backup_holds_the_database(offline: Sandbox, small: Live) -> None:
    before = state_of(small.server)
    plan = plan_restore(request("none", new_name="again"))
    prepare(offline, small.server)
    assert_failed(restore(offline, plan), small.server, before, "no backup holds the database", "'none'")
    prepare(offline, small.server, as_of_run(small.backup))
    assert_failed(restore(offline, plan), small.server, before, "no backup holds the database", "backup_info")
    for backup in (as_of_run(small.backup), small.backup):
        prepare(offline, small.server, backup)
        outcome = restore(offline, plan_restore(request("none", new_name="again", backup=NAME)))
        assert_failed(outcome, small.server, before, "the database is not in the backup", '"zoo"')
        for path in offline.volume.iterdir():
            path.unlink()


def test_database_that_the_run_could_not_dump(offline: Sandbox, small: Live) -> None:
    prepare(offline, small.server, as_of_run(small.backup, HOSTILE), as_of_run(small.backup, name=OLDEST))
    before = state_of(small.server)
    plan = plan_restore(request(HOSTILE, new_name="again", backup=NAME))
    outcome = restore(offline, plan)
    words = ("could not dump", "is incomplete", f"Restore it from {OLDEST}, the newest backup that holds it")
    assert_failed(outcome, small.server, before, *words)
    assert outcome.result["missing_databases"] == [HOSTILE]
    # The text of the backup names it, too.
    (offline.volume / f"{NAME}.json").unlink()
    outcome = restore(offline, plan)
    assert_failed(outcome, small.server, before, *words)
    assert outcome.result["missing_databases"] == [HOSTILE]


@under_all
def test_each_database_of_an_incomplete_backup_without_manifest(offline: Sandbox, small: Live) -> None:
    """After the last database, its text names the missing ones."""
    backup = as_of_run(small.backup, HOSTILE)
    for text in (gzip.decompress(backup.data), gzip.decompress(backup.data).replace(b"\n", b"\r\n")):
        data = gzip.compress(text)
        (offline.volume / NAME).write_bytes(data)
        offline.server = small.server
        for name in ("template1", "app", "zoo"):
            assert restored(offline, small, name, backup=NAME)["missing_databases"] == [HOSTILE]


def test_only_the_part_of_the_database_is_read(offline: Sandbox, small: Live, workspace: Workspace) -> None:
    backup = as_of_run(small.backup)
    prepare(offline, small.server, backup)
    log = workspace.directory("log", mode=0o777) / "bytes"
    offline.shim(
        "gzip", f'[ "$1" = -d ] || exec "$real" "$@"\n{{ "$real" "$@" | tee /dev/fd/3 | wc -c >>{log}; }} 3>&1'
    )
    restored(offline, small, HOSTILE)
    (part,) = (part for part in json.loads(backup.manifest)["parts"] if part["name"] == HOSTILE)
    read = [int(line) for line in log.read_text().split()]
    assert read == [part["text_length_bytes"]] * 2


def test_file_that_does_not_match_its_checksum_file(offline: Sandbox, small: Live) -> None:
    """The damage lies in another database's part, so that nothing else could notice it."""
    backup = as_of_run(small.backup)
    prepare(offline, small.server, backup)
    before = state_of(small.server)
    (part,) = (part for part in json.loads(backup.manifest)["parts"] if part["name"] == "zoo")
    at = part["offset_bytes"] + 100
    data = backup.data[:at] + bytes([backup.data[at] ^ 1]) + backup.data[at + 1 :]
    (offline.volume / NAME).write_bytes(data)
    for options in ({}, {"check": True}):
        outcome = restore(offline, plan_restore(request("app", new_name="again", **options)))
        words = ("the backup does not match its checksum file", backup.sha256, hashlib.sha256(data).hexdigest())
        assert_failed(outcome, small.server, before, *words)
    # Without a checksum file the hash is only reported.
    (offline.volume / f"{NAME}.sha256").unlink()
    assert restored(offline, small, "app", backup=NAME)["sha256"] == hashlib.sha256(data).hexdigest()


@under_one
def test_nothing_is_executed_before_the_given_hash_matches(offline: Sandbox, small: Live) -> None:
    backup = as_of_run(small.backup)
    prepare(offline, small.server, backup)
    before = state_of(small.server)
    offline.shim("sha256sum", 'sleep 1; exec "$real" "$@"')
    outcome = restore(offline, plan_restore(request("app", new_name="again", backup=NAME, sha256="0" * 64)))
    assert_failed(outcome, small.server, before, "is not the one that was verified")
    assert "temporary database" not in outcome.log
    # That of the checksum file is compared before the database gets its name.
    (offline.volume / f"{NAME}.sha256").write_text(f"{'0' * 64}  {NAME}\n")
    outcome = restore(offline, plan_restore(request("app", new_name="again")))
    assert_failed(outcome, small.server, before, "does not match its checksum file")


def other_part(manifest: str) -> str:
    """The manifest with the position of another database's part."""
    places = {part["name"]: part for part in json.loads(manifest)["parts"]}
    lines = manifest.split("\n")
    for number, line in enumerate(lines):
        if line.startswith('{"kind":"database","name":"app"'):
            for field in ("offset_bytes", "length_bytes", "text_offset_bytes", "text_length_bytes"):
                value = places["zoo"][field]
                lines[number] = re.sub(rf'"{field}":\d+', f'"{field}":{value}', lines[number])
    return "\n".join(lines)


MANIFESTS: dict[str, tuple[Callable[[str], str], str]] = {
    "another database": (other_part, "the manifest is not that of this backup"),
    "another file": (lambda text: text.replace('"bytes":', '"bytes":1'), ""),
    "another hash": (lambda text: re.sub('"sha256":"....', '"sha256":"0000', text), ""),
    "another name": (lambda text: text.replace(NAME, OLDEST), ""),
    "no parts": (lambda text: text.partition('"parts"')[0], "the database is not in the backup"),
    "garbage": (lambda _text: "\0\377garbage\n", ""),
    "empty": (lambda _text: "", ""),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_manifest_that_is_not_true(offline: Sandbox, small: Live, kind: str) -> None:
    """The text is read instead; never is another database restored."""
    change, words = MANIFESTS[kind]
    backup = as_of_run(small.backup)
    prepare(offline, small.server, backup)
    (offline.volume / f"{NAME}.json").write_text(change(backup.manifest))
    before = state_of(small.server)
    if words:
        outcome = restore(offline, plan_restore(request("app", new_name="again", backup=NAME)))
        assert_failed(outcome, small.server, before, words)
    else:
        assert restored(offline, small, "app", backup=NAME)["rows"] == 1000


@under_one
def test_dump_of_one_database_is_refused(offline: Sandbox, small: Live) -> None:
    prepare(offline, small.server)
    before = state_of(small.server)
    (offline.volume / NAME).write_bytes(gzip.compress(text_of(small.server, "app")))
    outcome = restore(offline, plan_restore(request("app", new_name="again", backup=NAME)))
    assert_failed(outcome, small.server, before, "not one complete dump of all databases", "pg_dump")


@under_all
def test_backup_of_a_run(combination: Combination, fresh_server: Server, workspace: Workspace, paths: Any) -> None:
    """Its own manifest, with a role whose password is in the globals; into a server that has neither."""
    fresh_server.sql("CREATE ROLE keeper LOGIN PASSWORD 'secret';")
    fresh_server.sql("CREATE DATABASE shop OWNER keeper STRATEGY file_copy;")
    fresh_server.sql("CREATE TABLE goods AS SELECT generate_series(1, 50) AS n;", "shop")
    password = "SELECT rolpassword FROM pg_authid WHERE rolname = 'keeper';"
    text, role = text_of(fresh_server, "shop"), fresh_server.sql(password)
    script = copy_script(workspace.directory("run-and-restore-script"), "run", "_restore")
    sandbox = Sandbox(workspace, combination, paths(combination), script)
    sandbox.server = fresh_server
    made = sandbox.run("run").check().result
    fresh_server.sql("DROP DATABASE shop; DROP ROLE keeper;")
    checked = restore(sandbox, plan_restore(request("shop", create_roles=True, check=True))).check().result
    assert (checked["backup"], checked["created_roles"], checked["rows"]) == (made["backup"], ["keeper"], 50)
    assert "shop" not in names(fresh_server)
    result = restore(sandbox, plan_restore(request("shop", create_roles=True))).check().result
    assert (result["backup"], result["sha256"], result["created_roles"]) == (made["backup"], made["sha256"], ["keeper"])
    assert text_of(fresh_server, "shop") == text
    assert fresh_server.sql(password) == role


@under_one
def test_hostile_databases_of_a_run(
    combination: Combination, workspace: Workspace, template: Server, paths: Any
) -> None:
    """Where the run itself has recorded the parts, of databases in every encoding."""
    script = copy_script(workspace.directory("hostile-run-script"), "run", "_restore")
    sandbox = Sandbox(workspace, combination, paths(combination), script)
    with template.clone(workspace.directory("hostile", mode=0o777)) as server:
        hostile.fill(server, workspace.directory("hostile-space", mode=0o777))
        sandbox.server = server
        made = sandbox.run("run").check().result
        manifest = json.loads((sandbox.volume / f"{made['backup']}.json").read_text())
        assert len(manifest["dumped"]) > 10
        for name in manifest["dumped"]:
            result = restore(sandbox, plan_restore(request(name, new_name="again"))).check().result
            assert (result["backup"], result["warnings"]) == (made["backup"], [])
            assert truth.tables(server, "again") == truth.tables(server, name)
            assert text_of(server, "again") == text_of(server, name), name
            drop(server, "again")
