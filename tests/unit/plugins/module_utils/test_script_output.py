# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which lines of the script are for people, and which for programs."""

from __future__ import annotations

import pytest

from plugins.module_utils.script_output import (
    FailedDatabase,
    failed_databases,
    is_object,
    is_success,
    is_volume,
    log_lines,
    result_of,
)

LOG = ["2026-11-22T02:00:00Z dumping", '{"level":"info","msg":"another program"}', "{", ""]
OBJECTS = ['{"type":"backup","name":"b"}', '{"type":"volume","path":"/backups"}']
RESULTS = ['{"state":"succeeded","backup":"b"}', '{"state":"failed","backup":null}']


def test_what_is_for_people() -> None:
    assert log_lines([*OBJECTS, *LOG, *RESULTS]) == LOG


@pytest.mark.parametrize("line", [*LOG, *OBJECTS, *RESULTS])
def test_what_is_for_programs(line: str) -> None:
    assert is_object(line) == (line in OBJECTS)
    assert is_volume(line) == (line == OBJECTS[1])
    assert is_success(line) == (line == RESULTS[0])
    assert (result_of(line) is not None) == (line in RESULTS)


def test_a_result_that_was_cut_off() -> None:
    assert result_of('{"state":"succeeded","backup":"b') is None


def test_error_of_a_database_names_the_table_and_the_cause() -> None:
    """pg_dump 18's messages, when the file of a table is missing."""
    error = (
        'pg_dump: error: Dumping the contents of table "items" failed: PQgetResult() failed.\n'
        'pg_dump: detail: Error message from server: ERROR:  could not open file "base/1/2": No such file\n'
        "pg_dump: detail: Command was: COPY public.items (id) TO stdout;"
    )
    entries = [{"database": "wiki", "error": error, "advice": "Check the disk.\nmore"}, {"database": "x"}, None, {}]
    assert failed_databases({"failed_databases": entries}) == [
        FailedDatabase(
            "wiki",
            'pg_dump: error: Dumping the contents of table "items" failed: PQgetResult() failed: ERROR:  '
            'could not open file "base/1/2": No such file',
            "Check the disk",
        ),
        FailedDatabase("x", "", ""),
    ]
    assert failed_databases({}) == failed_databases({"failed_databases": None}) == []
