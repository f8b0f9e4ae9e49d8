# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
r"""Dumps that this collection did not create and damaged dumps, each with the expected result.

`TEXTS` contains decompressed texts. The keys of reasons, empty for a complete dump:

- `message`: a line that is neither SQL of a dump nor a comment, such as a program's warning, or `\.` outside of COPY
- `command`: a command of psql that no dump has and that would change what is restored
- `rows`: COPY rows that PostgreSQL rejects, so that the table would remain empty
- `unfinished`: a statement that begins before the one before it has ended
- `elsewhere`: objects that psql would restore into another database than theirs
- `cut`: the text ends before the dump does
- `after`: something follows the dump's end
- `two`: more than one dump
- `product`: another product's dump
- `encoding`: UTF-16 or UTF-32
- `format`: custom, directory or tar format, or compressed twice
- `empty`: no byte at all
- `unknown`: no dump, and nothing known about it

What else must be found: `kind` and, for complete ones, the rows of each database in their order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Foreign:
    """A text; `line` is the one that the reason must name, 0 where it names none."""

    text: bytes
    reason: str = ""
    kind: str | None = None
    rows: tuple[tuple[str | None, int], ...] = ()
    line: int = 0

    @property
    def complete(self) -> bool:
        return not self.reason


def _end(what: bytes = b"") -> bytes:
    return b"--\n-- PostgreSQL database " + what + b"dump complete\n--\n\n"


_BODY = b"""CREATE TABLE public.t (
    n integer,
    v text
);


ALTER TABLE public.t OWNER TO postgres;

--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.t (n, v) FROM stdin;
1\tone
2\ttwo
\\.


--
-- Name: t t_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.t
    ADD CONSTRAINT t_pkey PRIMARY KEY (n);


"""
_BEGIN = b"""--
-- PostgreSQL database dump
--

-- Dumped from database version 16.4
-- Dumped by pg_dump version 16.4

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

"""
_SETTINGS = b"""SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

"""
_GLOBALS = (
    b"""--
-- PostgreSQL database cluster dump
--

SET default_transaction_read_only = off;

"""
    + _SETTINGS
    + b"""--
-- Roles
--

CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;

--
-- User Configurations
--






"""
)
_CREATE = b"""CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';


ALTER DATABASE app OWNER TO postgres;

\\connect app

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

"""
DATABASE = _BEGIN + _BODY + _end()
CLUSTER = (
    _GLOBALS
    + b'--\n-- Databases\n--\n\n--\n-- Database "template1" dump\n--\n\n\\connect template1\n\n'
    + _BEGIN
    + _end()
    + b'--\n-- Database "app" dump\n--\n\n'
    + _BEGIN
    + _CREATE
    + _BODY
    + _end()
    + b'--\n-- Database "postgres" dump\n--\n\n\\connect postgres\n\n'
    + _BEGIN
    + _end()
    + _end(b"cluster ")
)
GLOBALS = _GLOBALS + _end(b"cluster ")

# pg_dumpall before 11: the databases are created among the globals, and nothing but \connect is before each.
_OLD_BEGIN = b"""--
-- PostgreSQL database dump
--

-- Dumped from database version 9.6.24
-- Dumped by pg_dump version 9.6.24

SET statement_timeout = 0;
SET client_encoding = 'LATIN1';
SET standard_conforming_strings = on;
SET check_function_bodies = false;

"""
OLD_CLUSTER = (
    _GLOBALS.replace(b"CREATE ROLE postgres;", b"CREATE ROLE alice;\nCREATE ROLE postgres;")
    + b"""--
-- Database creation
--

CREATE DATABASE app WITH TEMPLATE = template0 OWNER = alice ENCODING = 'LATIN1' LC_COLLATE = 'C' LC_CTYPE = 'C';
ALTER DATABASE app SET work_mem TO '8MB';
ALTER ROLE alice IN DATABASE app SET work_mem TO '9MB';
REVOKE CONNECT,TEMPORARY ON DATABASE app FROM PUBLIC;
GRANT CONNECT ON DATABASE app TO alice;
CREATE DATABASE "Odd ""name" WITH TEMPLATE = template0 OWNER = alice CONNECTION LIMIT = 5;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE template1 TO PUBLIC;


