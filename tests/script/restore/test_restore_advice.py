# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""What restores and drills advise: by SQLSTATE and object, in any language, never by a word that occurs."""

from __future__ import annotations

import gzip
import re
import subprocess
from pathlib import Path

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore

from ..support.combinations import Combination, program, under_one
from ..support.restores import assert_failed, back_up, backup_of, prepare, request_of, restore, state_of
from ..support.sandbox import Sandbox
from ..support.server import Server

CONNECTION = 'psql: error: connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  '
# Messages of psql with VERBOSITY=verbose, and words of the advice.
MESSAGES = [
    ('ERROR:  42704: role "owner" does not exist', "Create that role, or set create_roles"),
    ('ERROR:  42704: type "rolekind" does not exist', "empty search_path"),
    ('ERROR:  42704: type "public.role" does not exist', "empty search_path"),
    ('ERROR:  42704: type "a role "x" does not exist" does not exist', "empty search_path"),
    ('ERROR:  42704: access method "hnsw" does not exist', "older than the backed-up server's"),
    ('ERROR:  42704: tablespace "fast" does not exist', "CREATE TABLESPACE"),
    ('ERROR:  42704: unrecognized configuration parameter "app.role"', "ALTER DATABASE ... SET"),
    ('FEHLER:  42704: Typ »rolekind« existiert nicht', "empty search_path"),
    ('ERROR:  58P01: could not open extension control file "/x/role.control": No such file', "Install that extension"),
    ('ERROR:  0A000: extension "postgis" is not available', "Install that extension"),
    ('ERROR:  58P01: could not access file "$libdir/vector": No such file or directory', "Install that extension"),
    ("ERROR:  0A000: COPY FROM not supported with row-level security", "BYPASSRLS"),
    ('ERROR:  42501: query would be affected by row-level security policy for table "t"', "BYPASSRLS"),
    ('ERROR:  42501: permission denied to create extension "x"', "Restore as a superuser"),
    ('ERROR:  42501: must be able to SET ROLE "owner"', "Restore as a superuser"),
    ('ERROR:  3F000: schema "role" does not exist', "empty search_path"),
    ("ERROR:  42883: operator does not exist: public.ltree = public.ltree", "empty search_path"),
    ('ERROR:  42883: could not find function "f" in file "/usr/lib/x.so"', "no such function"),
    ("ERROR:  XX000: Cannot find SRID (990001) in spatial_ref_sys", "coordinate system"),
    ('ERROR:  42P01: relation "roles" does not exist', "empty search_path"),
    ('ERROR:  42710: extension "x" already exists', "another version"),
    ('ERROR:  42P07: relation "role" already exists', "another version"),
    ('ERROR:  23505: could not create unique index "role_pkey"', "REINDEX"),
    ('ERROR:  23503: insert or update on table "a" violates foreign key constraint "b"', "refer to rows"),
    ('ERROR:  23514: check constraint "c" of relation "t" is violated by some row', "replace the constraint"),
    ('ERROR:  53100: could not extend file "base/1/2": No space left on device', "Free disk space"),
    ("ERROR:  53200: out of memory", "memory limit"),
    ("ERROR:  53200: out of shared memory", "max_locks_per_transaction"),
    ("FATAL:  53300: sorry, too many clients already", "max_connections"),
    ("ERROR:  53400: temporary file size exceeds \"temp_file_limit\" (0kB)", "temp_file_limit"),
    ("ERROR:  57014: canceling statement due to user request", "cancelled the statement"),
    ("ERROR:  25006: cannot execute CREATE DATABASE in a read-only transaction", "standby"),
    ("FATAL:  25P03: terminating connection due to idle-in-transaction timeout", "A timeout of the server"),
    ("ERROR:  0LP01: grant options cannot be granted back to your own grantor", "memberships"),
    ("ERROR:  22P02: invalid input value for enum role: \"x\"", "does not accept a value"),
    ("ERROR:  22012: division by zero", "does not accept a value"),
    ('ERROR:  42602: invalid configuration parameter name "cron.role"', "reserves that setting's prefix"),
    ('ERROR:  55006: database "t" is being used by logical replication subscription', "Another session"),
    ("ERROR:  55000: pg_cron can only be loaded via shared_preload_libraries", "shared_preload_libraries"),
    ("ERROR:  P0001: role does not exist", "function of the database"),
    ('FATAL:  3D000: database "role" does not exist', "does not exist any more"),
    # Many extensions give no SQLSTATE.
    ("ERROR:  XX000: pg_cron can only be loaded via shared_preload_libraries", "shared_preload_libraries"),
    ('FATAL:  XX000: extension "timescaledb" must be preloaded', "shared_preload_libraries"),
    ('ERROR:  XX000: could not load library "/lib/vector.so": undefined symbol: x', "extension's package"),
    ("ERROR:  XX000: cache lookup failed for role 7", "internal error"),
    ("ERROR:  XX000: Cannot find SRID (990001) in spatial_ref_sys", "added to spatial_ref_sys"),
    # Of a connection without one.
    (f'{CONNECTION}role "admin" does not exist', "CREATE ROLE"),
    (f'{CONNECTION}database "postgres" does not exist', "postgres_backup_database"),
    (f'{CONNECTION}no pg_hba.conf entry for host "::1", user "b", database "postgres", no encryption', "pg_hba.conf"),
    ("ERROR:  XX001: invalid page in block 0 of relation base/1/2", "its storage"),
    ("FATAL:  57P01: terminating connection due to administrator command", "was lost during the restore"),
    ("FATAL:  08P01: unsupported startup parameter: options", "PgBouncer"),
    ("FATAL:  08006: connection failure", "was lost during the restore"),
    ("error: connection to server was lost", "was lost during the restore"),
    (f'{CONNECTION}password authentication failed for user "b"', "The password in the secret"),
    ("ERROR:  42601: syntax error at or near \"role\"", "another version"),
]  # fmt: skip
DRILL_MESSAGES = [
    ('ERROR:  42710: role "boss" already exists', "superuser (the boss) is not the superuser in the backup"),
    ('ERROR:  42710: extension "role" already exists', "another version"),
    ('ERROR:  42704: type "locale" does not exist', "empty search_path"),
    ("ERROR:  42883: function set_locale(role) does not exist", "empty search_path"),
    ('ERROR:  42P01: relation "extension" does not exist', "empty search_path"),
    ('ERROR:  22023: could not create locale "xx_XX.utf8": No such file or directory', "lacks that locale"),
    ('ERROR:  42809: invalid LC_COLLATE locale name: "xx"', "lacks that locale"),
    ('ERROR:  0A000: extension "postgis" is not available', "lacks that extension"),
    ('ERROR:  58P01: could not access file "$libdir/vector": No such file or directory', "lacks that extension"),
    ('error: connection to server on socket "/x" failed: FATAL:  could not access file "x": No such file', "a library"),
    ("ERROR:  55000: pg_cron can only be loaded via shared_preload_libraries", "postgres_backup_drill_settings"),
    ('FATAL:  XX000: extension "timescaledb" must be preloaded', "drill_settings"),
    ('FATAL:  XX000: extension "timescaledb" must be preloaded via shared_preload_libraries', "drill_settings"),
    ('ERROR:  53100: could not extend file "base/1/2": No space left on device', "postgres_backup_drill_size_limit"),
    ("ERROR:  53200: out of shared memory", "max_locks_per_transaction"),
    ("ERROR:  53200: out of memory", "memory limit"),
    ('ERROR:  42704: unrecognized configuration parameter "vacuum_defer_cleanup_age"', "does not accept that setting"),
    ('ERROR:  22023: invalid value for parameter "x": "role"', "that value of a setting"),
    ('ERROR:  23505: could not create unique index "locale_key"', "the constraint that the message names"),
    ('ERROR:  23514: new row for relation "locale" violates check constraint "c"', "reads another table"),
    ("ERROR:  XX000: cache lookup failed for locale", "internal error"),
]
_ADVISE = r"""
work=/nowhere step=$3 superuser='the boss' server_version=18
for file in output process postgres psql restore_advice; do . "$1/$file.sh"; done
"$4" "$(psql_error "$2")"
"""


