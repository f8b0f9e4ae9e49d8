# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Files of another script: a run checks them once they have not changed for an hour, and then counts them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from plugins.module_utils._volume.manifest import parse_manifest
from tests.dump import foreign

from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.volume import DUMP, END, HOUR, backup_name, checksum_line, give, put, put_backup, snapshot

OLD = datetime(2025, 6, 1, 2, tzinfo=UTC)
NAME = "postgres-backup-2025-06-01-020000.sql.gz"


def plain_backup(server: Server, path: Path) -> None:
    """`pg_dumpall | gzip > file`, as the script does it that people use today."""
    dump = subprocess.run(
        [server.programs.path("pg_dumpall")], env=server.environment(), check=True, capture_output=True
    )
    path.write_bytes(gzip.compress(dump.stdout))


def _age(path: Path, seconds: float) -> None:
    when = time.time() - seconds
    os.utime(path, (when, when))


def _states(sandbox: Sandbox) -> dict[str, tuple[str, list[str]]]:
    return {line["name"]: (line["state"], line["reasons"]) for line in sandbox.run("list").check().backups}


def test_a_plain_backup_becomes_complete_without_a_change(sandbox: Sandbox, server: Server) -> None:
    path = sandbox.volume / NAME
    plain_backup(server, path)
    _age(path, HOUR + 60)
    give(sandbox.volume, sandbox.uid)
    before = snapshot(sandbox.volume)[NAME.encode()]
    assert _states(sandbox)[NAME] == ("unchecked", ["unchecked"])
    sandbox.run("run").check()
    assert snapshot(sandbox.volume)[NAME.encode()] == before
    assert Path(f"{path}.sha256").read_text() == checksum_line(NAME, path.read_bytes())
    assert _states(sandbox)[NAME][0] == "complete"


def test_it_is_left_alone_for_an_hour(sandbox: Sandbox, server: Server) -> None:
    path = sandbox.volume / NAME
    plain_backup(server, path)
    _age(path, HOUR - 120)
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run").check()
    assert _states(sandbox)[NAME] == ("unchecked", ["unchecked"])
    assert not Path(f"{path}.sha256").exists()


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _without_trailer(content: bytes) -> bytes:
    return content[:-4]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def _shorter_dump(content: bytes) -> bytes:
    """A valid gzip file of a dump that was killed: `gzip -t` is content with it."""
    return gzip.compress(gzip.decompress(content)[:-200])


def _last_line_only_almost(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content).removesuffix(END) + END[:-4])


def _more_after_the_end(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content) + b"SELECT 1;\n")


def _no_gzip(content: bytes) -> bytes:
    return gzip.decompress(content)


def _empty(content: bytes) -> bytes:
    return content[:0]


def _gzip_of_nothing(content: bytes) -> bytes:
    return gzip.compress(content[:0])


def _zeros(content: bytes) -> bytes:
    return bytes(len(content))


def _zstd(content: bytes) -> bytes:
    return bytes.fromhex("28b52ffd") + content


def _message(content: bytes) -> bytes:
    return b"command terminated with exit code 1\n" + content[:0]


def _null_byte(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content).replace(b"\n1\t", b"\n1\0\t", 1))