\\connect app

SET default_transaction_read_only = off;

"""
    + _OLD_BEGIN
    + b"""SET search_path = public, pg_catalog;

CREATE TABLE t (
    n integer
);


COPY t (n) FROM stdin;
1
\\.


SET search_path = other, pg_catalog;

CREATE TABLE t (
    n integer
);


COPY t (n) FROM stdin;
1
2
\\.


"""
    + _end()
    + b'\\connect -reuse-previous=on "dbname=\'Odd \\"name\'"\n\nSET default_transaction_read_only = off;\n\n'.replace(
        b'\\"', b'""'
    )
    + _OLD_BEGIN
    + b"SET search_path = public, pg_catalog;\n\nCREATE TABLE w (\n    n integer\n);\n\n\n"
    + b"COPY w (n) FROM stdin;\n\\.\n\n\n"
    + _end()
    + b"\\connect postgres\n\nSET default_transaction_read_only = off;\n\n"
    + _OLD_BEGIN
    + _end()
    + b"\\connect template1\n\nSET default_transaction_read_only = off;\n\n"
    + _OLD_BEGIN
    + _end()
    + _end(b"cluster ")
)

# pg_dumpall 11 has no comment with a database's name.
_NAMED = re.compile(rb'--\n-- Database "[^"]*" dump\n--\n\n')
CLUSTER_11 = _NAMED.sub(b"", CLUSTER)
INSERTS = DATABASE.replace(
    b"COPY public.t (n, v) FROM stdin;\n1\tone\n2\ttwo\n\\.\n",
    b"INSERT INTO public.t VALUES (1, 'one: 1');\nINSERT INTO public.t VALUES (2, 'it''s\ntwo');\n"
    b"INSERT INTO public.t VALUES\n\t(3, 'thr;ee'),\n\t(4, NULL);\n",
)

# A CASE begins a new line in a view (get_rule_expr() in ruleutils.c).
_SLICES = DATABASE.replace(
    b"--\n-- Data for",
    b"""CREATE VIEW public.slices AS
 SELECT ('{1,2,3}'::integer[])[
        CASE
            WHEN true THEN 1
            ELSE 2
        END:
        CASE
            WHEN false THEN 1
            ELSE 2
        END] AS s,
    ('{{1},{2}}'::integer[])[:
        CASE
            WHEN true THEN 1
            ELSE 2
        END][1:( SELECT 1)] AS t,
    ('{1,2,3}'::integer[])[1:
        CASE 1
            WHEN 1 THEN 2
            ELSE 1
        END] AS u;


--
-- Data for""",
)

# Output seen before or within dumps: `2>&1`, `kubectl exec -t`, wrappers, shells.
MESSAGES = {
    "pg_dump": b"pg_dump: warning: could not find where to insert IF EXISTS in statement",
    "pg_dumpall": b'pg_dumpall: error: pg_dump failed on database "app", exiting',
    "old-pg_dump": b"pg_dump: [archiver (db)] query failed: ERROR:  permission denied for relation t",
    "circular": b"pg_dump: detail: t",
    "hint": b'HINT:  Use "pg_dump" of a newer version.',
    "warning": b'WARNING:  database "app" has a collation version mismatch',
    "notice": b"NOTICE:  there is no transaction in progress",
    "error": b"ERROR:  cache lookup failed for relation 16385",
    "password": b"Password: ",
    "password-user": b"Password for user postgres: ",
    "kubectl": b'Defaulted container "postgres" out of: postgres, metrics, init (init)',
    "tty": b"Unable to use a TTY - input is not a terminal or the right kind of file",
    "prompt": b"If you don't see a command prompt, try pressing enter.",
    "exit-code": b"command terminated with exit code 1",
    "server": b'Error from server (NotFound): pods "postgres-0" not found',
    "docker": b'time="2026-11-22T02:00:00Z" level=warning msg="The FOO variable is not set"',
    "json": b'{"level":"info","msg":"dumping"}',
    "html": b"<html><head><title>502 Bad Gateway</title></head>",
    "perl": b"perl: warning: Setting locale failed.",
    "bash": b"bash: warning: setlocale: LC_ALL: cannot change locale (en_US.UTF-8)",
    "shell": b"+ pg_dump --verbose app",
    "date": b"2026-11-22 02:00:00.123 UTC [42] LOG:  statement: COPY",
    "lowercase": b'could not change directory to "/root": Permission denied',
    "last": b"last completed transaction was at log time 2026-11-22",
    "question": b"? unknown",
    "number": b"0",
    "bytes": b"\xff\xfe\x00",
    "set-like": b"SETTING up the connection",
    "create-like": b"CREATED 5 tables",
    "copy-marker": b"\\.",
}


def _before(text: bytes, mark: bytes, line: bytes) -> tuple[bytes, int]:
    """The text with a line before the mark, and that line's number."""
    at = text.index(mark)
    return text[:at] + line + b"\n" + text[at:], text[:at].count(b"\n") + 1


