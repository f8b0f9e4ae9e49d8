# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""IPv6: a server at ::1, and shares whose server is an address."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore

from ..support.combinations import under_all
from ..support.restores import back_up, names, prepare, request, restore
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.workspace import Workspace


@pytest.fixture(scope="module")
def at_ipv6(workspace: Workspace, template: Server) -> Iterator[Server]:
    """A server whose clients at 127.0.0.1 are only the tests themselves."""
    server = template.clone(workspace.directory("ipv6-server", mode=0o777))
    server.configure("listen_addresses = '127.0.0.1, ::1'")
    (server.data / "pg_hba.conf").write_text(
        "host all postgres 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"
    )
    with server:
        server.sql("CREATE ROLE backup LOGIN SUPERUSER PASSWORD 'p';")
        server.sql("CREATE DATABASE app;")
        server.sql("CREATE TABLE users AS SELECT 1 AS id;", "app")
        yield server


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_a_run_and_a_restore(sandbox: Sandbox, at_ipv6: Server, host: str) -> None:
    sandbox.server = at_ipv6
    connection = {"POSTGRES_BACKUP_HOST": host, "POSTGRES_BACKUP_USER": "backup", "PGPASSWORD": "p"}
    outcome = sandbox.run("run", env=connection).check()
    assert f" server [::1]:{at_ipv6.port}, PostgreSQL " in outcome.log
    header = gzip.decompress(sandbox.backup_files()[0].read_bytes())[:2000].decode()
    assert f'server: "[::1]:{at_ipv6.port}"' in header
    prepare(sandbox, at_ipv6, back_up(at_ipv6))
    copy = f"copy of {host}"
    restore(sandbox, plan_restore(request("app", new_name=copy)), **connection).check()
    assert copy in names(at_ipv6)


# What is mounted, and what is expected.
SAME = [
    ("[fd00:10::5]:/volume1", "[fd00:10::5]:/volume1"),
    ("[fd00:10::5]:/volume1", "fd00:10::5:/volume1/"),
    ("[fd00:10:0:0:0:0:0:5]:/volume1", "[FD00:0010::5]:/volume1"),
    ("[::1]:/", "[0:0:0:0:0:0:0:1]:/"),
    ("[fd00:10::]:/a:/b", "[fd00:10:0::0]:/a:/b"),
]
DIFFERENT = [
    ("[fd00:10::5]:/volume1", "[fd00:10::6]:/volume1"),
    ("[fd00:10::5]:/volume1", "[fd00:10::5]:/volume2"),
    ("[fd00:10::5]:/volume1", "[fd00:10:5::]:/volume1"),
    ("[fd00::10:5]:/a:/b", "[fd00::10:5]:/a:/c"),
    ("nas:x:/volume1", "nas:y:/volume1"),
]


@under_all
def test_the_address_of_a_share(offline: Sandbox) -> None:
    for mounted, expected in [*SAME, *DIFFERENT]:
        offline.workspace.mount_tmpfs(offline.volume, "1m", mounted)
        try:
            outcome = offline.run("list", env={"POSTGRES_BACKUP_EXPECTED_MOUNT": expected})
        finally:
            offline.workspace.unmount(offline.volume)
        is_same = (mounted, expected) in SAME
        assert outcome.code == (0 if is_same else 1), (mounted, expected, outcome.log)
        assert is_same or f"found {mounted}" in outcome.log
