# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A server that takes nobody without TLS, and a CA to check it with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.certificates import self_signed
from ..support.failed_runs import assert_failed, assert_incomplete, fill_volume
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import SERVER_UID, Workspace


@pytest.fixture(scope="session")
def certificates(workspace: Workspace) -> Path:
    folder = workspace.directory("certificates")
    for name in ("server", "other"):
        self_signed(folder, name)
    os.chown(folder / "server.key", SERVER_UID, SERVER_UID)
    return folder


@pytest.fixture
def secured(workspace: Workspace, template: Server, certificates: Path, sandbox: Sandbox) -> Iterator[Sandbox]:
    directory = workspace.directory("tls-server", mode=0o777)
    server = template.clone(directory)
    with open(server.data / "postgresql.conf", "a") as configuration:
        configuration.write(f"ssl = on\nssl_cert_file = '{certificates}/server.crt'\n")
        configuration.write(f"ssl_key_file = '{certificates}/server.key'\n")
    (server.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    with server:
        server.sql("CREATE DATABASE app; ")
        server.sql("CREATE TABLE users AS SELECT 1 AS id;", "app")
        sandbox.server = server
        yield sandbox


def _checked_with(certificate: Path, **others: str) -> dict[str, str | None]:
    return {"POSTGRES_BACKUP_SSLMODE": "verify-full", "POSTGRES_BACKUP_SSLROOTCERT": str(certificate), **others}


def test_the_ca_is_checked(secured: Sandbox, certificates: Path) -> None:
    secured.run("run", env=_checked_with(certificates / "server.crt")).check()


REFUSALS: dict[str, tuple[dict[str, str], str, str]] = {
    "another CA": ({"POSTGRES_BACKUP_SSLROOTCERT": "other.crt"}, "certificate verify failed", "postgres_backup_ssl_ca"),
    "no such CA": ({"POSTGRES_BACKUP_SSLROOTCERT": "no.crt"}, "does not exist", "postgres_backup_ssl_ca"),
    "another name": ({"POSTGRES_BACKUP_HOST": "localhost"}, "does not match host name", "postgres_backup_sslmode"),
    "without TLS": ({"POSTGRES_BACKUP_SSLMODE": "disable"}, "no pg_hba.conf entry", "postgres_backup_sslmode"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused(secured: Sandbox, certificates: Path, case: str) -> None:
    change, reason, advice = REFUSALS[case]
    if "POSTGRES_BACKUP_SSLROOTCERT" in change:
        change = {"POSTGRES_BACKUP_SSLROOTCERT": str(certificates / change["POSTGRES_BACKUP_SSLROOTCERT"])}
    before = fill_volume(secured)
    outcome = secured.run("run", env=_checked_with(certificates / "server.crt", **change))
    assert_failed(secured, outcome, before, reason)
    assert advice in outcome.log


def test_the_server_dies_in_the_middle(secured: Sandbox, certificates: Path) -> None:
    """Over TLS libpq has other words for it; the advice is the same."""
    assert secured.server is not None
    before = fill_volume(secured)
    with secured.server.locked("users", "app"):
        process = secured.start("run", env=_checked_with(certificates / "server.crt"))
        server = secured.server
        # The dump of `app` begins ahead, while the one before it is under way.
        dumping = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND datname = 'template1';"
        secured.wait_until(
            lambda: server.waits_for_a_lock and server.sql(dumping) == "0",
            "the dump of app waits for the lock, and the one before it has ended",
            process,
        )
        server.kill()
    outcome = secured.finish(process)
    assert_incomplete(secured, outcome, before, ["app", "postgres"], "pg_dump", code=1)
    assert "connection to PostgreSQL was lost" in outcome.log, outcome.log