def _with(reason: str, text: bytes, mark: bytes, line: bytes, kind: str | None = "cluster") -> Foreign:
    changed, number = _before(text, mark, line)
    return Foreign(changed, reason, kind, (), number)


_CLUSTER_ROWS = (("template1", 0), ("app", 2), ("postgres", 0))


def _line(text: bytes, mark: bytes) -> int:
    """The number of the line in which the mark is."""
    return text[: text.index(mark)].count(b"\n") + 1


_COPY_T = b"COPY public.t (n, v) FROM stdin;"
_CONNECT = b"\\connect app\n\nSET"


def _copied_by(statement: bytes, reason: str = "message") -> Foreign:
    """The dump with another COPY."""
    text = DATABASE.replace(_COPY_T, statement)
    return Foreign(text, reason, "database", (), _line(text, b"\nCOPY") + 1)


def _inserted_by(statement: bytes) -> Foreign:
    """The dump with another first INSERT."""
    text = INSERTS.replace(b"INSERT INTO public.t VALUES (1, 'one: 1');", statement)
    return Foreign(text, "message", "database", (), _line(text, b"\nINSERT") + 1)


def _connected_by(command: bytes, reason: str) -> Foreign:
    """The dump with another \\connect before the objects of the database."""
    text = CLUSTER.replace(_CONNECT, command + b"\n\nSET")
    return Foreign(text, reason, "cluster", (), _line(CLUSTER, _CONNECT))


