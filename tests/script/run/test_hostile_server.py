# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Settings of the backup user, and names in several encodings: each database is in the backup, under its own name."""

from __future__ import annotations

import gzip
import json
import subprocess

import pytest

from plugins.module_utils._volume.manifest import parse_manifest

from ..support.sandbox import Sandbox
from ..support.server import Server

# Settings that change how SQL is read or what it may do, and how values are written.
SETTINGS = (
    "default_transaction_read_only = on", 'search_path = nowhere, "$user"', "row_security = off",
    "standard_conforming_strings = off", "quote_all_identifiers = on", "bytea_output = escape",
    "client_encoding = LATIN1", "application_name = 'a\"b'", "DateStyle = German", "extra_float_digits = -15",
    "array_nulls = off", "default_transaction_isolation = serializable", "default_transaction_deferrable = on",
)  # fmt: skip


def test_settings_of_the_user(sandbox: Sandbox, fresh_server: Server) -> None:
    sandbox.server = fresh_server
    fresh_server.sql('CREATE DATABASE "a\\b";')
    fresh_server.sql("CREATE TABLE t AS SELECT 'kept in a' AS a;", "a\\b")
    fresh_server.sql("".join(f"ALTER ROLE postgres SET {setting};" for setting in SETTINGS))
    outcome = sandbox.run("run").check()
    (path,) = sandbox.backup_files()
    manifest = parse_manifest(path.with_name(f"{path.name}.json").read_text(encoding="ascii"), path.name)
    assert manifest.dumped == ("template1", "a\\b", "postgres")
    assert b"kept in a" in gzip.decompress(path.read_bytes())
    assert [warning for warning in outcome.result["warnings"] if "inspected" in warning] == []


def test_settings_of_databases_that_stand_in_the_way(sandbox: Sandbox, fresh_server: Server) -> None:
    """A session as another role, which may read nothing; a client encoding that lacks characters of the database."""
    sandbox.server = fresh_server
    fresh_server.sql("CREATE ROLE nobody; CREATE ROLE \"łukasz\" PASSWORD 'x';")
    for name in ("as_nobody", "euro"):
        fresh_server.sql(f"CREATE DATABASE {name}; ")
        fresh_server.sql("CREATE TABLE t AS SELECT '€ of ' || current_database() AS a;", name)
    for name in ("euro", "postgres"):
        fresh_server.sql(f"ALTER DATABASE {name} SET client_encoding TO LATIN1;")
    for name in ("as_nobody", "postgres"):
        fresh_server.sql(f"ALTER DATABASE {name} SET role TO nobody;")
    outcome = sandbox.run("run").check()
    (path,) = sandbox.backup_files()
    text = gzip.decompress(path.read_bytes()).decode()
    assert 'ALTER ROLE "łukasz" WITH' in text and "PASSWORD 'SCRAM" in text
    assert "€ of as_nobody" in text and "€ of euro" in text
    manifest = json.loads(path.with_name(f"{path.name}.json").read_text())
    assert (manifest["server"]["is_superuser"], manifest["server"]["role_passwords"]) == (True, True)
    assert not [warning for warning in outcome.result["warnings"] if "nobody" in warning or "password" in warning]


@pytest.mark.parametrize("first", ["latin", "bytes", "postgres"])
def test_names_in_several_encodings(sandbox: Sandbox, fresh_server: Server, first: str) -> None:
    """The run connects first to a database in LATIN1, SQL_ASCII or UTF-8; one name is in LATIN1."""
    sandbox.server = fresh_server
    for name, encoding in (("latin", "LATIN1"), ("bytes", "SQL_ASCII")):
        fresh_server.sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C';")
    command = [str(fresh_server.programs.path("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "bytes"]
    environment = {**fresh_server.environment(), "PGCLIENTENCODING": "SQL_ASCII"}
    statement = b'CREATE DATABASE "caf\xe9" TEMPLATE template0;'
    subprocess.run(command, env=environment, input=statement, check=True, capture_output=True)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_DATABASE": first}).check()
    (path,) = sandbox.backup_files()
    manifest = parse_manifest(path.with_name(f"{path.name}.json").read_text(encoding="ascii"), path.name)
    assert len(manifest.dumped) == 5, outcome.log
    # In the manifest, bytes that are not in the encoding are replaced, or cut off by the server.
    (name,) = set(manifest.dumped) - {"template1", "bytes", "latin", "postgres"}
    assert name in (("café",) if first == "latin" else ("caf?", "caf"))
    assert b'\n-- Database "caf\xe9" dump\n' in gzip.decompress(path.read_bytes())
