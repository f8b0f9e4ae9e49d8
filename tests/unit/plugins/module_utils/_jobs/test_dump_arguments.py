# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Arguments of pg_dumpall and pg_dump, read as getopt_long reads them."""

from __future__ import annotations

import pytest

from plugins.module_utils._jobs.dump_arguments import canonical_arguments, refused_arguments
from plugins.module_utils._jobs.dump_options import PG_DUMP, PG_DUMPALL

ACCEPTED = [
    "",
    "--no-comments --clean --if-exists",
    "-cO --if-exists",
    "-c --if-exists -v -w -x",
    "--exclude-database=scratch* --exclude-database=test",
    "--exclude-database --no-comments",  # the value of the one before it, odd as it is
    "--lock-wait-timeout 5min",
    "-S app",
    "-Sapp",
    "-cSfile",
    "-EUTF8",
    "-E UTF8",
    "--encoding=UTF8",
    "--role=backup --no-role-passwords --no-sync --no-password",
    "--no-role-p --no-tables",
    "--quote",
    "--inserts --on-conflict-do-nothing",
    "--rows-per-insert=100 --on-conflict-do-nothing",
    "--restrict-key=abc --sequence-data --statistics --no-policies",
    "--no-statistics",
    "--no-acl --no-privileges",
    "--",
]
REFUSED = {
    "--exclude-table-data=public.log": 'postgres_backup_exclude_table_data: [{"database": "*", "table": "public.log"}]',
    "--exclude-table-data public.log": 'postgres_backup_exclude_table_data: [{"database": "*", "table": "public.log"}]',
    "--exclude-schema=cache": 'does not have: set postgres_backup_dump_args: ["--exclude-schema=cache"]',
    "-N cache": 'does not have: set postgres_backup_dump_args: ["--exclude-schema=cache"]',
    "--table=users": "--table (-t) is an option of pg_dump that pg_dumpall does not have, and it leaves out everything",
    "--jobs=4": "--jobs (-j) is an option of pg_dump",
    "-T log": 'postgres_backup_exclude_tables: [{"database": "*", "table": "log"}]',
    "-n public": "--schema (-n) is an option of pg_dump",
    "-Z9": "--compress (-Z) is an option of pg_dump",
    "-j4": "--jobs (-j) is an option of pg_dump",
    "-cZ": "-Z needs a value",
    "--no-coments": "--no-coments is not an option",
    "--oids": "--oids is not an option",
    "-o": "-o is not an option",
    "--=x": "",
    "app": "app is not an option",
    "-": "- is not an option",
    "-- --clean": "--clean is not an option",
    "--clean=yes": "--clean takes no value",
    "--exclude-database": "--exclude-database needs a value",
    "--clean --role": "--role needs a value",
    "-cS": "-S needs a value",
    "--no-tab": "--no-table-access-method, --no-tablespaces",  # not so before version 15
    "--no-p": "--no-password",
    "--sta": "--statistics",
    "--data": "--data-only",
    "--f=/tmp/x": "--f is the beginning of several options (--file, --filter, --format)",
    "--fil=/tmp/x": "--file, --filter",
    "--file=/tmp/x": "--file (-f) would write",
    "--file /tmp/x": "--file (-f) would write",
    "-f/tmp/x": "--file (-f) would write",
    "-cf /tmp/x": "--file (-f) would write",
    "--format=d": "--format (-F) writes another format",
    "--glob": "--globals-only (-g) leaves out",
    "-cg": "--globals-only (-g) leaves out",
    "-r": "--roles-only",
    "-t": "--tablespaces-only",
    "--schema-o": "--schema-only",
    "-a": "--data-only",
    "--no-data": "--no-data leaves out",
    "--no-schema": "--no-schema leaves out",
    "--statistics-only": "--statistics-only leaves out",
    "--help": "--help (-?) makes no dump",
    "-?": "--help",
    "-vV": "--version",
    "--host=elsewhere": "--host (-h) is set by another variable",
    "-h elsewhere": "--host (-h)",
    "--hos x": "--host",
    "-lpostgres": "--database",
    "-d dbname=x": "--dbname",
    "--pass": "--password (-W) asks for a password",
    "-vW": "--password",
    "--if-exists": "--if-exists needs --clean",
    "--on-conflict-do-nothing": "--on-conflict-do-nothing needs --inserts",
    "--statistics --no-statistics": "exclude each other",
    "--binary-upgrade": "pg_upgrade",
    "--filter=/etc/filter": "--filter names the databases to leave out in a file of the pod; use postgres_",
}


# Values that the programs refuse when the dump begins.
REFUSED |= {
    "--rows-per-insert=0": "--rows-per-insert needs a number from 1 to 2147483647",
    "--rows-per-insert=many": "--rows-per-insert needs a number",
    "--extra-float-digits=4": "--extra-float-digits needs a number from -15 to 3",
    "--restrict-key=a-b": "--restrict-key needs a key of letters and digits",
    "--encoding=": "--encoding (-E) needs the name of an encoding",
    "-E utf-9": "--encoding (-E) needs the name of an encoding",
    "--role=": "--role needs a value that is not empty",
    "--exclude-database=a.b": "it has a dot outside quotation marks",
    "--exclude-database=a(": "its parentheses are not balanced",
}