# Each with a part of the reason that must be given.
REASONS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut": (_cut, "gzip cannot read it: "),
    "trailer": (_without_trailer, "gzip cannot read it: "),
    "flipped": (_flipped, "gzip cannot read it: "),
    "no-gzip": (_no_gzip, "it is not gzip data (plain SQL: compress it with gzip)"),
    "empty": (_empty, "it is not gzip data (an empty file)"),
    "zeros": (_zeros, "it is not gzip data (zeros: "),
    "zstd": (_zstd, "it is not gzip data (zstd data: "),
    "rubbish": (lambda content: b"\x02rubbish" + content, "it is not gzip data ("),
    "message": (_message, "it is not gzip data (plain text) ("),
    "shorter": (_shorter_dump, "it is cut off"),
    "last-line": (_last_line_only_almost, "it is cut off"),
    "gzip-of-nothing": (_gzip_of_nothing, "its text is empty"),
    "null-byte": (_null_byte, "NUL bytes"),
}
# Of each kind of reason one, as backup_verify has them.
WORDS = {
    "": "",
    "message": "is neither a statement that dumps have nor a comment",
    "command": "is a command of psql",
    "rows": "is not a row",
    "cut": "it is cut off",
    "after": "something follows the end",
    "two": "more than one dump",
    "product": "another product (",
    "encoding": "UTF-16",
    "format": "compressed twice",
    "empty": "its text is empty",
    "unknown": "not a dump of pg_dumpall",
}
FOREIGN = {
    "bom-crlf-cluster": "",
    "old-cluster": "",
    "crlf-old-cluster": "",
    "globals": "",
    "database": "it is a dump of one database (pg_dump)",
    "custom": "custom format of pg_dump",
    "last-newline-missing": "its last bytes are missing",
    "zero-bytes": "NUL bytes",
    "zero-bytes-among-rows": "NUL bytes",
    "message-in-a-statement": "",
    "message-bytes": "",
    **dict.fromkeys(
        (
            "quit", "crlf-then-lf-in-rows", "cut-in-the-rows", "statement-after", "two-clusters", "two-databases",
            "mysql", "utf-16-le", "utf-16-be-without-mark", "gzip-twice", "bom-alone", "sql",
        ),
        "",
    ),
}  # fmt: skip


def test_each_is_judged_as_backup_verify_judges_it_with_the_true_reason(sandbox: Sandbox, server: Server) -> None:
    plain_backup(server, sandbox.volume / NAME)
    content = (sandbox.volume / NAME).read_bytes()
    (sandbox.volume / NAME).unlink()
    files = {name: (change(content), word) for name, (change, word) in REASONS.items()}
    for name, word in FOREIGN.items():
        expected = foreign.TEXTS[name]
        files[name] = (gzip.compress(expected.text), word or WORDS[expected.reason])
    names = {}
    for number, (name, (data, _)) in enumerate(files.items()):
        names[name] = put(sandbox.volume / backup_name(sandbox.name, OLD + timedelta(days=number)), data, 2 * HOUR).name
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run").check()
    states = _states(sandbox)
    for name, (_, word) in files.items():
        state, (reason, *_) = states[names[name]]
        assert (name, state) == (name, "damaged" if word else "complete"), reason
        assert word in reason, name
        assert ":  (" not in reason, name


DAMAGES = [
    _cut, _without_trailer, _flipped, _shorter_dump, _last_line_only_almost, _more_after_the_end, _no_gzip, _empty,
    _gzip_of_nothing, _zeros,
]  # fmt: skip


def test_a_damaged_one_is_called_so_and_never_counts(sandbox: Sandbox, server: Server) -> None:
    """All kinds in one run, each with its own reason, unchanged, and without a checksum file."""
    names = {}
    for number, damage in enumerate(DAMAGES):
        name = backup_name(sandbox.name, OLD + timedelta(days=number))
        path = sandbox.volume / name
        plain_backup(server, path)
        path.write_bytes(damage(path.read_bytes()))
        _age(path, 2 * HOUR)
        names[name] = damage.__name__
    give(sandbox.volume, sandbox.uid)
    before = snapshot(sandbox.volume)
    sandbox.run("run").check()
    after = snapshot(sandbox.volume)
    assert before.items() <= after.items()
    states = _states(sandbox)
    for name, damage_name in names.items():
        state, (reason,) = states[name]
        assert (state, damage_name) == ("damaged", damage_name)
        assert reason.startswith("damaged: ")
        assert len(reason) > len("damaged: ") + 5
        assert not (sandbox.volume / f"{name}.sha256").exists()
        stored = (sandbox.volume / f"{name}.damaged").read_text().splitlines()[0]
        assert reason == f"damaged: {stored}"


