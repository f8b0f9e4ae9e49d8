# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Runs without a superuser, from a standby, and of servers with a damaged database."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support import sample
from ..support.certificates import offer_tls
from ..support.damage import damage_table
from ..support.failed_runs import assert_incomplete, fill_volume
from ..support.sandbox import Sandbox
from ..support.server import PASSWORD, Server
from ..support.workspace import Workspace

BK = f"CREATE ROLE bk LOGIN PASSWORD {sample.literal(PASSWORD)};"
AS_BK = {"POSTGRES_BACKUP_USER": "bk"}


def manifest_of(path: Path) -> dict[str, Any]:
    manifest = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert isinstance(manifest, dict)
    return manifest


@pytest.fixture(params=["plain", "TLS"])
def managed(request: pytest.FixtureRequest, workspace: Workspace, template: Server) -> Iterator[Server]:
    """A server as a provider has it: nobody may connect to its own database."""
    directory = workspace.directory("managed", mode=0o777)
    server = template.clone(directory)
    if request.param == "TLS":
        offer_tls(server)
    (server.data / "pg_hba.conf").write_text("host rdsadmin all all reject\nhost all all all scram-sha-256\n")
    with server:
        server.sql(f"{BK} GRANT pg_read_all_data TO bk;")
        for name in ("rdsadmin", "app"):
            server.sql(f"CREATE DATABASE {name};")
        server.sql("CREATE TABLE users AS SELECT 1 AS id;", "app")
        yield server


def test_a_server_of_a_provider(sandbox: Sandbox, managed: Server) -> None:
    """The backup is complete: nothing of the customer's is missing but the passwords of roles."""
    sandbox.server = managed
    # Such servers let nobody read it.
    sandbox.shim("psql", 'case "$*" in *pg_authid*) exit 1;; esac; exec "$real" "$@"')
    result = sandbox.run("run", env=AS_BK).check().result
    assert (result["backup_state"], result["inaccessible_databases"]) == ("complete", ["rdsadmin"])
    passwords, provider = result["warnings"]
    assert "passwords of roles" in passwords
    assert "rdsadmin" in provider
    (path,) = sandbox.backup_files()
    manifest = manifest_of(path)
    parts = {part["name"]: part for part in manifest["parts"] if part["kind"] == "database"}
    assert manifest["dumped"] == ["template1", "app", "postgres"]
    assert parts["rdsadmin"]["result"] == "not_accessible"
    assert "pg_hba.conf rejects" in parts["rdsadmin"]["reason"]
    assert parts["app"]["extensions"] == [{"name": "plpgsql", "version": "1.0", "schema": "pg_catalog"}]
    assert parts["app"]["size_bytes"] > 1_000_000
    assert manifest["server"]["data_checksums"] is True


@pytest.mark.parametrize("right", ["pg_read_all_data", "SELECT ON pg_authid", "postgres"])
def test_a_user_who_may_read_passwords(sandbox: Sandbox, fresh_server: Server, right: str) -> None:
    """It is not a superuser, and the backup has the passwords of roles, as pg_dumpall's would."""
    sandbox.server = fresh_server
    fresh_server.sql(f"{BK} GRANT {right} TO bk;")
    environment = dict(AS_BK)
    if right == "postgres":
        environment["POSTGRES_BACKUP_EXTRA_ARGS"] = "--role=postgres"
    result = sandbox.run("run", env=environment).check().result
    assert result["warnings"] == []
    (path,) = sandbox.backup_files()
    assert manifest_of(path)["server"]["role_passwords"] is True
    assert gzip.decompress(path.read_bytes()).count(b"PASSWORD 'SCRAM-SHA-256$") == 2