OF_PG_DUMP_ACCEPTED = [
    "--exclude-schema=cache -N import_*",
    "-bv",
    "-B",
    "--no-large-objects",
    "--exclude-table-and-children=public.log --exclude-table-data-and-children=log",
    "--exclude-extension=pg_cron",
    "--include-foreign-data=warehouse",
    "--serializable-deferrable --strict-names",
    "--role=reader --no-owner --encoding LATIN1",
    "--inserts --on-conflict-do-nothing",
]
OF_PG_DUMP_REFUSED = {
    "--table=users": "--table (-t) leaves out everything that it does not name",
    "-tusers": "--table (-t) leaves out everything",
    "--schema=public": "--schema (-n)",
    "-e hstore": "--extension (-e)",
    "--table-and-children=x": "--table-and-children leaves out",
    "--schema-only": "--schema-only (-s) leaves out the rows of all tables",
    "--no-data": "postgres_backup_exclude_table_data",
    "-a": "--data-only (-a) leaves out what a database needs",
    "--section=data": "--section leaves out",
    "--statistics-only": "--statistics-only leaves out",
    "-Fc": "--format (-F) writes another format",
    "-f /tmp/x": "--file (-f) would write",
    "-j2": "--jobs (-j) is for parallel dumps",
    "--no-synchronized-snapshots": "is for parallel dumps",
    "--snapshot=1": "--snapshot needs a snapshot",
    "-Z1": "postgres_backup_compressor",
    "--create": "--create (-C) is set by the run",
    "--clean": "set it in postgres_backup_extra_args",
    "--if-exists": "set it in postgres_backup_extra_args",
    "--enable-row-security": "rows that the user may not see",
    "--filter=/x": "--filter reads a file",
    "-T public.log": 'postgres_backup_exclude_tables: [{"database": "*", "table": "public.log"}]',
    "--exclude-table-data=log": 'postgres_backup_exclude_table_data: [{"database": "*", "table": "log"}]',
    "--exclude-database=x": 'set postgres_backup_extra_args: ["--exclude-database=x"]',
    "--no-role-passwords": 'set postgres_backup_extra_args: ["--no-role-passwords"]',
    "--globals-only": "is an option of pg_dumpall that pg_dump does not have, and it leaves out",
    "-h db": "is set by another variable",
    "shop": "shop is not an option, and pg_dump may have nothing else",
    "--nothing": "--nothing is not an option of pg_dump in PostgreSQL 13 to 19",
    "-X": "-X is not an option of pg_dump",
    "-R": "is obsolete",
    "--exclude-t=x": "(--exclude-table, --exclude-table-and-children, --exclude-table-data, --exclude-table-data-and",
    "--exclude-schema": "--exclude-schema needs a value",
    "--exclude-schema=a.b": "it has a dot outside quotation marks",
    "--exclude-table-and-children=a.b.c": "it has too many dots outside quotation marks",
    "--on-conflict-do-nothing": "--on-conflict-do-nothing needs --inserts",
}


@pytest.mark.parametrize("arguments", ACCEPTED)
def test_arguments_of_pg_dumpall_are_accepted(arguments: str) -> None:
    assert refused_arguments(PG_DUMPALL, arguments.split()) == []


@pytest.mark.parametrize("arguments", REFUSED)
def test_arguments_of_pg_dumpall_that_break_a_backup_are_refused(arguments: str) -> None:
    reasons = refused_arguments(PG_DUMPALL, arguments.split())
    assert reasons and REFUSED[arguments] in " ".join(reasons), reasons


@pytest.mark.parametrize("arguments", OF_PG_DUMP_ACCEPTED)
def test_arguments_of_pg_dump_are_accepted(arguments: str) -> None:
    assert refused_arguments(PG_DUMP, arguments.split()) == []


@pytest.mark.parametrize("arguments", OF_PG_DUMP_REFUSED)
def test_arguments_of_pg_dump_that_break_a_backup_are_refused(arguments: str) -> None:
    reasons = refused_arguments(PG_DUMP, arguments.split())
    assert reasons and OF_PG_DUMP_REFUSED[arguments] in " ".join(reasons), reasons


def test_refused_argument_has_a_reason() -> None:
    assert len(refused_arguments(PG_DUMPALL, ["-gZ9", "--clean", "--jobs=4", "app"])) == 4


@pytest.mark.parametrize(
    ("argument", "major", "reason"),
    [
        ("--no-policies", 17, "--no-policies is in PostgreSQL 18 and newer, not in 17"),
        ("--no-policies", 18, ""),
        ("--no-policies", 25, ""),
        ("--restrict-key=a", 13, ""),  # in later minor versions
        ("--no-tab", 13, ""),  # no other option of this version begins so
        ("--no-toast-compression", 13, "--no-toast-compression is in PostgreSQL 14 and newer, not in 13"),
    ],
)
def test_options_of_a_version(argument: str, major: int, reason: str) -> None:
    assert refused_arguments(PG_DUMPALL, [argument], major) == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("arguments", "canonical"),
    [
        ("-cE UTF8 --exclude-d x*", "--clean --encoding=UTF8 --exclude-database=x*"),
        ("--role x -Sy --no-acl", "--role=x --superuser=y --no-acl"),
        ("--quote", "--quote-all-identifiers"),
        ("--no-such", "--no-such"),
    ],
)
def test_canonical_arguments_have_full_names_and_joined_values(arguments: str, canonical: str) -> None:
    assert canonical_arguments(PG_DUMPALL, arguments.split()) == canonical.split()
