# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Files on a disk: files that are not backups, and every kind of damage to a backup."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import random
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugins.module_utils._progress.event import Event, parse_event
from plugins.module_utils._progress.reporter import Reporter
from plugins.module_utils._verify.expectations import Expectations
from plugins.module_utils._verify.verification import Verification, verify
from plugins.module_utils.errors import ExpectationError, UnreadableError
from tests.in_turn import ALL
from tests.processor_time import ratio

DUMPS = Path(__file__).parents[1] / "dumps"
TEXT = (DUMPS / "18-all.sql").read_bytes()
DATA = gzip.compress(TEXT, mtime=0)
NAME = "postgres-backup-2026-11-22-020000.sql.gz"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def found(path: Path, sidecar: str = "auto", sha256: str | None = None, kind: str = "cluster") -> Verification:
    return verify(str(path), Expectations(kind=kind), NOW, sha256, sidecar)


def test_the_bytes_that_are_read_are_reported(backup: Path) -> None:
    lines: list[str] = []
    reporter = Reporter(lines.append, itertools.count().__next__)  # a second passes each time the clock is read
    verify(str(backup), Expectations(kind=None), NOW, None, "auto", reporter=reporter)
    events = [parse_event(line) for line in lines]
    assert events[0] == Event("verify", None, 0, len(DATA))
    assert events[-1] == Event("verify", None, len(DATA), len(DATA))


def checks(verification: Verification) -> list[str]:
    return [failure.check for failure in verification.failures]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(DATA)
    return path


def write_checksum_file(backup: Path, data: bytes = DATA, name: str = NAME) -> None:
    backup.with_name(backup.name + ".sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  {name}\n")


def test_complete_backup_passes(backup: Path) -> None:
    verification = found(backup)
    assert checks(verification) == []
    assert verification.contents.complete
    assert verification.size_bytes == len(DATA)
    assert verification.sha256 == hashlib.sha256(DATA).hexdigest()
    assert verification.expected_sha256_from is None
    assert verification.created == datetime(2026, 11, 22, 2, tzinfo=UTC)
    write_checksum_file(backup)
    assert (checks(found(backup)), found(backup).expected_sha256_from) == ([], "sidecar")
    given = found(backup, sha256=hashlib.sha256(DATA).hexdigest().upper())
    assert (checks(given), given.expected_sha256_from) == ([], "sha256")


def test_time_of_the_header_precedes_that_of_the_name(backup: Path) -> None:
    header = b"-- Backup made by homelab.postgres_backup 0.1.0\n-- started: 2026-11-21T03:00:00Z\n--\n\n"
    backup.write_bytes(gzip.compress(header + TEXT))
    assert found(backup).created == datetime(2026, 11, 21, 3, tzinfo=UTC)


def test_expected_hash_differs(backup: Path) -> None:
    write_checksum_file(backup, b"other")
    assert checks(found(backup)) == ["sha256"]
    assert checks(found(backup, "ignore")) == []
    assert checks(found(backup, sha256="0" * 64)) == ["sha256"]


@pytest.mark.parametrize("sidecar", ["auto", "required"])
def test_checksum_file_does_not_match(backup: Path, sidecar: str) -> None:
    write_checksum_file(backup, name="other.sql.gz")
    assert checks(found(backup, sidecar)) == ["sidecar"]
    write_checksum_file(backup, name=f"/backups/{NAME}")
    assert checks(found(backup, sidecar)) == ["sidecar"]
    path = backup.with_name(backup.name + ".sha256")
    path.unlink()
    path.mkdir()
    assert checks(found(backup, sidecar)) == ["sidecar"]


def test_impossible_expectation_is_refused_before_reading(backup: Path) -> None:
    backup.write_bytes(b"")
    with pytest.raises(ExpectationError, match="expected 64 hexadecimal digits, found 'abc'"):
        found(backup, sha256="abc")
    with pytest.raises(ExpectationError, match="compare_to"):
        verify(str(backup), Expectations(compare_to={}), NOW, None, "auto")


def test_missing_checksum_file(backup: Path) -> None:
    assert checks(found(backup, "auto")) == []
    assert checks(found(backup, "required")) == ["sidecar"]
    assert "does not exist" in found(backup, "required").failures[0].message


def test_directory_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "toc.dat").write_bytes(b"PGDMP")
    with pytest.raises(UnreadableError, match="directory format, which pg_restore reads"):
        found(tmp_path)


def test_all_failures_are_reported_together(backup: Path) -> None:
    write_checksum_file(backup, b"other")
    backup.write_bytes(DATA[:-3])
    verification = verify(str(backup), Expectations(min_size_bytes=10_000, max_age=NOW - NOW), NOW, None, "auto")
    assert checks(verification) == ["sha256", "gzip", "size", "age"]
    assert [database.name for database in verification.contents.databases][:2] == ["template1", "Mixed-Name's"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "does not exist"),
        ("directory", "is a directory"),
        ("device", "is a device"),
        ("fifo", "is a named pipe"),
        ("socket", "is a socket"),
        ("loop", "cannot be read"),
        ("below-a-file", "cannot be read"),
    ],
)
def test_path_that_is_not_a_regular_file(tmp_path: Path, kind: str, message: str) -> None:
    path = tmp_path / "x.sql.gz"
    if kind == "directory":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        # The path may be longer than a socket's name can be.
        directory = os.open(tmp_path, os.O_RDONLY)
        socket.socket(socket.AF_UNIX).bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "below-a-file":
        path.write_text("x")
        path /= "y"
    with pytest.raises(UnreadableError, match=message):
        found(path)