@pytest.mark.parametrize("compressor", ["gzip", "igzip"])
def test_what_follows_the_gzip_data(sandbox: Sandbox, compressor: str) -> None:
    """igzip is silent about it. Zeros may follow."""
    sandbox.add_programs(*{compressor} - {"gzip"})
    ends = {b"garbage": "damaged", b"\0" * 100 + b"x": "damaged", b"\0" * 10_000: "complete"}
    states = {}
    for number, (end, state) in enumerate(ends.items()):
        name = backup_name(sandbox.name, OLD + timedelta(days=number))
        put(sandbox.volume / name, gzip.compress(DUMP) + end, 2 * HOUR)
        states[name] = state
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run", env={"POSTGRES_BACKUP_COMPRESSOR": compressor}).check()
    found = _states(sandbox)
    assert {name: found[name][0] for name in states} == states
    found_reasons = {found[name][1][0].partition(" (checked")[0] for name in states if states[name] == "damaged"}
    assert found_reasons == {
        "damaged: something that is neither gzip data nor zeros follows the end of its gzip data",
    }


def test_several_members_in_one_file_are_fine(sandbox: Sandbox) -> None:
    path = put(sandbox.volume / NAME, gzip.compress(DUMP[:40]) + gzip.compress(DUMP[40:]), 2 * HOUR)
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run").check()
    assert _states(sandbox)[path.name][0] == "complete"


@pytest.mark.parametrize(
    "checksum_file", ["rubbish\n", "", f"{'a' * 64}  other.sql.gz\n"], ids=["rubbish", "empty", "other"]
)
def test_a_checksum_file_that_does_not_name_it_proves_nothing(sandbox: Sandbox, checksum_file: str) -> None:
    path = put_backup(sandbox.volume, NAME, checksum_file=False, age=2 * HOUR)
    put(Path(f"{path}.sha256"), checksum_file, 2 * HOUR)
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run").check()
    assert _states(sandbox)[NAME][0] == "complete"
    assert Path(f"{path}.sha256").read_text() == checksum_line(NAME, path.read_bytes())


def test_unchecked_ones_take_no_slot_and_go_once_seven_newer_are_complete(sandbox: Sandbox) -> None:
    """Recent files without a checksum file: deleted if older than every kept backup, else kept."""
    now = datetime.now(UTC).replace(microsecond=0)
    old = [backup_name(sandbox.name, now - timedelta(days=day)) for day in (100, 101)]
    between = backup_name(sandbox.name, now - timedelta(days=3, hours=1))
    for name in [*old, between]:
        put_backup(sandbox.volume, name, checksum_file=False)
    for day in range(1, 6):
        put_backup(sandbox.volume, backup_name(sandbox.name, now - timedelta(days=day)))
    give(sandbox.volume, sandbox.uid)
    assert sandbox.run("run").check().result["deleted"] == 0
    result = sandbox.run("run").check().result
    assert result["deleted"] == 2
    names = {path.name for path in sandbox.backup_files()}
    assert between in names
    assert not names & set(old)


def test_a_volume_of_plain_backups_is_taken_over_without_losing_one(sandbox: Sandbox, server: Server) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    names = [backup_name(sandbox.name, now - timedelta(days=day)) for day in range(1, 7)]
    plain_backup(server, sandbox.volume / names[0])
    for name in names[1:]:
        (sandbox.volume / name).write_bytes((sandbox.volume / names[0]).read_bytes())
    for name in names:
        _age(sandbox.volume / name, 2 * HOUR)
    give(sandbox.volume, sandbox.uid)
    result = sandbox.run("run").check().result
    assert result["deleted"] == 0
    states = _states(sandbox)
    assert {states[name][0] for name in names} == {"complete"}
    assert len(states) == 7


