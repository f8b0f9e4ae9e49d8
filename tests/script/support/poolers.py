# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A real PgBouncer in front of a server."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .combinations import program
from .server import HOST, SUPERUSER, Server, free_port
from .workspace import SERVER_UID, die_with_parent


@contextlib.contextmanager
def pgbouncer(server: Server, directory: Path, **settings: str) -> Iterator[int]:
    """The port of a PgBouncer that takes every client, and connects to the server as its superuser.

    The server must not ask for a password. Without settings, PgBouncer has its defaults: it keeps a session of the
    server for a client's session, and accepts few settings at a session's start.
    """
    port = free_port()
    values = {"listen_addr": HOST, "listen_port": str(port), "unix_socket_dir": "", "auth_type": "any", **settings}
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={HOST} port={server.port} user={SUPERUSER}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in values.items())
    )
    log = directory / "pgbouncer.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [program("pgbouncer"), configuration],
            user=SERVER_UID,
            group=SERVER_UID,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads here
        )
    try:
        deadline = time.monotonic() + 30
        while not _listens(port):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == os.EX_OK


def trust_everyone(server: Server) -> None:
    """Let a running server accept every connection without a password."""
    (server.data / "pg_hba.conf").write_text("host all all all trust\n")
    server.sql("SELECT pg_reload_conf();")