def advice(combination: Combination, folder: Path, message: Path, step: str = "restore", whose: str = "restore") -> str:
    shell = [str(program(combination.shell)), *(["sh"] if combination.shell == "busybox" else [])]
    awk = message.with_name("awk")
    if not awk.exists():
        awk.symlink_to(program(combination.awk))
    done = subprocess.run(
        [*shell, "-c", _ADVISE, "sh", str(folder), str(message), step, f"{whose}_advice"],
        env={"PATH": f"{message.parent}:/usr/bin:/bin", "LC_ALL": "C"}, capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("whose", "messages"), [("restore", MESSAGES), ("drill", DRILL_MESSAGES)], ids=["restore", "drill"]
)
def test_the_advice_to_each_message(
    combination: Combination, script: Path, tmp_path: Path, whose: str, messages: list[tuple[str, str]]
) -> None:
    said = tmp_path / "said"
    wrong = []
    for message, words in messages:
        said.write_text(f"psql:<stdin>:7: NOTICE:  00000: role\npsql:<stdin>:8: {message}\nLOCATION:  f, x.c:1\n")
        found = advice(combination, script.parent, said, whose=whose)
        if words not in found:
            wrong.append((message, found))
    assert wrong == []


def test_a_database_that_cannot_be_made(combination: Combination, script: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    for message, words in (
        ("ERROR:  42809: invalid LC_COLLATE locale name: \"xx\"", "encoding or locale"),
        ("ERROR:  55006: source database \"template0\" is being accessed by other users", "template0"),
        ("ERROR:  42501: permission denied to create database", "superuser"),
    ):  # fmt: skip
        said.write_text(f"{message}\n")
        assert words in advice(combination, script.parent, said, "create")


@under_one
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE TABLE public.x (a public.rolekind);", ("42704", "empty search_path")),
        (
            "GRANT SELECT ON TABLE public.goods TO nobody_like_it;",
            ("roles are missing", "nobody_like_it", "create_roles"),
        ),
        ("CREATE EXTENSION nothing_like_it;", ("nothing_like_it", "Install that extension")),
        ("SELECT public.twice('a row');", ("42883", "function public.twice(text) line 1 at RETURN", "search_path")),
        ("SELECT public.refuse('a row');", ("45000: a function",)),  # no DO: dumps have none
        ("CREATE SCHEMA public;", ("42P06", "another version")),
        ("SELECT 1/0;", ("22012", "does not accept a value")),
    ],
)
def test_what_a_server_refuses(offline: Sandbox, fresh_server: Server, statement: str, words: tuple[str, ...]) -> None:
    fresh_server.sql("CREATE DATABASE shop STRATEGY file_copy;")
    fresh_server.sql(
        "CREATE TABLE goods (n int); CREATE FUNCTION same(text) RETURNS text LANGUAGE sql AS 'SELECT $1';"
        "CREATE FUNCTION twice(t text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN same(t); END';"
        "CREATE FUNCTION refuse(t text) RETURNS text LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '45000', MESSAGE = t; END $$;",
        "shop",
    )
    text = gzip.decompress(back_up(fresh_server).data)
    end = b"--\n-- PostgreSQL database dump complete"
    head, found, tail = text.partition(b"CREATE TABLE public.goods")
    body, complete, rest = tail.partition(end)
    broken = backup_of(head + found + body + statement.encode() + b"\n\n" + complete + rest)
    prepare(offline, fresh_server, broken)
    before = state_of(fresh_server)
    outcome = restore(offline, plan_restore(request_of(broken, "shop", new_name="again")))
    assert_failed(outcome, fresh_server, before, *words[:1])
    for word in words[1:]:
        assert word in outcome.log
    assert not re.search(r"found: .*a row", outcome.log)