MISSING = ('si"ck', "zo\u00eb")


def _incomplete_text(server: Server) -> bytes:
    """As a run leaves it that could not dump two databases (dump.sh, end_text)."""
    dump = [str(server.programs.path("pg_dumpall"))]
    text = subprocess.run(dump, env=server.environment(), check=True, capture_output=True).stdout
    note = f"--\n-- Databases that could not be dumped: {json.dumps(MISSING, separators=(',', ':'))}\n--\n\n"
    assert text.endswith(END)
    return text.removesuffix(END) + note.encode() + END


def _put_incomplete(sandbox: Sandbox, server: Server) -> Path:
    path = sandbox.volume / NAME
    path.write_bytes(gzip.compress(_incomplete_text(server)))
    _age(path, HOUR + 60)
    return path


# What is next to it: nothing; the manifest of another file or another state, which does not count.
BESIDE = {
    "nothing": None,
    "a manifest of another state": f'{{"format":1,"backup":"{NAME}","state":"complete","dumped":["a"],"missing":[],',
    "a manifest of another backup": '{"format":1,"backup":"x","state":"incomplete","dumped":["a"],"missing":["b"],',
}


@pytest.mark.parametrize("beside", BESIDE)
def test_an_incomplete_backup_without_its_manifest_stays_incomplete(
    sandbox: Sandbox, server: Server, beside: str
) -> None:
    """Its text names the databases that it lacks; it takes no slot of a complete one."""
    path = _put_incomplete(sandbox, server)
    if line := BESIDE[beside]:
        put(sandbox.volume / f"{NAME}.json", f'{line}"left_out":false,\n"parts":[]}}\n')
    give(sandbox.volume, sandbox.uid)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_KEEP_DAILY": "30"}).check()
    assert f"{NAME} is incomplete" in outcome.log
    # A newer backup is complete: retention deletes this one, which a complete one of that age would not be.
    assert outcome.result["deleted"] == 1
    assert not path.exists()


def test_the_manifest_of_an_incomplete_backup_is_made_from_its_text(sandbox: Sandbox, server: Server) -> None:
    path = _put_incomplete(sandbox, server)
    put(sandbox.volume / f"{NAME}.keep", "")
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run").check()
    (line,) = (line for line in sandbox.run("list").check().backups if line["name"] == NAME)
    databases = json.loads(server.sql("SELECT json_agg(datname::text) FROM pg_database WHERE datallowconn;"))
    assert (line["state"], line["manifest"], line["missing"]) == ("incomplete", True, list(MISSING))
    assert sorted(line["dumped"]) == sorted(databases)
    manifest = parse_manifest(Path(f"{path}.json").read_text(encoding="ascii"), NAME)
    assert (manifest.sha256, manifest.size_bytes) == (line["sha256"], path.stat().st_size)


def test_an_incomplete_backup_whose_manifest_cannot_be_written_stays_unchecked(
    sandbox: Sandbox, server: Server
) -> None:
    _put_incomplete(sandbox, server)
    (sandbox.volume / f"{NAME}.json").mkdir()
    give(sandbox.volume, sandbox.uid)
    outcome = sandbox.run("run").check()
    assert any("no manifest could be written" in warning for warning in outcome.result["warnings"])
    assert _states(sandbox)[NAME][0] == "unchecked"


def test_a_manifest_that_lists_what_is_missing_is_kept(sandbox: Sandbox, server: Server) -> None:
    _put_incomplete(sandbox, server)
    text = f'{{"format":1,"backup":"{NAME}","state":"incomplete","dumped":["a"],"missing":["b"],"left_out":false}}\n'
    put(sandbox.volume / f"{NAME}.json", text)
    put(sandbox.volume / f"{NAME}.keep", "")
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run").check()
    assert _states(sandbox)[NAME][0] == "incomplete"
    assert (sandbox.volume / f"{NAME}.json").read_text() == text
