# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The server's own health, as a run reads it: warnings, and never a failed run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ..support import sample
from ..support.damage import damage_table
from ..support.inspection import SHELLS, health
from ..support.programs import root_filesystem, wrap
from ..support.server import PASSWORD, Server
from ..support.workspace import SERVER_UID, Workspace

SETTINGS = {
    "block_size": 8192,
    "max_connections": 40,
    "max_locks_per_transaction": 64,
    "max_prepared_transactions": 0,
    "session_preload_libraries": "",
    "shared_preload_libraries": "",
    "wal_level": "replica",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_healthy_server(fresh_server: Server, shell: str, tmp_path: Path) -> None:
    result = health(fresh_server, "postgres", tmp_path, shell)
    configured = set(result.members.pop("configured_settings"))
    # Of postgresql.conf (server.py), of the environment and of the command line.
    assert {"fsync", "DateStyle", "port"} < configured and not configured & {"work_mem", "wal_level"}
    assert result.members == {"in_recovery": False, "data_checksums": True, "reserved_roles": [], **SETTINGS}
    assert result.warnings == []


def test_a_role_with_a_reserved_name(fresh_server: Server, tmp_path: Path) -> None:
    """Before PostgreSQL 9.6 a role could have such a name, and pg_upgrade kept it; pg_dumpall leaves it out."""
    fresh_server.sql("CREATE ROLE monitoring; CREATE ROLE other;")
    fresh_server.sql(
        "SET allow_system_table_mods = on; UPDATE pg_authid SET rolname = 'pg_mönitoring' WHERE rolname = 'monitoring';"
    )
    assert health(fresh_server, "postgres", tmp_path).members["reserved_roles"] == ["pg_mönitoring"]


def test_a_user_who_may_not_read_every_setting(fresh_server: Server, tmp_path: Path) -> None:
    fresh_server.sql(f"CREATE ROLE bk LOGIN PASSWORD {sample.literal(PASSWORD)};")
    result = health(fresh_server, "bk", tmp_path / "without")
    assert result.members["shared_preload_libraries"] is None
    assert result.members["max_connections"] == 40
    fresh_server.sql("GRANT pg_read_all_settings TO bk;")
    assert health(fresh_server, "bk", tmp_path / "with").members["shared_preload_libraries"] == ""


@pytest.mark.parametrize("version", ["13", "15", "17"])
def test_checksums_are_off(workspace: Workspace, version: str, tmp_path: Path) -> None:
    """As initdb left them before PostgreSQL 18."""
    programs = wrap(workspace.show(root_filesystem(version)), version, workspace.directory(f"postgresql-{version}"))
    directory = workspace.directory("without-checksums", mode=0o777)
    with Server(programs, directory).create() as server:
        result = health(server, "postgres", tmp_path)
    assert result.members["data_checksums"] is False
    (warning,) = result.warnings
    assert warning.startswith("data checksums are off")


def test_checksum_failures(fresh_server: Server, tmp_path: Path) -> None:
    fresh_server.sql('CREATE DATABASE "my shop";')
    fresh_server.sql("CREATE TABLE t AS SELECT repeat('x', 100) FROM generate_series(1, 1000);", "my shop")
    damage_table(fresh_server, "t", "my shop")
    with pytest.raises(AssertionError, match="invalid page in block 0"):
        fresh_server.sql("SELECT * FROM t;", "my shop")
    (warning,) = health(fresh_server, "postgres", tmp_path).warnings
    assert warning.startswith('checksum failures in database "my shop": 1, the last one at 20')
    assert "keep older backups" in warning


def test_transaction_ids_near_their_limit(fresh_server: Server, tmp_path: Path) -> None:
    fresh_server.stop()
    # The segment of pg_xact in which the next transaction id lies.
    segment = fresh_server.data / "pg_xact" / f"{1_400_000_000 // (32 * 32768):04X}"
    segment.write_bytes(bytes(256 * 1024))
    offsets = fresh_server.data / "pg_multixact" / "offsets" / f"{1_500_000_000 // (32 * 2048):04X}"
    offsets.write_bytes(bytes(256 * 1024))
    for path in (segment, offsets):
        os.chown(path, SERVER_UID, SERVER_UID)
    command = [
        str(fresh_server.programs.path("pg_resetwal")), "-f", "-x", "1400000000", "-m", "1500000000,1",
        str(fresh_server.data),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, user=SERVER_UID, group=SERVER_UID, extra_groups=[])
    # The server begins to vacuum at once, even without autovacuum: slowly.
    fresh_server.configure("autovacuum_vacuum_cost_delay = 100", "autovacuum_vacuum_cost_limit = 1")
    fresh_server.start()
    warnings = health(fresh_server, "postgres", tmp_path).warnings
    assert len(warnings) == 6, warnings  # three databases
    assert sum("the oldest transaction ids of database template1 are 1,39" in warning for warning in warnings) == 1
    assert sum("the oldest multixact ids of database postgres are 1," in warning for warning in warnings) == 1


def test_collations_of_databases(fresh_server: Server, tmp_path: Path) -> None:
    fresh_server.sql("CREATE DATABASE shop LOCALE_PROVIDER icu ICU_LOCALE 'und' TEMPLATE template0;")
    assert health(fresh_server, "postgres", tmp_path / "before").warnings == []
    fresh_server.sql("UPDATE pg_database SET datcollversion = '1' WHERE datname IN ('shop', 'template0');")
    (warning,) = health(fresh_server, "postgres", tmp_path / "after").warnings
    assert "library): shop. In each of them: REINDEX DATABASE" in warning


@pytest.mark.parametrize("setting", ["zero_damaged_pages", "ignore_checksum_failure"])
def test_settings_that_hide_damage(fresh_server: Server, setting: str, tmp_path: Path) -> None:
    fresh_server.sql(f"ALTER SYSTEM SET {setting} = on;")
    fresh_server.sql("SELECT pg_reload_conf(), pg_sleep(0.2);")
    (warning,) = health(fresh_server, "postgres", tmp_path).warnings
    assert warning.startswith(f"{setting} is on")


def test_a_standby(fresh_server: Server, workspace: Workspace, tmp_path: Path) -> None:
    with fresh_server.standby(workspace.directory("standby", mode=0o777)) as standby:
        result = health(standby, "postgres", tmp_path)
    assert (result.members["in_recovery"], result.warnings) == (True, [])


@pytest.mark.parametrize("shell", SHELLS)
def test_a_server_that_does_not_answer(fresh_server: Server, shell: str, tmp_path: Path) -> None:
    """A warning."""
    result = health(fresh_server, "postgres", tmp_path, shell, before=fresh_server.kill)
    assert result.members == {"in_recovery": None, "data_checksums": None}
    (warning,) = result.warnings
    assert warning.startswith("the server's health could not be read: ")