def _crlf(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


def _boundaries() -> dict[str, tuple[bytes, bytes]]:
    """Places between two statements: the text, and what stands behind."""
    return {
        "first": (CLUSTER, b"--\n-- PostgreSQL database cluster"),
        "globals": (CLUSTER, b"ALTER ROLE postgres"),
        "section": (CLUSTER, b'--\n-- Database "app"'),
        "connect": (CLUSTER, b"\\connect app"),
        "create": (CLUSTER, b"CREATE TABLE"),
        "copy": (CLUSTER, b"COPY public.t"),
        "after-rows": (CLUSTER, b"\n\n--\n-- Name: t t_pkey"),
        "alter": (CLUSTER, b"ALTER TABLE ONLY"),
        "end": (CLUSTER, _end(b"cluster ")),
        "database-first": (DATABASE, b"--\n-- PostgreSQL database dump\n"),
        "database-create": (DATABASE, b"CREATE TABLE"),
        "database-end": (DATABASE, _end()),
    }


def _file(name: str) -> bytes:
    """One that was found elsewhere."""
    folder = Path(__file__).parents[1] / "unit" / "plugins" / "module_utils" / "dumps"
    return (folder / f"{name}.sql").read_bytes()


# The reasons that name a line.
WITH_A_LINE = ("message", "command", "rows", "unfinished", "elsewhere")
# What only the modules notice: for the script it is for psql, which has an error, or restores the rows.
ONLY_BY_MODULES = {"insert-or-update", "insert-returning", "latin1-rows", "zstd-within-gzip", "encrypted-within-gzip"}

TEXTS: dict[str, Foreign] = {
    # -------------------------------------------------------------------------------------------------- found elsewhere
    "found-bom": Foreign(_file("bom"), "", "database", ((None, 1),)),
    "found-crlf-cluster": Foreign(_file("crlf-cluster"), "", "cluster", (("app", 2),)),
    "found-pgdumpall-9.6": Foreign(_file("pgdumpall-9.6"), "", "cluster", (("app", 1), ("postgres", 0), ("web", 0))),
    "found-stderr-in-the-middle": Foreign(_file("stderr-in-the-middle"), "message", "database", (), 12),
    # ---------------------------------------------------------------------------------------------------- complete
    "cluster": Foreign(CLUSTER, "", "cluster", _CLUSTER_ROWS),
    "database": Foreign(DATABASE, "", "database", ((None, 2),)),
    "globals": Foreign(GLOBALS, "", "globals"),
    "old-cluster": Foreign(
        OLD_CLUSTER, "", "cluster", (("app", 3), ('Odd "name', 0), ("postgres", 0), ("template1", 0))
    ),
    "crlf-cluster": Foreign(_crlf(CLUSTER), "", "cluster", _CLUSTER_ROWS),
    "crlf-database": Foreign(_crlf(DATABASE), "", "database", ((None, 2),)),
    "crlf-old-cluster": Foreign(
        _crlf(OLD_CLUSTER), "", "cluster", (("app", 3), ('Odd "name', 0), ("postgres", 0), ("template1", 0))
    ),
    "bom-cluster": Foreign(b"\xef\xbb\xbf" + CLUSTER, "", "cluster", _CLUSTER_ROWS),
    "bom-database": Foreign(b"\xef\xbb\xbf" + DATABASE, "", "database", ((None, 2),)),
    "bom-crlf-cluster": Foreign(b"\xef\xbb\xbf" + _crlf(CLUSTER), "", "cluster", _CLUSTER_ROWS),
    "cluster-11": Foreign(CLUSTER_11, "", "cluster", _CLUSTER_ROWS),
    "crlf-cluster-11": Foreign(_crlf(CLUSTER_11), "", "cluster", _CLUSTER_ROWS),
    "inserts": Foreign(INSERTS, "", "database", ((None, 4),)),
    "crlf-inserts": Foreign(_crlf(INSERTS), "", "database", ((None, 4),)),
    "with-oids": Foreign(
        DATABASE.replace(b"(n, v) FROM", b"(n, v) WITH OIDS FROM")
        .replace(b"1\tone", b"9\t1\tone")
        .replace(b"2\ttwo", b"9\t2\ttwo"),
        "",
        "database",
        ((None, 2),),
    ),
    "psql-settings": Foreign(
        b"\\set ON_ERROR_STOP on\n\\timing on\n\\echo restoring\n" + DATABASE, "", "database", ((None, 2),)
    ),
    "transaction": Foreign(
        DATABASE.replace(b"SET statement", b"BEGIN;\n\nSET statement").replace(_end(), b"COMMIT;\n\n" + _end()),
        "",
        "database",
        ((None, 2),),
    ),
    "message-in-a-string": Foreign(
        DATABASE.replace(b"COPY public", b"COMMENT ON TABLE public.t IS 'x\npg_dump: warning: y\n';\nCOPY public"),
        "",
        "database",
        ((None, 2),),
    ),
    "case-in-a-slice": Foreign(_SLICES, "", "database", ((None, 2),)),
    "crlf-case-in-a-slice": Foreign(_crlf(_SLICES), "", "database", ((None, 2),)),
    "copy-with-comments": Foreign(
        DATABASE.replace(_COPY_T, b"COPY /* the rows */ public.t -- of t\n (n, v) FROM stdin; -- all"),
        "",
        "database",
        ((None, 2),),
    ),
    "copy-in-capitals": Foreign(
        DATABASE.replace(_COPY_T, b"COPY PUBLIC.T (N, V) FROM STDIN;"), "", "database", ((None, 2),)
    ),
    "copy-with-quotes": Foreign(
        DATABASE.replace(_COPY_T, b'COPY "public" . "t" ("n", "v") FROM stdin;'), "", "database", ((None, 2),)
    ),
    "comments-in-an-insert": Foreign(
        INSERTS.replace(b"(1, 'one: 1');", b"(1, 'one'), -- ), (2\n (5, 'x') /* ,(3) */;"), "", "database", ((None, 5),)
    ),
    # ------------------------------------------------------------------------------------ statements that dumps lack
    "copy-csv": _copied_by(b"COPY public.t (n, v) FROM stdin WITH (FORMAT csv, HEADER);"),
    "copy-where": _copied_by(b"COPY public.t (n, v) FROM stdin WHERE n > 1;"),
    "copy-freeze": _copied_by(b"COPY public.t (n, v) FROM stdin WITH (FREEZE);"),
    "copy-of-another-database": _copied_by(b"COPY fresh.public.t (n, v) FROM stdin;"),
    "copy-of-a-file": _copied_by(b"COPY public.t (n, v) FROM '/etc/hostname';"),
    "copy-to-a-file": _copied_by(b"COPY public.t (n, v) TO '/tmp/t';"),
    "insert-select": _inserted_by(b"INSERT INTO public.t SELECT n, 'x' FROM generate_series(1, 10) AS n;"),
    "insert-select-values": _inserted_by(b"INSERT INTO public.t (SELECT * FROM (SELECT 1, 'x') AS x);"),
    "insert-or-update": _inserted_by(
        b"INSERT INTO public.t VALUES (1, 'one') ON CONFLICT (n) DO UPDATE SET v = (EXCLUDED.v);"
    ),
    "insert-returning": _inserted_by(b"INSERT INTO public.t VALUES (1, 'one') RETURNING (n), (v);"),
    "update": _with("message", CLUSTER, b"ALTER TABLE ONLY", b"UPDATE public.t SET n = 5;"),
    # ------------------------------------------------------------------------- other databases, commands that connect
    "connect-as-another-user": _connected_by(b"\\connect app postgres", "command"),
    "connect-to-another-host": _connected_by(b'\\connect "dbname=app host=other"', "command"),
    "connect-by-uri": _connected_by(b"\\connect postgresql://other/app", "command"),
    "connect-again": _connected_by(b"\\connect", "command"),
    "connected-to-another-database": _connected_by(b"\\connect postgres", "elsewhere"),
    "created-with-another-name": Foreign(
        CLUSTER.replace(b"CREATE DATABASE app", b"CREATE DATABASE app2"),
        "elsewhere",
        "cluster",
        (),
        _line(CLUSTER, _CONNECT),
    ),
    "connected-within-a-database": _with("elsewhere", CLUSTER, _COPY_T, b"\\connect postgres"),
    "not-connected": Foreign(
        CLUSTER.replace(_CONNECT, b"SET"), "elsewhere", "cluster", (), _line(CLUSTER, b"CREATE TABLE") - 2
    ),
    "database-created-and-not-connected": Foreign(
        (_BEGIN + _CREATE + _BODY + _end()).replace(_CONNECT, b"SET"),
        "elsewhere",
        "database",
        (),
        _line(_BEGIN + _CREATE + _BODY, b"CREATE TABLE") - 2,
    ),
    # ------------------------------------------------------------------------------------------------ pieces missing
    "end-of-a-statement-missing": Foreign(
        CLUSTER.replace(b"    v text\n);\n", b"    v text\n)\n"),
        "unfinished",
        "cluster",
        (),
        _line(CLUSTER, b"ALTER TABLE public.t OWNER"),
    ),
    "piece-of-two-statements-missing": Foreign(
        CLUSTER.replace(b"    v text\n);\n\n\nALTER TABLE public.t OWNER TO postgres;\n", b""),
        "unfinished",
        "cluster",
        (),
        _line(CLUSTER, _COPY_T) - 5,
    ),
    "beginning-of-a-statement-missing": Foreign(
        CLUSTER.replace(b"CREATE TABLE public.t (\n    n integer,\n", b"CREATE TABLE public.t\n"),
        "message",
        "cluster",
        (),
        _line(CLUSTER, b"    v text"),
    ),
    # ---------------------------------------------------------------------------------- messages among the statements
    **{f"message-{name}": _with("message", CLUSTER, b"ALTER TABLE public.t", line) for name, line in MESSAGES.items()},
    **{
        f"message-at-{place}": _with(
            "message",
            text,
            mark,
            MESSAGES["pg_dump"],
            None if "first" in place else ("database" if place.startswith("database") else "cluster"),
        )
        for place, (text, mark) in _boundaries().items()
    },
    "message-in-a-statement": _with("message", CLUSTER, b"    v text\n", MESSAGES["pg_dump"]),
    "warning-in-a-statement": _with("message", CLUSTER, b"    v text\n", MESSAGES["warning"]),
    "kubectl-in-a-statement": _with("message", CLUSTER, b"    v text\n", MESSAGES["kubectl"]),
    "colon-at-the-line-end": _with("message", CLUSTER, b"    v text\n", b"error: connecting to server failed:"),
    "only-a-colon-at-the-line-end": _with("message", CLUSTER, b"    v text\n", b"error:"),
    "crlf-message": Foreign(
        _crlf(_before(CLUSTER, b"COPY public.t", MESSAGES["pg_dump"])[0]),
        "message",
        "cluster",
        (),
        _before(CLUSTER, b"COPY public.t", b"")[1],
    ),
    "bom-message": Foreign(b"\xef\xbb\xbf" + MESSAGES["pg_dump"] + b"\n" + CLUSTER, "message", None, (), 1),
    "marker-twice": _with("message", CLUSTER, b"\n\n--\n-- Name: t t_pkey", b"\\."),
    # ---------------------------------------------------------------------------------------------- psql's commands
    "quit": _with("command", CLUSTER, b"COPY public.t", b"\\q"),
    "include": _with("command", CLUSTER, b"COPY public.t", b"\\i other.sql"),
    "condition": _with("command", CLUSTER, b"COPY public.t", b"\\if false"),
    "autocommit": _with("command", CLUSTER, b"COPY public.t", b"\\set AUTOCOMMIT off"),
    "not-committed": Foreign(
        DATABASE.replace(b"SET statement", b"BEGIN;\n\nSET statement"),
        "cut",
        "database",
    ),
    "not-committed-before-another": Foreign(
        CLUSTER.replace(b"CREATE TABLE", b"BEGIN;\nCREATE TABLE"),
        "cut",
        "cluster",
    ),
    "rolled-back": _with("message", CLUSTER, b"COPY public.t", b"ROLLBACK;"),
    "tag": _with("message", CLUSTER, b"COPY public.t", b"CREATE TABLE"),
    "tag-with-number": _with("message", CLUSTER, b"ALTER TABLE ONLY", b"COPY 2"),
    "zero-bytes": _with("message", CLUSTER, b"COPY public.t", b"\0" * 512),
    "zero-bytes-among-rows": _with("message", CLUSTER, b"2\ttwo", b"\0" * 512),
    "rows-before": Foreign(b"INSERT INTO t VALUES (1);\n" + DATABASE, "message", "database"),
    "rows-among-the-globals": Foreign(
        CLUSTER.replace(b"ALTER ROLE postgres", b"COPY t (n) FROM stdin;\n1\n\\.\nALTER ROLE postgres"),
        "message",
        "cluster",
    ),
    "message-in-an-insert": Foreign(
        INSERTS.replace(b"(2, 'it", b"(2,\n" + MESSAGES["pg_dump"] + b"\n'it"),
        "message",
        "database",
        (),
        INSERTS[: INSERTS.index(b"(2, 'it")].count(b"\n") + 2,
    ),
    "message-among-values": _with("message", INSERTS, b"\t(4, NULL)", MESSAGES["pg_dump"], "database"),
    # ------------------------------------------------------------------------------------- rows that psql cannot copy
    "message-among-rows": _with("rows", CLUSTER, b"2\ttwo", MESSAGES["pg_dump"]),
    "message-as-first-row": _with("rows", CLUSTER, b"1\tone", MESSAGES["warning"]),
    "empty-line-among-rows": _with("rows", CLUSTER, b"2\ttwo", b""),
    "row-with-too-many-columns": _with("rows", CLUSTER, b"2\ttwo", b"3\tthree\t4"),
    "rows-that-make-up-for-each-other": Foreign(
        CLUSTER.replace(b"1\tone\n2\ttwo\n", b"1\tone\t2\ntwo\n"),
        "rows",
        "cluster",
        (),
        CLUSTER[: CLUSTER.index(b"1\tone")].count(b"\n") + 1,
    ),
    "mixed-line-ends-in-rows": Foreign(
        CLUSTER.replace(b"\ttwo\n", b"\ttwo\r\n"),
        "rows",
        "cluster",
        (),
        CLUSTER[: CLUSTER.index(b"\ttwo")].count(b"\n") + 1,
    ),
    # psql sends the end marker too, up to version 17.
    "crlf-outside-of-rows": Foreign(
        _crlf(CLUSTER).replace(b"\tone\r\n", b"\tone\n").replace(b"\ttwo\r\n", b"\ttwo\n"),
        "rows",
        "cluster",
        (),
        CLUSTER[: CLUSTER.index(b"\\.\n")].count(b"\n") + 1,
    ),
    "crlf-rows-alone": Foreign(
        CLUSTER.replace(b"\tone\n", b"\tone\r\n").replace(b"\ttwo\n", b"\ttwo\r\n"),
        "rows",
        "cluster",
        (),
        CLUSTER[: CLUSTER.index(b"\\.\n")].count(b"\n") + 1,
    ),
    "crlf-marker-of-no-rows": Foreign(
        CLUSTER.replace(b"1\tone\n2\ttwo\n\\.\n", b"\\.\r\n"),
        "",
        "cluster",
        (("template1", 0), ("app", 0), ("postgres", 0)),
    ),
    "crlf-then-lf-in-rows": Foreign(
        CLUSTER.replace(b"\tone\n", b"\tone\r\n"),
        "rows",
        "cluster",
        (),
        CLUSTER[: CLUSTER.index(b"\ttwo")].count(b"\n") + 1,
    ),
    "carriage-return-in-a-row": Foreign(
        CLUSTER.replace(b"\ttwo\n", b"\tt\rwo\n"),
        "rows",
        "cluster",
        (),
        CLUSTER[: CLUSTER.index(b"\ttwo")].count(b"\n") + 1,
    ),
    # An editor that saved the file in another encoding.
    "latin1-rows": Foreign(
        CLUSTER.replace(b"\ttwo", b"\tzwei f\xfcr"), "rows", "cluster", (), _line(CLUSTER, b"2\ttwo")
    ),
    # ---------------------------------------------------------------------------------------------------- cut, joined
    "cut-in-the-globals": Foreign(CLUSTER[: CLUSTER.index(b"ALTER ROLE")], "cut", "cluster"),
    "cut-in-the-rows": Foreign(CLUSTER[: CLUSTER.index(b"2\ttwo")], "cut", "cluster"),
    "cut-before-the-end": Foreign(CLUSTER[: -len(_end(b"cluster "))], "cut", "cluster"),
    "last-newline-missing": Foreign(CLUSTER[:-1], "cut", "cluster"),
    "crlf-last-newline-missing": Foreign(_crlf(CLUSTER)[:-1], "cut", "cluster"),
    "last-newlines-missing": Foreign(CLUSTER[:-2], "cut", "cluster"),
    "old-cluster-cut": Foreign(OLD_CLUSTER[: -len(_end(b"cluster "))], "cut", "cluster"),
    "two-clusters": Foreign(CLUSTER + CLUSTER, "two", "cluster"),
    "two-databases": Foreign(DATABASE + DATABASE, "two", "database"),
    "cluster-and-database": Foreign(CLUSTER + DATABASE, "two", "cluster"),
    "database-and-cluster": Foreign(DATABASE + CLUSTER, "two", "database"),
    "two-old-clusters": Foreign(OLD_CLUSTER + OLD_CLUSTER, "two", "cluster"),
    "globals-and-database": Foreign(GLOBALS + DATABASE, "two", "globals"),
    "cut-cluster-and-cluster": Foreign(CLUSTER[: CLUSTER.index(b"\n\\connect app") + 1] + CLUSTER, "two", "cluster"),
    "statement-after": Foreign(CLUSTER + b"ANALYZE;\n", "after", "cluster"),
    "message-after": Foreign(CLUSTER + MESSAGES["exit-code"] + b"\n", "after", "cluster"),
    "message-after-database": Foreign(DATABASE + MESSAGES["pg_dump"] + b"\n", "after", "database"),
    "newline-after": Foreign(CLUSTER + b"\n", "after", "cluster"),
    # ----------------------------------------------------------------------------------------- something else, complete
    "mysql": Foreign(
        b"-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n-- Host: localhost    Database: app\n"
        b"-- ------------------------------------------------------\n-- Server version\t8.0.36\n\n"
        b"/*!40101 SET NAMES utf8 */;\nDROP TABLE IF EXISTS `t`;\nINSERT INTO `t` VALUES (1);\n"
        b"-- Dump completed on 2026-11-22  2:00:00\n",
        "product",
    ),
    "mariadb": Foreign(
        b"/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB\n--\n"
        b"-- Host: localhost    Database: app\nDROP TABLE IF EXISTS `t`;\n-- Dump completed\n",
        "product",
    ),
    "greenplum": Foreign(DATABASE.replace(b"PostgreSQL database dump", b"Greenplum Database database dump"), "product"),
    "enterprisedb": Foreign(DATABASE.replace(b"PostgreSQL database dump", b"EnterpriseDB database dump"), "product"),
    "enterprisedb-cluster": Foreign(CLUSTER.replace(b"-- PostgreSQL database", b"-- EnterpriseDB database"), "product"),
    "yugabytedb": Foreign(DATABASE.replace(b"PostgreSQL database dump", b"YSQL database dump"), "product"),
    "adminer": Foreign(
        b'-- Adminer 4.8.1 PostgreSQL 16.4 dump\n\nDROP TABLE IF EXISTS "t";\n'
        b'CREATE TABLE "public"."t" (\n    "n" integer\n) WITH (oids = false);\n\n'
        b'INSERT INTO "t" ("n") VALUES\n(1);\n\n-- 2026-11-22 02:00:00.000000+00\n',
        "product",
    ),
    "sqlite": Foreign(
        b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(n);\nINSERT INTO t VALUES(1);\nCOMMIT;\n",
        "product",
    ),
    "utf-16-le": Foreign(b"\xff\xfe" + _crlf(CLUSTER).decode().encode("utf-16-le"), "encoding"),
    "utf-16-be": Foreign(b"\xfe\xff" + CLUSTER.decode().encode("utf-16-be"), "encoding"),
    "utf-16-le-without-mark": Foreign(DATABASE.decode().encode("utf-16-le"), "encoding"),
    "utf-16-be-without-mark": Foreign(DATABASE.decode().encode("utf-16-be"), "encoding"),
    "utf-32": Foreign(b"\xff\xfe\x00\x00" + DATABASE.decode().encode("utf-32-le"), "encoding"),
    "custom": Foreign(b"PGDMP\x01\x0e\x00\x04\x08\x01\x01\x01", "format"),
    "directory": Foreign(b"x" * 257 + b"ustar\x0000", "format"),
    "gzip-twice": Foreign(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "format"),
    "zstd-within-gzip": Foreign(bytes.fromhex("28b52ffd04584100"), "format"),
    "encrypted-within-gzip": Foreign(b"age-encryption.org/v1\n", "format"),
    "empty": Foreign(b"", "empty"),
    "bom-alone": Foreign(b"\xef\xbb\xbf", "empty"),
    "messages-alone": Foreign(MESSAGES["pg_dump"] + b"\n", "message", None, (), 1),
    "html": Foreign(MESSAGES["html"] + b"\n<body></body></html>\n", "message", None, (), 1),
    "sql": Foreign(b"SELECT 1;\n", "unknown"),
}
