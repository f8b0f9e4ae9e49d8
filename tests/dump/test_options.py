# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The tables of options, and what is refused, against pg_dump and pg_dumpall themselves."""

from __future__ import annotations

import re
import string
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from plugins.module_utils._jobs.dump_arguments import refused_arguments
from plugins.module_utils._jobs.dump_options import PG_DUMP, PG_DUMPALL, Option, Program
from tests.script.support.server import Server

from .conftest import Pair
from .pattern_cases import ACCEPTED, MISTAKEN, REFUSED

PROGRAMS = [pytest.param(program, id=program.name) for program in (PG_DUMPALL, PG_DUMP)]
VALUES = {
    "encoding": "UTF8",
    "exclude-database": "scratch*",
    "extra-float-digits": "-15",
    "include-foreign-data": "warehouse",
    "lock-wait-timeout": "5min",
    "restrict-key": "abc1",
    "role": "postgres",
    "rows-per-insert": "2147483647",
    "superuser": "postgres",
}
# Version 13 ignores a database in the pattern that is not the right one, and what is before it.
DOTS = ("--exclude-database=a.b", "--exclude-schema=a.b", "a.b.c.d", "a..b.c")
# Options that need another one.
TOGETHER = {"if-exists": ["--clean"], "on-conflict-do-nothing": ["--inserts"]}


