# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""PostgreSQL's own regression database: what its tests leave behind, with every kind of object there is.

psql runs the tests in the order of their schedule, in an environment as pg_regress makes it; their output is not
compared. A test that takes another version of PostgreSQL for granted, or a privilege, only leaves less behind.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dev.buildkit.cache import exclusive

from .programs import REPOSITORY, Programs
from .server import Server
from .workspace import SERVER_UID, Workspace

DATABASE = "regression"
# They leave nothing in the database.
_LEFT_OUT = {
    "advisory_lock", "async", "compression", "dbsize", "event_trigger_login", "join_hash", "maintain_every", "memoize",
    "numa", "select_parallel", "stats", "sysviews", "test_predtest", "tuplesort", "vacuum_parallel", "write_parallel",
}  # fmt: skip
# Makes what all others use.
_FIRST = "test_setup"


# What a dump of version 15 has that 18 refuses: PostgreSQL's own test of upgrades drops it first, too
# (adjust_database_contents() in src/test/perl/PostgreSQL/Test/AdjustUpgrade.pm).
REFUSED_BY_18 = (
    "DROP FUNCTION ttdummy(), set_ttdummy(integer), get_columns_length(oid[]) CASCADE;",
    "DROP TABLE gtest_normal_child, gtest_normal_child2;",
)
OBJECTS_REFUSED_BY_18 = {
    "function public.get_columns_length": "42883",
    "function public.set_ttdummy": "42883",
    "function public.ttdummy": "42883",
    "table public.gtest_normal_child": "42611",
    "table public.gtest_normal_child2": "42611",
}
"""Each with the SQLSTATE of its error."""


@dataclass(frozen=True)
class Sources:
    """A version's tests, where every user can read them. Its functions are in libraries of the folder `libraries`."""

    folder: Path
    libraries: Path

    def names(self) -> list[str]:
        """Every test, in the order of the schedule."""
        lines = (self.folder / "parallel_schedule").read_text().splitlines()
        groups = (line.partition(":")[2].split() for line in lines if line.startswith("test:"))
        return [name for group in groups for name in group if (self.folder / "sql" / f"{name}.sql").exists()]

    def offer_libraries(self, tests: Sources, programs: Programs) -> None:
        """Replace the libraries by those of another version's tests and programs."""
        spi = [programs.bin.parent / "lib" / f"{name}.so" for name in ("autoinc", "refint")]
        for library in [tests.folder / "regress.so", *spi]:
            # A new file: a running server may have mapped the old one.
            new = Path(shutil.copy(library, self.libraries / f"{library.name}.new"))
            new.rename(self.libraries / library.name)


def sources(workspace: Workspace, programs: Programs) -> Sources:
    """The tests of a major version; downloaded when they are not there yet."""
    with exclusive(Path(tempfile.gettempdir()) / "postgres-backup-script-tests.lock"):
        command = [sys.executable, "-m", "dev.buildkit.regression", programs.major]
        made = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=REPOSITORY)
    assert made.returncode == 0, f"{' '.join(command)} failed: see above"
    folder = workspace.show(Path(made.stdout.strip().splitlines()[-1]))
    tests = Sources(folder, workspace.directory("libraries"))
    tests.offer_libraries(tests, programs)
    return tests


def prepare(server: Server) -> None:
    """The settings of a server, not started, that the tests ask for."""
    server.configure("max_prepared_transactions = 2", "wal_level = logical", "max_wal_senders = 2")
    # The tests connect as roles without a password.
    (server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")


def fill(server: Server, workspace: Workspace, tests: Sources, only: Collection[str] = ()) -> list[str]:
    """Create the database by running the tests, or only those of these names; returns the names of those that ran."""
    results = workspace.directory("results", SERVER_UID, 0o777)
    (results / "results").mkdir(mode=0o777)
    (results / "results").chmod(0o777)
    server.sql(f"CREATE DATABASE {DATABASE} TEMPLATE template0 STRATEGY file_copy;")
    for setting in ("lc_messages", "lc_monetary", "lc_numeric", "lc_time"):
        server.sql(f"ALTER DATABASE {DATABASE} SET {setting} TO 'C';")
    server.sql(f"ALTER DATABASE {DATABASE} SET bytea_output TO 'hex';")
    server.sql(f"ALTER DATABASE {DATABASE} SET timezone_abbreviations TO 'Default';")
    environment = {
        **server.environment(),
        "PGDATABASE": DATABASE,
        "PGTZ": "America/Los_Angeles",
        "PGDATESTYLE": "Postgres, MDY",
        "PGOPTIONS": "-c intervalstyle=postgres_verbose",
        "PG_ABS_SRCDIR": str(tests.folder),
        "PG_ABS_BUILDDIR": str(results),
        "PG_LIBDIR": str(tests.libraries),
        "PG_DLSUFFIX": ".so",
    }
    ran = [name for name in tests.names() if name not in _LEFT_OUT and (not only or name in {_FIRST, *only})]
    psql = [str(server.programs.path("psql")), "-X", "-q", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"]
    for name in ran:
        subprocess.run(
            [*psql, "-f", str(tests.folder / "sql" / f"{name}.sql")],
            env=environment,
            cwd=results,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
    return ran


def normalized(text: bytes) -> dict[bytes, list[bytes]]:
    """The statements and rows of each object in a dump: those of equal databases are equal in this form.

    A child table may have its columns in another order after a restore (AdjustDump.pm in PostgreSQL's tests), and rows
    of different sizes other places in the table.
    """
    found: dict[bytes, list[bytes]] = {}
    for block in text.split(b"\n--\n-- ")[1:]:
        head, _, body = block.partition(b"\n--\n")
        lines = body.splitlines()
        start = next((n for n, line in enumerate(lines) if line.startswith(b"COPY ") and b" FROM stdin;" in line), None)
        if start is None:
            found.setdefault(head, []).extend(sorted(line.rstrip(b",") for line in lines if line))
            continue
        columns = re.findall(rb'"(?:[^"]|"")*"|[^", ]+', lines[start].partition(b" (")[2].rpartition(b")")[0])
        order = sorted(range(len(columns)), key=columns.__getitem__)
        end = lines.index(b"\\.", start)
        rows = [line.split(b"\t") for line in lines[start + 1 : end]]
        found.setdefault(head, []).extend(
            [b",".join(sorted(columns)), *sorted(b"\t".join(row[n] for n in order) for row in rows)]
        )
    return found
