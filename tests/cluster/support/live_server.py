# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# ruff: noqa: S608 - the tests make SQL: that is their work
"""A live server in its pod, as tests/dump/hostile.py fills one."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.support.kube import NAME, wait_until
from tests.cluster.support.pod_commands import PodCommands, PodShell
from tests.cluster.support.servers import Server
from tests.script.support.sample import literal, quoted

POD = "postgres-postgresql-0"


class Programs:
    """Of the server's image, as far as tests/dump/hostile.py asks."""

    major = "18"


@dataclass(frozen=True)
class LiveServer:
    """The server in its pod, with the methods that tests/dump/hostile.py needs, and a backup of it as fetched."""

    server: Server
    shell: PodShell | PodCommands
    fetched: dict[str, Any]
    programs: Programs = field(default_factory=Programs)

    @property
    def login(self) -> list[str]:
        return ["env", f"PGPASSWORD={self.server.password}", "PGUSER=postgres", "PGHOST=127.0.0.1"]

    def command(self, *words: str) -> list[str]:
        """The process on this machine that runs a command next to the server."""
        return ["kubectl", "exec", POD, "-n", self.server.namespace, "--", *self.login, *words]

    def run(self, *words: str, stdin: str = "") -> str:
        status, out, error = self.shell.run(*self.login, *words, stdin=stdin.encode())
        assert status == 0, error.decode(errors="replace") + stdin[:500]
        return out.decode(errors="surrogateescape")

    def sql(self, text: str, database: str = "postgres") -> str:
        if text.startswith("CREATE TABLESPACE"):
            # The pod has no folder for it.
            text = f"SET allow_in_place_tablespaces = on; {text.partition('LOCATION')[0]} LOCATION '';"
        escaped = database.replace("\\", "\\\\").replace("'", "\\'")
        words = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", "-d", f"dbname='{escaped}'")
        return self.run("env", "PGCLIENTENCODING=UTF8", *words, stdin=text).strip("\n")

    def text_of(self, database: str) -> str:
        escaped = database.replace("\\", "\\\\").replace("'", "\\'")
        return self.run("pg_dump", "--restrict-key=key", f"--dbname=dbname='{escaped}'")

    def state(self) -> str:
        """Every database with its properties, and every role."""
        return self.sql(
            "SELECT oid, datname, datdba::regrole, datconnlimit, datallowconn, datistemplate, datacl,"
            " shobj_description(oid, 'pg_database') FROM pg_database ORDER BY oid;"
            "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2;"
            "SELECT rolname, rolpassword FROM pg_authid ORDER BY 1;"
        )

    def shape(self, database: str) -> str:
        return self.sql(
            "SELECT datdba::regrole, encoding, datlocprovider, datcollate, datctype, datistemplate, datconnlimit,"
            " (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) AS a),"
            " shobj_description(d.oid, 'pg_database'), (SELECT json_agg(json_build_array("
            "setrole::regrole::text, setconfig) ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)"
            f" FROM pg_database d WHERE datname = {literal(database)};"
        )

    def drop(self, *databases: str) -> None:
        for name in databases:
            self.sql(f"ALTER DATABASE {quoted(name)} IS_TEMPLATE false;")
            self.sql(f"DROP DATABASE {quoted(name)} WITH (FORCE);")

    @contextlib.contextmanager
    def session(self, database: str) -> Iterator[None]:
        """A client that remains connected."""
        words = ("env", "PGAPPNAME=the pool", "psql", "-X", "-d", database, "-c", "SELECT pg_sleep(300)")
        process = subprocess.Popen(self.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        question = f"SELECT count(*) FROM pg_stat_activity WHERE datname = {literal(database)};"
        try:
            wait_until(lambda: self.sql(question) != "0", "the server waits", 90)
            yield
        finally:
            self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'the pool';")
            process.kill()
            process.communicate()

    def waits(self) -> bool:
        """Whether a restore has a temporary database."""
        return self.sql("SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_restoring\\_%';") != "0"

    def options(self, **more: Any) -> dict[str, Any]:
        return {"namespace": self.server.namespace, "name": NAME, **more}

    def entry(self, name: str) -> dict[str, Any]:
        return next(each for each in self.fetched["contents"]["databases"] if each["name"] == name)