@dataclass(frozen=True)
class Installed:
    """The programs of a version and a server."""

    major: int
    server: Server

    def run(self, program: Program, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run it as a backup does."""
        command = [str(self.server.programs.path(program.name)), *arguments]
        command.insert(1, "--create" if program is PG_DUMP else "--exclude-database=template*")
        return subprocess.run(
            command,
            env={**self.server.environment(), "PGDATABASE": "postgres", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def options(self, program: Program) -> list[Option]:
        """Those of the major version; Debian 11 has a minor version of 13 from before --restrict-key."""
        return [
            option
            for option in program.options
            if option.is_in(self.major) and (option.name, self.major) != ("restrict-key", 13)
        ]


@pytest.fixture(scope="module")
def installed(pair: Pair) -> Iterator[Installed]:
    with pair.empty() as server:
        server.sql("CREATE TABLE log (a int); CREATE FOREIGN DATA WRAPPER none;")
        server.sql("CREATE SERVER warehouse FOREIGN DATA WRAPPER none;")
        yield Installed(int(pair.version), server)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_table_has_each_option_of_the_program(installed: Installed, program: Program) -> None:
    # Every option begins with the empty text, so that getopt_long lists them all. pg_dumpall reads two before it.
    message = installed.run(program, ["--=x"]).stderr
    listed = set(re.findall(r"'--([a-z-]+)'", message)) | {"help", "version"}
    assert listed == {option.name for option in installed.options(program)}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_table_has_each_letter_of_the_program(installed: Installed, program: Program) -> None:
    for letter in string.ascii_letters:
        # -V only counts as the first argument; pg_dump 17 and newer read -X, and refuse it.
        if letter in "VX":
            continue
        option = program.lettered(letter)
        message = installed.run(program, ["-v", f"-{letter}", "--=x", "-~"]).stderr
        is_known = option is not None and option.is_in(installed.major)
        assert (f"invalid option -- '{letter}'" not in message) == is_known, (letter, message)
        # What follows an option is its value, or an option itself.
        takes_value = is_known and option is not None and option.takes_value
        assert ("'--=x' is ambiguous" in message) == (is_known and not takes_value), (letter, message)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_table_says_which_options_take_a_value(installed: Installed, program: Program) -> None:
    for option in installed.options(program):
        if option.name in ("help", "version"):
            continue
        message = installed.run(program, ["-v", f"--{option.name}=x", "--=x"]).stderr
        assert (" allow an argument" not in message) == option.takes_value, (option, message)


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_option_that_a_backup_may_have_works(installed: Installed, program: Program) -> None:
    failed = {}
    for option in installed.options(program):
        if option.refused is not None:
            continue
        value = f"={VALUES.get(option.name, 'log')}" if option.takes_value else ""
        arguments = [f"--{option.name}{value}", *TOGETHER.get(option.name, [])]
        assert refused_arguments(program, arguments, installed.major) == []
        outcome = installed.run(program, arguments)
        if outcome.returncode != 0:
            failed[option.name] = outcome.stderr
    assert failed == {}


# Written in several ways, and some that do not exist.
ENCODINGS = """
    abc alt big5 euc_cn euc_jis_2004 euc_jp euc_kr euc_tw gb18030 gbk iso_8859-1 iso_8859-2 iso_8859-3 iso_8859-4
    iso_8859-5 iso_8859-6 iso_8859-7 iso_8859-8 iso_8859-9 iso_8859-10 iso_8859-11 iso_8859-12 iso_8859-13 iso_8859-14
    iso_8859-15 iso_8859-16 johab koi8 koi8r KOI8-U latin0 latin1 Latin2 latin9 latin10 latin11 mskanji mule_internal
    Shift_JIS shift_jis_2004 sjis sjis_2004 sql_ascii tcvn tcvn5712 uhc unicode utf-8 UTF16 vscii win win1249 win1250
    WIN1252 windows-1258 windows1259 win866 windows866 win874 win932 win936 windows949 win950 win951
"""


def test_encodings_are_those_of_the_server(installed: Installed) -> None:
    encodings = ENCODINGS.split()
    names = ", ".join(f"('{name}')" for name in encodings)
    known = installed.server.sql(f"SELECT name FROM (VALUES {names}) AS n (name) WHERE pg_char_to_encoding(name) >= 0;")
    accepted = [name for name in encodings if not refused_arguments(PG_DUMP, ["-E", name])]
    assert accepted == known.splitlines()


REFUSED_BY_THE_PROGRAMS = [
    "--rows-per-insert=0",
    "--rows-per-insert=many",
    "--extra-float-digits=4",
    "--extra-float-digits=-16",
    "--restrict-key=a-b",
    "--encoding=",
    "--encoding=utf-9",
    "--role=",
    "--lock-wait-timeout=",
    "--on-conflict-do-nothing",
    "--nothing",
    "--no-comments=yes",
    "--encoding",
    "shop other",
]
REFUSED_BY_PG_DUMPALL = ["--if-exists", "--exclude-database=a.b", "--exclude-database=a[", "--exclude-schema=x", "-T x"]
REFUSED_BY_PG_DUMP = ["--exclude-schema=a.b", "--exclude-schema=a(", "--exclude-database=x", "--no-role-passwords"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_the_program_refuses_is_refused_before(installed: Installed, program: Program) -> None:
    more = REFUSED_BY_PG_DUMPALL if program is PG_DUMPALL else REFUSED_BY_PG_DUMP
    for text in [*REFUSED_BY_THE_PROGRAMS, *more, "--statistics --no-statistics"]:
        if installed.major > 13 or text not in DOTS:
            assert installed.run(program, text.split()).returncode == 1, text
        assert refused_arguments(program, text.split(), installed.major), text


def test_options_of_later_versions_are_refused(installed: Installed) -> None:
    for program in (PG_DUMPALL, PG_DUMP):
        for option in program.options:
            if not option.is_in(installed.major):
                arguments = [f"--{option.name}=x" if option.takes_value else f"--{option.name}"]
                message = installed.run(program, arguments).stderr
                # An option that is gone may have become the beginning of another.
                assert re.search("unrecognized option|is ambiguous", message), (arguments, message)
                assert refused_arguments(program, arguments, installed.major), arguments


def test_patterns_are_accepted_and_refused_as_by_pg_dump(installed: Installed) -> None:
    outcomes = {
        pattern: installed.run(PG_DUMP, [f"--exclude-table={pattern}"]) for pattern in (*ACCEPTED, *REFUSED, *MISTAKEN)
    }
    refused = {pattern: outcome.stderr for pattern, outcome in outcomes.items() if outcome.returncode != 0}
    assert set(refused) == set(REFUSED) - set(DOTS if installed.major == 13 else ()), refused
