# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A server that demands a client certificate instead of a password."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore

from ..support.certificates import client_certificate, offer_tls
from ..support.failed_runs import assert_failed, fill_volume
from ..support.restores import back_up, names, prepare, request, restore
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace

# The tests themselves connect as postgres.
HBA = """
host all postgres 127.0.0.1/32 scram-sha-256
hostssl all backup 127.0.0.1/32 cert
hostssl all two 127.0.0.1/32 scram-sha-256 clientcert=verify-full
"""
Files = dict[str, str]
Client = Callable[[str], Files]


@pytest.fixture(scope="module")
def folder(workspace: Workspace) -> Path:
    return workspace.directory("client-certificates", mode=0o755)


@pytest.fixture(scope="module")
def demanding(workspace: Workspace, template: Server, folder: Path) -> Iterator[Server]:
    client_certificate(folder, "backup", "backup", 0)
    server = template.clone(workspace.directory("client-certificate-server", mode=0o777))
    offer_tls(server)
    server.configure(f"ssl_ca_file = '{folder}/ca.crt'")
    (server.data / "pg_hba.conf").write_text(HBA)
    with server:
        server.sql("CREATE ROLE backup LOGIN SUPERUSER; CREATE ROLE two LOGIN SUPERUSER PASSWORD 'p';")
        server.sql("CREATE DATABASE app;")
        server.sql("CREATE TABLE users AS SELECT 1 AS id;", "app")
        yield server


@pytest.fixture
def client(sandbox: Sandbox, demanding: Server, folder: Path) -> Client:
    """Makes a certificate for a user; returns the script's variables."""
    sandbox.server = demanding

    def variables(user: str) -> Files:
        files = client_certificate(folder, f"{user}-{sandbox.uid}", user, sandbox.uid)
        return {"POSTGRES_BACKUP_USER": user, **files}

    return variables


def test_a_run_and_a_restore_without_a_password(sandbox: Sandbox, demanding: Server, client: Client) -> None:
    variables: dict[str, str | None] = {"PGPASSWORD": None, **client("backup")}
    sandbox.run("run", env=variables).check()
    prepare(sandbox, demanding, back_up(demanding))
    restore(sandbox, plan_restore(request("app", new_name=f"copy {sandbox.uid}")), **variables).check()
    assert f"copy {sandbox.uid}" in names(demanding)


def test_a_certificate_and_a_password(sandbox: Sandbox, client: Client) -> None:
    sandbox.run("run", env={**client("two"), "PGPASSWORD": "p"}).check()


def _of_another_user(files: Files, folder: Path, group: int) -> Files:
    return {**files, **client_certificate(folder, "two", "two", group)}


def _without_certificate(files: Files, _folder: Path, _group: int) -> Files:
    return {**files, "POSTGRES_BACKUP_SSLCERT": "", "POSTGRES_BACKUP_SSLKEY": ""}


def _other_key(files: Files, folder: Path, group: int) -> Files:
    other = client_certificate(folder, "other", "backup", group)
    return {**files, "POSTGRES_BACKUP_SSLKEY": other["POSTGRES_BACKUP_SSLKEY"]}


def _readable_key(files: Files, _folder: Path, _group: int) -> Files:
    Path(files["POSTGRES_BACKUP_SSLKEY"]).chmod(0o444)
    return files


def _no_key(files: Files, folder: Path, _group: int) -> Files:
    return {**files, "POSTGRES_BACKUP_SSLKEY": str(folder / "no.key")}


def _empty(files: Files, folder: Path, _group: int) -> Files:
    (folder / "empty.crt").write_text("")
    return {**files, "POSTGRES_BACKUP_SSLCERT": str(folder / "empty.crt")}


def _other_authority(files: Files, folder: Path, group: int) -> Files:
    elsewhere = folder / f"elsewhere-{group}"
    elsewhere.mkdir()
    return {**files, **client_certificate(elsewhere, "backup", "backup", group)}


DEMANDED = "The server requires a client certificate from this user"
BROKEN = "Check the client certificate and its key in the Secret of postgres_backup_ssl_cert"
REFUSED = "The server does not accept the client certificate of postgres_backup_ssl_cert"
# What is wrong, the words of libpq, and the advice.
FAULTS: list[tuple[Callable[[Files, Path, int], Files], str, str]] = [
    (_of_another_user, "certificate authentication failed", DEMANDED),
    (_without_certificate, "valid client certificate", DEMANDED),
    (_other_key, "key values mismatch", BROKEN),
    (_readable_key, "group or world access", BROKEN),
    (_no_key, "private key file", BROKEN),
    (_empty, "could not read certificate file", BROKEN),
    (_other_authority, "alert unknown ca", REFUSED),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault[0].__name__[1:] for fault in FAULTS])
def test_the_reason_and_the_advice(
    sandbox: Sandbox, client: Client, folder: Path, fault: tuple[Callable[[Files, Path, int], Files], str, str]
) -> None:
    change, words, advice = fault
    before = fill_volume(sandbox)
    outcome = sandbox.run("run", env={"PGPASSWORD": None, **change(client("backup"), folder, sandbox.uid)})
    assert outcome.code == 2, outcome.log
    assert_failed(sandbox, outcome, before, words)
    assert advice in outcome.log