def test_what_the_user_may_not_read_is_reported_for_each_database(sandbox: Sandbox, managed: Server) -> None:
    """Row security, a large object, and a database: each with its reason and advice; the others are dumped."""
    sandbox.server = managed
    for name in ("rows", "objects", "closed_to_bk"):
        managed.sql(f"CREATE DATABASE {name};")
    managed.sql("CREATE TABLE tenants (); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;", "rows")
    managed.sql("SELECT lo_create(5);", "objects")
    managed.sql("REVOKE CONNECT ON DATABASE closed_to_bk FROM public;")
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env=AS_BK)
    missing = ["closed_to_bk", "objects", "rows"]
    assert_incomplete(sandbox, outcome, before, missing, "public.tenants", "large objects 5")
    entries = {entry["database"]: entry for entry in outcome.result["failed_databases"]}
    assert "permission denied for database" in entries["closed_to_bk"]["error"]
    assert "GRANT CONNECT" in entries["closed_to_bk"]["advice"]
    assert "GRANT SELECT ON LARGE OBJECT" in entries["objects"]["advice"]
    assert "BYPASSRLS" in entries["rows"]["advice"]
    assert "superuser" not in "".join(entry["advice"] for entry in entries.values())


def test_what_the_user_may_not_read_is_left_out_on_request(sandbox: Sandbox, managed: Server) -> None:
    """As in the advice."""
    sandbox.server = managed
    for name in ("rows", "objects", "closed_to_bk", "tables"):
        managed.sql(f"CREATE DATABASE {name};")
    managed.sql("CREATE TABLE tenants (); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;", "rows")
    managed.sql("SELECT lo_create(5);", "objects")
    managed.sql("REVOKE CONNECT ON DATABASE closed_to_bk FROM public;")
    managed.sql("CREATE ROLE writer LOGIN; REVOKE pg_read_all_data FROM bk;")
    managed.sql("GRANT SELECT ON users TO bk;", "app")
    managed.sql("GRANT SELECT ON tenants TO bk;", "rows")
    managed.sql("CREATE TABLE secret ();", "tables")
    environment = {
        "POSTGRES_BACKUP_EXCLUDE_DATABASES": "closed_*",
        "POSTGRES_BACKUP_EXCLUDE_TABLE_DATA": "rows\ttenants",
        "POSTGRES_BACKUP_EXCLUDE_TABLES": "tables\tsecret",
        "POSTGRES_BACKUP_DUMP_ARGS": "objects\t--no-blobs",
    }
    result = sandbox.run("run", env={**AS_BK, **environment}).check().result
    assert (result["backup_state"], result["excluded_databases"]) == ("complete", ["closed_to_bk"])
    (path,) = sandbox.backup_files()
    text = gzip.decompress(path.read_bytes())
    assert b"CREATE TABLE public.tenants" in text and b"COPY public.tenants" not in text
    assert b"public.secret" not in text


def test_a_damaged_page(sandbox: Sandbox, fresh_server: Server) -> None:
    """The other databases are backed up; then the sick table's rows are left out, as in the advice."""
    sandbox.server = fresh_server
    for name in ("app", "sick"):
        fresh_server.sql(f"CREATE DATABASE {name};")
    fresh_server.sql("CREATE TABLE broken AS SELECT repeat('x', 99) FROM generate_series(1, 999);", "sick")
    fresh_server.sql("CREATE TABLE fine AS SELECT 1 AS i;", "sick")
    damage_table(fresh_server, "broken", "sick")
    before = fill_volume(sandbox)
    outcome = sandbox.run("run")
    assert_incomplete(sandbox, outcome, before, ["sick"], "invalid page in block 0")
    assert "postgres_backup_exclude_table_data" in outcome.log
    # The counter of the failures is a warning from then on.
    result = sandbox.run("run", env={"POSTGRES_BACKUP_EXCLUDE_TABLE_DATA": "sick\tbroken"}).check().result
    assert result["backup_state"] == "complete"
    assert any("checksum failures in database sick" in warning for warning in result["warnings"])


