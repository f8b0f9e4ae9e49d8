# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Wrong usage and wrong configuration: exit 2, a message that names the variable, and nothing done."""

from __future__ import annotations

import pytest

from .support.sandbox import Outcome, Sandbox
from .support.volume import LAST_RUN, RECORDS, give, put_backup, snapshot, without

COUNTS = ["-1", "1.5", "seven", "0x10", "1e3", "7 ", " 7", "+7", "7;id", "$(id)", "1\n2"]
DURATIONS = ["36", "h", "1.5h", "36H", "1h30m", "-1h", " 36h", "36h ", "36 h", "36hh", "36y", "1h\n", "*", "h36"]
NAMES = ["a/b", "../a", "-rf", "a b", "a*", "a\nb", "Üb", ".", ".."]

RETENTION = [
    *[(f"POSTGRES_BACKUP_KEEP_{rule}", "-1") for rule in ("LAST", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")],
    *[("POSTGRES_BACKUP_KEEP_DAILY", value) for value in COUNTS],
    *[("POSTGRES_BACKUP_KEEP_WITHIN", value) for value in DURATIONS],
    *[("POSTGRES_BACKUP_NAME", value) for value in NAMES],
]
RUN_ONLY = [
    ("POSTGRES_BACKUP_HOST", ""),
    *[("POSTGRES_BACKUP_PORT", value) for value in ("0", "65536", "-5432", "http", "5432 ", "54 32", "5.4")],
    *[("POSTGRES_BACKUP_SSLMODE", value) for value in ("yes", "REQUIRE", "verify", "require ")],
    *[("POSTGRES_BACKUP_COMPRESSOR", value) for value in ("zstd", "GZIP", "gzip -9", "/bin/sh", "gzip;id")],
    *[("POSTGRES_BACKUP_FILE_MODE", value) for value in ("rw-r-----", "0999", "64", "06400", "u=rw", "-640")],
    *[("POSTGRES_BACKUP_TIME_LIMIT", value) for value in ("0", "6", "6 h", "h", "-6h", "6H", "6h30m")],
]

ZERO = {
    f"POSTGRES_BACKUP_KEEP_{rule}": value
    for rule, value in [
        ("LAST", "0"),
        ("DAILY", "0"),
        ("WEEKLY", "0"),
        ("MONTHLY", "0"),
        ("YEARLY", "0"),
        ("WITHIN", ""),
    ]
}


@pytest.fixture
def filled(offline: Sandbox) -> Sandbox:
    """A volume with more backups than are kept; no client program may be started before all is found well."""
    for day in range(10, 20):
        put_backup(offline.volume, f"postgres-backup-2025-06-{day}-020000.sql.gz")
    give(offline.volume, offline.uid)
    for program in ("psql", "pg_dumpall"):
        offline.shim(program, f"echo '{program} (PostgreSQL) 18.0, started too early'; exit 1")
    return offline


def _refused(sandbox: Sandbox, *arguments: str, **environment: str | None) -> str:
    before = snapshot(sandbox.volume)
    outcome = sandbox.run(*arguments, env=environment).check(2)
    assert without(snapshot(sandbox.volume), *RECORDS) == before
    if arguments[:1] == ("run",) and sandbox.last_run is not None:
        _check_record(sandbox, outcome)
    assert not (sandbox.volume / LAST_RUN).exists()
    assert "it's $HOME" not in outcome.log + outcome.out, "the password is in the message"
    return outcome.log


def _check_record(sandbox: Sandbox, outcome: Outcome) -> None:
    """A refused run may say so on the volume; then rightly, and with a sane mode."""
    assert sandbox.last_run is not None
    assert sandbox.last_run["state"] == "failed"
    assert sandbox.last_run["reason"].split(":")[0] in outcome.log
    record = sandbox.volume / LAST_RUN
    assert record.stat().st_mode & 0o7733 == 0o600, "a refused file mode was used"
    record.unlink()


@pytest.mark.parametrize(("variable", "value"), RETENTION, ids=repr)
def test_what_list_prune_and_run_refuse(filled: Sandbox, variable: str, value: str) -> None:
    for command in (["list"], ["prune"], ["prune", "--dry-run"], ["run"]):
        assert variable in _refused(filled, *command, **{variable: value})


@pytest.mark.parametrize(("variable", "value"), RUN_ONLY, ids=repr)
def test_what_run_refuses(filled: Sandbox, variable: str, value: str) -> None:
    assert variable in _refused(filled, "run", **{variable: value})


@pytest.mark.parametrize("command", ["list", "prune", "run"])
def test_a_policy_that_keeps_nothing(filled: Sandbox, command: str) -> None:
    assert "POSTGRES_BACKUP_KEEP_" in _refused(filled, command, **ZERO)


@pytest.mark.parametrize(
    "arguments",
    [[], ["backup"], ["runs"], ["run", "now"], ["list", "all"],
     ["list", "--history", "x"], ["prune", "--dryrun"], ["prune", "--dry-run", "x"],
     ["prune", "--force"], ["--dry-run", "prune"], ["-x"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage(filled: Sandbox, arguments: list[str]) -> None:
    message = _refused(filled, *arguments)
    assert "run" in message
    assert "list" in message
    assert "prune" in message


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("POSTGRES_BACKUP_KEEP_DAILY", "08"),
        ("POSTGRES_BACKUP_KEEP_WITHIN", "09h"),
        ("POSTGRES_BACKUP_KEEP_LAST", "007"),
    ],
)
def test_a_leading_zero_is_no_octal_number(filled: Sandbox, variable: str, value: str) -> None:
    """Either refused by name or taken as the decimal number that it seems to be."""
    outcome = filled.run("list", env={variable: value})
    if outcome.code == 2:
        assert variable in outcome.log
        return
    outcome.check()
    key = variable.removeprefix("POSTGRES_BACKUP_").lower()
    assert str(outcome.result["policy"][key]).lstrip("0") == value.lstrip("0")


@pytest.mark.parametrize("mode", ["0600", "640", "0440", "0664"])
def test_modes_that_are_fine(filled: Sandbox, mode: str) -> None:
    filled.run("list", env={"POSTGRES_BACKUP_FILE_MODE": mode}).check()
