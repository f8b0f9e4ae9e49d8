# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Arguments of pg_dumpall, read as its getopt_long reads them."""

from __future__ import annotations

import pytest

from plugins.module_utils._jobs.dump_arguments import refused_arguments

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
    "--filter=/etc/filter --restrict-key=abc --sequence-data --statistics --no-policies",
    "--no-statistics",
    "--no-acl --no-privileges",
    "--",
]
REFUSED = {
    "--exclude-table-data=public.log": "--exclude-table-data is an option of pg_dump",
    "--exclude-table-data public.log": "public.log is not an option",
    "--table=users": "--table is an option of pg_dump",
    "--jobs=4": "--jobs is an option of pg_dump",
    "-T log": "-T is an option of pg_dump",
    "-n public": "-n is an option of pg_dump",
    "-Z9": "-Z is an option of pg_dump",
    "-j4": "-j is an option of pg_dump",
    "-cZ": "-Z is an option of pg_dump",
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
    "-cS": "--superuser needs a value",
    "--no-tab": "--no-table-access-method, --no-tablespaces",  # not so before version 15
    "--no-p": "--no-password",
    "--sta": "--statistics",
    "--data": "--data-only",
    "--f=/tmp/x": "--f is the beginning of several options (--file, --format, --filter)",
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
}


@pytest.mark.parametrize("arguments", ACCEPTED)
def test_arguments_of_pg_dumpall_are_accepted(arguments: str) -> None:
    assert refused_arguments(arguments.split()) == []


@pytest.mark.parametrize("arguments", REFUSED)
def test_arguments_that_break_a_backup_are_refused(arguments: str) -> None:
    reasons = refused_arguments(arguments.split())
    assert reasons and REFUSED[arguments] in " ".join(reasons), reasons


def test_refused_argument_has_a_reason() -> None:
    assert len(refused_arguments(["-gZ9", "--clean", "--jobs=4", "app"])) == 4