def test_file_of_another_user(backup: Path) -> None:
    """Run as root, which may read everything, this is done as another user in a child process."""
    backup.chmod(0)
    for parent in backup.parents:
        if parent.stat().st_mode & 0o001 == 0 and parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            found(backup)
        except UnreadableError as error:
            status = 0 if "cannot be read by user id" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("dump", "kind", "failures"),
    [
        ("18-onec", "cluster", ["kind"]),
        ("18-onec", "database", []),
        ("18-glob", "cluster", ["kind"]),
        ("18-glob", "globals", []),
        ("18-all", "database", ["kind"]),
    ],
)
def test_kind_of_dump_is_checked(backup: Path, dump: str, kind: str, failures: list[str]) -> None:
    backup.write_bytes(gzip.compress((DUMPS / f"{dump}.sql").read_bytes()))
    assert checks(found(backup, kind=kind)) == failures


@pytest.mark.parametrize("data", [b"", b"SELECT 1;", TEXT, b"\x1f\x8b"], ids=["empty", "text", "dump", "magic"])
def test_file_that_is_not_gzip(backup: Path, data: bytes) -> None:
    backup.write_bytes(data)
    assert checks(found(backup)) == ["gzip"]


def test_every_truncation_is_damage(backup: Path) -> None:
    for end in range(0, len(DATA), 1 if ALL else 5):
        backup.write_bytes(DATA[:end])
        verification = found(backup)
        assert checks(verification) == ["gzip"], end
        assert ("cut off" if end else "is empty") in verification.failures[0].message
        assert not verification.contents.complete


def test_truncations_of_a_larger_backup_are_damage(backup: Path) -> None:
    rng = random.Random(int(os.environ.get("FUZZ_SEED", "5")))
    at = TEXT.index(b"2\t\\\\.\n")
    rows = b"".join(b"%d\t%d\n" % (number, rng.getrandbits(60)) for number in range(20_000))
    data = gzip.compress(TEXT[:at] + rows + TEXT[at:], 1)
    for _ in range(1000 if ALL else 50):
        end = rng.randrange(1, len(data))
        backup.write_bytes(data[:end])
        verification = found(backup)
        assert checks(verification) == ["gzip"], end
        assert f"file's end at byte {end}" in verification.failures[0].message
        assert not verification.contents.complete


def test_every_flipped_bit_is_damage_with_a_checksum_file(backup: Path) -> None:
    write_checksum_file(backup)
    step = 1 if ALL else 29
    for bit in range(0, len(DATA) * 8, step):
        data = bytearray(DATA)
        data[bit // 8] ^= 1 << bit % 8
        backup.write_bytes(data)
        verification = found(backup)
        assert checks(verification)[0] == "sha256", bit


def test_every_flipped_bit_is_damage_without_a_checksum_file(backup: Path) -> None:
    whole = found(backup).contents
    step = 1 if ALL else 29
    for bit in range(0, len(DATA) * 8, step):
        data = bytearray(DATA)
        data[bit // 8] ^= 1 << bit % 8
        backup.write_bytes(data)
        verification = found(backup)
        if not verification.failures:
            # Bits that change neither the text nor anything that gzip checks.
            assert gzip.decompress(data) == TEXT
            assert verification.contents == whole
        else:
            assert not verification.contents.complete


def test_two_backups_in_one_file_are_refused(backup: Path) -> None:
    backup.write_bytes(DATA + DATA)
    verification = found(backup)
    assert checks(verification) == ["dump"]
    assert "more than one dump" in verification.failures[0].message


def test_messages_show_no_row_and_no_password(backup: Path) -> None:
    secret = b"S3cret"
    text = TEXT.replace(b"PASSWORD NULL", b"PASSWORD '" + secret + b"'").replace(b"1\tx\n", b"1\t" + secret + b"\n")
    assert text.count(secret) == 2
    for end in range(0, len(text), 97):
        backup.write_bytes(gzip.compress(text[:end]))
        assert "S3cret" not in repr(found(backup))


def test_reading_is_not_slow_in_the_number_of_tables(backup: Path) -> None:
    """Twice the tables take about twice the time: nothing is quadratic."""
    at = TEXT.index(b"--\n-- Name: z; Type: TABLE;")

    def with_tables(number: int) -> Path:
        tables = b"".join(
            b"CREATE TABLE public.t%d (a text DEFAULT 'x'::text);\n\nCOPY public.t%d (a) FROM stdin;\n1\n\\.\n"
            % (each, each)
            for each in range(number)
        )
        path = backup.parent / f"{number}" / backup.name
        path.parent.mkdir()
        path.write_bytes(gzip.compress(TEXT[:at] + tables + TEXT[at:], 1))
        assert found(path).contents.rows == number + 4
        return path

    few, many = with_tables(2_000), with_tables(16_000)
    assert ratio(lambda: found(many), lambda: found(few)) < 20