def test_a_missing_library(sandbox: Sandbox, fresh_server: Server) -> None:
    sandbox.server = fresh_server
    fresh_server.sql("CREATE DATABASE sick;")
    fresh_server.sql("CREATE EXTENSION hstore; CREATE TABLE t AS SELECT hstore('a', 'b');", "sick")
    fresh_server.sql("UPDATE pg_proc SET probin = '$libdir/gone' WHERE proname = 'hstore_out';", "sick")
    before = fill_volume(sandbox)
    outcome = sandbox.run("run")
    assert_incomplete(sandbox, outcome, before, ["sick"], "could not access file")
    assert "install the extension's package" in outcome.log


def test_a_database_and_a_role_with_few_connections(sandbox: Sandbox, fresh_server: Server) -> None:
    """The inspection does not take the dump's connection."""
    sandbox.server = fresh_server
    fresh_server.sql(f"{BK} GRANT pg_read_all_data TO bk; ALTER ROLE bk CONNECTION LIMIT 2;")
    for name in ("a", "b", "c", "d"):
        fresh_server.sql(f"CREATE DATABASE {name} CONNECTION LIMIT 1;")
    result = sandbox.run("run", env=AS_BK).check().result
    assert (result["backup_state"], result["databases"]) == ("complete", 6)


def test_a_standby(sandbox: Sandbox, fresh_server: Server, workspace: Workspace) -> None:
    """It is recorded, and that unlogged tables have no rows there."""
    fresh_server.sql("CREATE UNLOGGED TABLE cache AS SELECT 1 AS i; CREATE TABLE kept AS SELECT 1 AS i;")
    directory = workspace.directory("standby", mode=0o777)
    with fresh_server.standby(directory) as standby:
        sandbox.server = standby
        result = sandbox.run("run").check().result
    (path,) = sandbox.backup_files()
    assert manifest_of(path)["server"]["in_recovery"] is True
    (warning,) = result["warnings"]
    assert "unlogged tables" in warning and "public.cache" in warning
    text = gzip.decompress(path.read_bytes())
    assert b"COPY public.kept" in text and b"COPY public.cache" not in text


def test_a_standby_that_cancels_the_dump(sandbox: Sandbox, fresh_server: Server, workspace: Workspace) -> None:
    """It is tried again, and the backup is complete. The first dump waits for its reader until it is cancelled."""
    fresh_server.sql("CREATE TABLE big AS SELECT i, md5(i::text) AS t FROM generate_series(1, 500000) AS i;")
    directory, gate = workspace.directory("standby", mode=0o777), workspace.directory("gate", sandbox.uid)
    standby = fresh_server.standby(directory)
    standby.configure("max_standby_streaming_delay = 0", "hot_standby_feedback = off")
    sandbox.shim(
        "pg_dump",
        f"""case "$*" in *"dbname='postgres'"*) ;; *) exec $real "$@" ;; esac
[ ! -e {gate}/go ] || exec $real "$@"
{{ $real "$@"; echo $? >{gate}/status; }} |
    {{ head -c 1000; while [ ! -e {gate}/go ]; do sleep 0.02 2>/dev/null || sleep 1; done; cat; }}
exit "$(cat {gate}/status)\"""",
    )
    with standby:
        sandbox.server = standby
        process = sandbox.start("run")
        copying = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY public.big%';"
        sandbox.wait_until(lambda: standby.sql(copying) == "1", "the dump is under way", process)
        fresh_server.sql("ALTER TABLE big ADD COLUMN more int;")
        active = f"{copying.removesuffix(';')} AND state = 'active';"
        sandbox.wait_until(
            lambda: standby.waits_for_a_lock or standby.sql(active) == "0", "the replay meets the dump", process
        )
        (gate / "go").touch()
        outcome = sandbox.finish(process).check()
    assert "conflict with recovery" in outcome.log, outcome.log
    assert "is tried again" in outcome.log
    assert outcome.result["backup_state"] == "complete"
