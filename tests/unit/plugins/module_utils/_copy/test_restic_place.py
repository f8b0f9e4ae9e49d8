# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Copies in a restic repository: the program as a process, with real restic, rclone and stores."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._volume.manifest import parse_manifest
from tests.backup_parts import BackupParts, make_backup
from tests.copy_program import DEFAULTS, NAME, Copier, install, place_of
from tests.in_turn import weekly, weekly_but
from tests.stores.loopback import rclone, restic, sftp_server
from tests.stores.servers import S3Store

CLUSTER = (Path(__file__).parents[1] / "dumps" / "18-all.sql").read_bytes()
PASSWORD = "correct horse"
CLAIM = {"kind": "restic", "repository": "claim", "name": "dedup", "options": {"folder": "of/this installation"}}


def installed(folder: Path, code: Path, place: dict[str, Any], keys: dict[str, str]) -> Copier:
    folder.mkdir(exist_ok=True)
    copier = install(folder, rclone(), place, code=code)
    (folder / "bin" / "restic").symlink_to(restic())
    copier.add_secret({"repository_password": f"{PASSWORD}\n", **keys})
    return copier


@pytest.fixture
def dedup(tmp_path: Path, code: Path) -> Copier:
    """A claim with the repository."""
    return installed(tmp_path, code, dict(CLAIM), {})


def repository(copier: Copier) -> Path:
    return copier.mount() / "of/this installation"


def run_restic(copier: Copier, *words: str, text: bytes = b"") -> bytes:
    """What somebody without this collection does."""
    variables = {"RESTIC_REPOSITORY": str(repository(copier)), "RESTIC_PASSWORD": PASSWORD, "HOME": str(copier.folder)}
    command = [str(restic()), "--no-cache", *words]
    return subprocess.run(command, env=variables, input=text, capture_output=True, check=True).stdout


def snapshots(copier: Copier) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run_restic(copier, "snapshots", "--json")) or []
    return found


def files_in(copier: Copier) -> list[str]:
    """The files in the snapshots. There are two lists: one may be damaged."""
    return sorted({path for snapshot in snapshots(copier) for path in snapshot["paths"]})


def add(copier: Copier, text: bytes, days_ago: float = 0) -> str:
    """A backup with this text on the volume, as an earlier version made it, without a manifest; its name."""
    return copier.add_backup(days_ago, gzip.compress(text, 1))


def add_whole(copier: Copier, text: bytes = CLUSTER) -> BackupParts:
    """A backup with its manifest."""
    backup = make_backup(text)
    (copier.volume / backup.name).write_bytes(backup.file)
    (copier.volume / f"{backup.name}.json").write_text(backup.manifest)
    (copier.volume / f"{backup.name}.sha256").write_text(f"{backup.sha256}  {backup.name}\n")
    return backup


def lose_volume(copier: Copier) -> None:
    for path in copier.volume.glob(f"{NAME}-*"):
        path.unlink()


def test_a_backup_is_a_snapshot_of_its_text(dedup: Copier) -> None:
    """It can be restored with restic alone; a second attempt has nothing to do."""
    names = [add(dedup, b"-- new\n"), add(dedup, b"-- old\n", 1)]
    result = dedup.run()
    assert (result["status"], place_of(result)["state"], place_of(result)["copied"]) == (0, "copied", names), result
    paths = [f"/{name.removesuffix('.gz')}" for name in names]
    assert files_in(dedup) == sorted([*paths, f"/{NAME}.copies.json"])
    assert {snapshot["hostname"] for snapshot in snapshots(dedup)} == {NAME}
    assert run_restic(dedup, "dump", f"--path={paths[1]}", "latest", paths[1]) == b"-- old\n"
    assert {copy["sha256"] for copy in dedup.record("dedup")["copies"]} == {
        hashlib.sha256((dedup.volume / name).read_bytes()).hexdigest() for name in names
    }
    assert dedup.record("dedup")["kind"] == "restic"
    before = dedup.record("dedup")
    again = dedup.run()
    assert (place_of(again)["state"], dedup.record("dedup")["copies"]) == ("nothing_to_do", before["copies"])
    assert PASSWORD not in result["log"]


@pytest.mark.weekly
def test_equal_parts_are_stored_once(dedup: Copier) -> None:
    text = os.urandom(3 << 20).hex().encode()
    add(dedup, text, 1)
    dedup.run()
    before = size_of(repository(dedup))
    add(dedup, text + b"-- one line more\n")
    dedup.run()
    assert before > 3 << 20
    assert size_of(repository(dedup)) - before < 2 << 20


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_retention_of_the_place(dedup: Copier) -> None:
    """What is deleted frees its space."""
    names = [add(dedup, os.urandom(1 << 20), days) for days in (1, 2, 3)]
    dedup.places[0]["policy"] |= {"keep_last": 3, "keep_daily": 0}
    dedup.run()
    before = size_of(repository(dedup))
    dedup.places[0]["policy"] |= {"keep_last": 1}
    result = dedup.run()
    assert sorted(place_of(result)["deleted"]) == sorted(names[1:]), result
    assert files_in(dedup) == [f"/{names[0].removesuffix('.gz')}", f"/{NAME}.copies.json"]
    assert size_of(repository(dedup)) < before - (1 << 20)
    assert dedup.copies("dedup") == names[:1]


def test_what_somebody_keeps(dedup: Copier) -> None:
    """Also after a loss of the volume; when it is brought back, too. Until it is not."""
    keep(dedup, 1)
    kept = add(dedup, b"-- kept\n", 30)
    (dedup.volume / f"{kept}.keep").write_text("before the migration\n")
    add(dedup, b"-- old\n", 2)
    dedup.run()
    lose_volume(dedup)
    newest = add(dedup, b"-- new\n", 1)
    dedup.run()
    assert dedup.copies("dedup") == [newest, kept]
    assert dedup.run("retrieve", "dedup", kept)["status"] == 0
    (dedup.volume / f"{kept}.keep").unlink()
    assert place_of(dedup.run())["deleted"] == [kept]
    assert newest_list(dedup).keys() == {newest}


def test_an_encrypted_backup_is_stored_as_it_is(dedup: Copier) -> None:
    content = b"age-encryption.org/v1\n" + os.urandom(100)
    name = dedup.add_backup(1, content)
    for path in dedup.volume.glob(f"{name}*"):
        text = path.read_bytes().replace(b".sql.gz", b".sql.gz.age")
        path.with_name(path.name.replace(".sql.gz", ".sql.gz.age")).write_bytes(text)
        path.unlink()
    assert dedup.run()["status"] == 0
    assert run_restic(dedup, "dump", f"--path=/{name}.age", "latest", f"/{name}.age") == content
    lose_volume(dedup)
    assert dedup.run("retrieve", "dedup")["changed"] is True
    assert (dedup.volume / f"{name}.age").read_bytes() == content


def test_a_lost_volume(dedup: Copier) -> None:
    """The backup is made again from its text: with other bytes, the same parts, and a manifest for them."""
    backup = add_whole(dedup)
    dedup.places[0]["policy"] |= {"keep_last": 30}
    assert dedup.run()["status"] == 0
    lose_volume(dedup)
    result = dedup.run("retrieve", "dedup")
    file = (dedup.volume / backup.name).read_bytes()
    digest = hashlib.sha256(file).hexdigest()
    assert (result["status"], result["changed"], result["backup"]) == (0, True, backup.name), result
    assert (result["sha256"], result["size_bytes"]) == (digest, len(file))
    assert file != backup.file and gzip.decompress(file) == backup.text
    text = (dedup.volume / f"{backup.name}.json").read_bytes()
    found, before = parse_manifest(text, backup.name), parse_manifest(backup.manifest, backup.name)
    assert (found.sha256, found.size_bytes, found.compressor) == (digest, len(file), "zlib")
    assert found.dumped == before.dumped and len(found.parts) == len(before.parts) > 3
    for part in found.parts:
        assert part.span is not None
        member = file[part.span.offset_bytes : part.span.offset_bytes + part.span.length_bytes]
        begin = part.span.text_offset_bytes
        assert gzip.decompress(member) == backup.text[begin : begin + part.span.text_length_bytes]
    assert (dedup.volume / f"{backup.name}.sha256").read_text() == f"{digest}  {backup.name}\n"
    assert not list(dedup.volume.glob(".*.partial"))
    # It is the same backup for another call, and for its place, which gets it as it is now.
    again = dedup.run("retrieve", "--read-copy", "dedup", backup.name)
    assert (again["changed"], again["copy_read"]) == (False, True)
    again = dedup.run()
    assert (place_of(again)["copied"], place_of(again)["findings"], again["status"]) == ([backup.name], [], 0), again
    assert dedup.record("dedup")["copies"][0]["sha256"] == digest
    assert place_of(dedup.run())["state"] == "nothing_to_do"


def test_a_damaged_backup_on_the_volume_is_replaced(dedup: Copier) -> None:
    backup = add_whole(dedup)
    dedup.places[0]["policy"] |= {"keep_last": 30}
    assert dedup.run()["status"] == 0
    file = bytearray(backup.file)
    file[len(file) // 2] ^= 1
    (dedup.volume / backup.name).write_bytes(file)
    result = dedup.run("retrieve", "dedup", backup.name)
    assert (result["status"], result["replaced_damaged"]) == (0, True), result["log"]
    found = (dedup.volume / backup.name).read_bytes()
    assert gzip.decompress(found) == backup.text and hashlib.sha256(found).hexdigest() == result["sha256"]
    assert dedup.run("retrieve", "dedup", backup.name)["changed"] is False


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda dedup: (dedup.folder / "secrets/0/repository_password").write_text("x"), "does not open the restic"),
        weekly(
            lambda dedup: (dedup.folder / "secrets/0/repository_password").unlink(), "expected the key repository_passw"
        ),
        weekly(lambda dedup: (dedup.folder / "bin/restic").unlink(), "expected the command restic in the image"),
        (lambda dedup: (repository(dedup) / "config").unlink(), "expected a restic repository at the place dedup"),
    ],
)
def test_what_cannot_be_brought_back(dedup: Copier, harm: Callable[[Copier], object], reason: str) -> None:
    add_whole(dedup)
    dedup.places[0]["policy"] |= {"keep_last": 30}
    dedup.run()
    lose_volume(dedup)
    harm(dedup)
    before = sorted(dedup.volume.iterdir())
    result = dedup.run("retrieve", "dedup")
    assert reason in str(result["reason"])
    assert sorted(dedup.volume.iterdir()) == before


def forget(copier: Copier, name: str) -> None:
    path = f"/{name.removesuffix('.gz')}"
    (snapshot,) = (each["id"] for each in snapshots(copier) if each["paths"] == [path])
    run_restic(copier, "forget", snapshot)


def test_a_snapshot_that_somebody_forgot(dedup: Copier) -> None:
    name = add(dedup, b"-- text\n")
    dedup.run()
    forget(dedup, name)
    result = dedup.run()
    assert "no longer there, though not deleted by retention" in place_of(result)["findings"][0]
    assert place_of(result)["copied"] == dedup.copies("dedup") == [name]


@pytest.mark.weekly
def test_a_repository_that_somebody_deleted(dedup: Copier) -> None:
    name = add(dedup, b"-- text\n")
    dedup.run()
    repository(dedup).rename(dedup.folder / "elsewhere")
    result = dedup.run()
    assert "no longer there, though not deleted by retention" in place_of(result)["findings"][0]
    assert place_of(result)["copied"] == [name]


def test_damage_is_found(dedup: Copier) -> None:
    """A pack with changed bytes: the copy is read again, or restic's check reads it."""
    add(dedup, os.urandom(1 << 20))
    dedup.run()
    for pack in (repository(dedup) / "data").glob("*/*"):
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(content)
    (dedup.records / "dedup.json").unlink()
    result = dedup.run()
    assert result["status"] == 1
    assert "the restic repository is damaged" in result["reason"]
    assert dedup.copies("dedup") == []


def test_copies_that_cannot_be_read_cost_no_other_its_slot(dedup: Copier) -> None:
    """Nothing is deleted until the repository is repaired: the damaged ones would count as the newest copies."""
    keep(dedup, 2)
    good = add(dedup, os.urandom(1 << 20), 9)
    dedup.run()
    packs = set((repository(dedup) / "data").glob("*/*"))
    damaged = add(dedup, os.urandom(1 << 20), 8)
    dedup.run()
    for pack in set((repository(dedup) / "data").glob("*/*")) - packs:
        if pack.stat().st_size > 1 << 18:
            pack.chmod(0o600)
            pack.write_bytes(pack.read_bytes()[::-1])
    lose_volume(dedup)
    (dedup.records / "dedup.json").unlink()
    newest = add(dedup, b"-- new\n")
    result = dedup.run()
    assert "the restic repository is damaged" in result["reason"] and place_of(result)["deleted"] == []
    assert newest_list(dedup).keys() == {newest, good, damaged}


def test_a_backup_that_is_damaged_on_the_volume_makes_no_snapshot(dedup: Copier) -> None:
    """Neither a file that ends too early nor one with another content."""
    content = gzip.compress(os.urandom(1 << 20))
    names = [dedup.add_backup(days, content) for days in (1, 2, 3)]
    (dedup.volume / names[0]).write_bytes(content[: len(content) // 2])
    (dedup.volume / names[1]).write_bytes(gzip.compress(b"x" * 100, 1).ljust(len(content), b"\0"))
    result = dedup.run()
    assert result["status"] == 1
    for name in names[:2]:
        assert f"{name} on the volume is damaged" in result["reason"]
    assert dedup.copies("dedup") == names[2:]
    assert files_in(dedup) == sorted([f"/{names[2].removesuffix('.gz')}", f"/{NAME}.copies.json"])


@pytest.mark.parametrize("seconds", [1.5, *(weekly(number / 4) for number in range(2, 20))])
def test_a_copier_that_is_killed(dedup: Copier, seconds: float) -> None:
    """At any moment: what the list names is a copy, and the next attempt completes the others."""
    texts = {add(dedup, text, days): text for days in (0, 1, 2) for text in [os.urandom(6 << 20)]}
    process = dedup.start()
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # Its restic is in another session, and ends when its input does, without a snapshot.
    deadline = time.monotonic() + 60
    while restic_runs(dedup) and time.monotonic() < deadline:
        time.sleep(0.1)
    result = dedup.run()
    assert result["status"] == 0, result
    assert dedup.copies("dedup") == [*texts]
    for name, text in texts.items():
        assert run_restic(dedup, "dump", *latest_of(dedup, name)) == text
    assert remains(dedup) == []


def remains(copier: Copier) -> list[str]:
    """The files of snapshots that are neither a copy nor a list."""
    known = {*lists_of(copier)[-2:], *(copy["snapshot"] for copy in newest_list(copier).values())}
    return [each["paths"][0] for each in snapshots(copier) if each["id"] not in known]


def restic_runs(copier: Copier) -> bool:
    """Whether a restic has a file below the copier's folder in its environment."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_restic = (process / "comm").read_text() == "restic\n"
            if is_restic and os.fsencode(copier.folder) in (process / "environ").read_bytes():
                return True
    return False


def latest_of(copier: Copier, name: str) -> tuple[str, str]:
    """The snapshot of a copy as the list has it, and its path."""
    copy = newest_list(copier)[name]
    return copy["snapshot"], copy["path"]


def lists_of(copier: Copier) -> list[str]:
    """The snapshots of the lists, the newest one last."""
    lists = [each for each in snapshots(copier) if each["paths"] == [f"/{NAME}.copies.json"]]
    return [each["id"] for each in sorted(lists, key=lambda each: int(each["tags"][-1].removeprefix("list-")))]


def newest_list(copier: Copier) -> dict[str, Any]:
    copies: dict[str, Any] = json.loads(run_restic(copier, "dump", lists_of(copier)[-1], f"/{NAME}.copies.json"))[
        "copies"
    ]
    return copies


def s3_place(store: S3Store, folder: str, **options: str) -> dict[str, Any]:
    values = {"endpoint": store.url, "bucket": "backups", "folder": folder, "provider": store.provider, **options}
    return {"kind": "restic", "repository": "s3", "name": "offsite", "options": values}


def test_in_a_bucket(tmp_path: Path, code: Path, store: S3Store) -> None:
    keys = {"access_key_id": store.access_key, "secret_access_key": store.secret_key}
    copier = installed(tmp_path, code, s3_place(store, tmp_path.name), keys)
    name = add(copier, os.urandom(2 << 20))
    result = copier.run()
    assert result["status"] == 0, result["log"]
    assert copier.copies("offsite") == [name]
    assert f"{tmp_path.name}/config" in store.files("backups")
    lose_volume(copier)
    assert copier.run("retrieve", "offsite")["changed"] is True
    for secret in (*keys.values(), PASSWORD):
        assert secret not in result["log"] and secret not in (copier.records / "offsite.json").read_text()


@pytest.mark.parametrize(
    ("key", "options", "error"),
    [
        ("x", {}, "Check the keys of its Secret"),
        weekly(None, {"bucket": "other"}, "the store answered NoSuchBucket"),
        weekly(None, {"endpoint": "http://127.0.0.1:9"}, "the server refused the connection"),
    ],
)
def test_errors_of_its_store(
    tmp_path: Path, code: Path, store: S3Store, *, key: str | None, options: dict[str, str], error: str
) -> None:
    """They are those of a place without restic, as early."""
    keys = {"access_key_id": store.access_key, "secret_access_key": key or store.secret_key}
    copier = installed(tmp_path, code, s3_place(store, tmp_path.name, **options), keys)
    add(copier, b"text")
    assert error in copier.run()["reason"]


@pytest.mark.weekly
def test_on_an_sftp_server(tmp_path: Path, code: Path) -> None:
    with sftp_server() as server:
        options = {"host": server.host, "port": server.port, "user": server.user, "folder": "dedup"}
        place = {"kind": "restic", "repository": "sftp", "name": "nas", "options": options}
        copier = installed(
            tmp_path, code, place, {"private_key": server.private_key, "known_hosts": server.known_hosts}
        )
        name = add(copier, b"-- text\n")
        result = copier.run()
        assert (result["status"], copier.copies("nas")) == (0, [name]), result["log"]


LATER = "import datetime; program._now = lambda now=program._now: now() + datetime.timedelta(days=3)\n"


def keep(copier: Copier, number: int) -> None:
    for place in copier.places:
        place["policy"] |= {"keep_last": number, "keep_daily": 0}


def wrap_restic(copier: Copier, body: str) -> None:
    """A restic before which some shell commands run."""
    program = copier.folder / "bin" / "restic"
    program.unlink()
    program.write_text(f'#!/bin/bash\n{body}\nexec {restic()} "$@"\n')
    program.chmod(0o755)


def test_a_lost_list_loses_no_copy(dedup: Copier) -> None:
    """What is in no list may have been a copy that the volume does not have any more."""
    keep(dedup, 10)
    names = [add(dedup, b"-- old\n" * days, days) for days in (3, 4, 5)]
    dedup.run()
    lose_volume(dedup)
    new = add(dedup, b"-- new\n")
    run_restic(dedup, "forget", *lists_of(dedup))
    dedup.changes = LATER
    result = dedup.run()
    assert "no longer there, though not deleted by retention" in place_of(result)["findings"][0]
    assert dedup.copies("dedup") == [new]
    assert dedup.run()["status"] == 0
    assert set(files_in(dedup)) >= {f"/{name.removesuffix('.gz')}" for name in names}


@pytest.mark.weekly
def test_a_damaged_list_is_replaced_by_the_one_before(dedup: Copier) -> None:
    names = [add(dedup, b"-- text\n", days) for days in (2, 1)]
    dedup.run()
    text = b"not a list"
    tags = f"postgres-backup,list-{len(lists_of(dedup)) + 10}"
    options = ["--stdin", f"--stdin-filename={NAME}.copies.json", f"--host={NAME}", f"--tag={tags}"]
    run_restic(dedup, "backup", *options, text=text)
    result = dedup.run()
    assert (result["status"], place_of(result)["findings"], sorted(dedup.copies("dedup"))) == (0, [], sorted(names))


def test_damage_is_reported_until_it_is_repaired(dedup: Copier) -> None:
    """restic's check reads one part of the data at a time; the damaged part is read again until it is good."""
    dedup.changes = "from ansible_collections.homelab.postgres_backup.plugins.module_utils._copy import restic_place\n"
    dedup.changes += "restic_place.CHECK_PARTS = program.CHECK_PARTS = 1\n"
    keep(dedup, 10)
    add(dedup, os.urandom(1 << 20), 1)
    dedup.run()
    pack = max((repository(dedup) / "data").glob("*/*"), key=lambda path: path.stat().st_size)
    good = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
    add(dedup, b"-- new\n")
    for _time in range(2):
        assert "the restic repository is damaged" in dedup.run()["reason"]
        record = dedup.record("dedup")
        assert record["failing_since"] and "the restic repository is damaged" in record["findings"][0]
    pack.write_bytes(good)
    assert dedup.run()["status"] == 0
    assert dedup.record("dedup")["failing_since"] is None


@pytest.mark.weekly
def test_another_program_that_changes_the_list(tmp_path: Path, code: Path) -> None:
    """Two clusters of one name: neither loses the copies of the other one from the list."""
    first, second = (installed(tmp_path / name, code, deepcopy(CLAIM), {}) for name in ("first", "second"))
    second.mount().rmdir()
    second.mount().symlink_to(first.mount())
    for copier in (first, second):
        keep(copier, 10)
    old = add(first, b"-- first\n", 3)
    first.run()
    of_first, of_second = add(first, b"-- of the first\n", 1), add(second, b"-- of the second\n", 2)
    is_list = f'[[ " $* " == *{NAME}.copies.json*" --stdin-from-command "* ]]'
    wrap_restic(
        first, f'if {is_list} && mkdir "{tmp_path}/waits"; then until [ -e "{tmp_path}/go" ]; do sleep 0.1; done; fi'
    )
    process = first.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "waits").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert second.run()["status"] == 0
    (tmp_path / "go").touch()
    log = process.communicate(timeout=120)[0]
    assert process.returncode == 0, log
    assert sorted(newest_list(first)) == sorted([old, of_first, of_second])


@pytest.mark.weekly
def test_a_clock_that_is_behind(dedup: Copier) -> None:
    keep(dedup, 10)
    before = add(dedup, b"-- one\n", 1)
    dedup.run()
    wrap_restic(
        dedup,
        """if [[ " $* " == *" backup "* ]]; then
            arguments=()
            for word; do
                arguments+=("$word")
                [ "$word" != backup ] || arguments+=(--time "$(date -d '-10 minutes' '+%Y-%m-%d %H:%M:%S')")
            done
            set -- "${arguments[@]}"
        fi""",
    )
    new = add(dedup, b"-- two\n")
    result = dedup.run()
    assert (result["status"], dedup.copies("dedup")) == (0, [new, before]), result["log"]


# Before which restic an attempt ends, by its words.
STEPS = {
    "before the upload": '*" --stdin-filename=/"*".sql "*',
    "before it is read back": '*" dump "*".sql "*',
    "before it is in the list": f'*" --stdin-filename=/{NAME}.copies.json "*',
    "before the list is read back": f'*" dump "*"/{NAME}.copies.json "*',
}
KILL, FAIL = "kill -KILL $PPID; exit 1", "exit 1"


@pytest.mark.parametrize("end", [KILL, FAIL], ids=["killed", "failed"])
@pytest.mark.parametrize("step", weekly_but(STEPS, "before it is read back", "before it is in the list"))
def test_an_attempt_that_is_killed_or_fails(dedup: Copier, step: str, end: str) -> None:
    """What it has not proven is forgotten by the next one, also if that one fails."""
    dedup.changes = "steps.PAUSES_SECONDS = ()\n"
    name = add(dedup, os.urandom(1 << 20))
    wrap_restic(dedup, f'if [[ " $* " == {STEPS[step]} ]]; then {end}; fi')
    for _attempt in range(3):
        dedup.start().communicate(timeout=120)
    assert [each["paths"] for each in snapshots(dedup)].count([f"/{name.removesuffix('.gz')}"]) <= 1
    wrap_restic(dedup, "")
    result = dedup.run()
    assert (result["status"], dedup.copies("dedup"), remains(dedup)) == (0, [name], []), result["log"]


def test_an_interrupted_prune_is_repeated(dedup: Copier) -> None:
    keep(dedup, 2)
    for days in (1, 2):
        add(dedup, os.urandom(2 << 20), days)
    dedup.run()
    before = size_of(repository(dedup))
    keep(dedup, 1)
    is_prune = '[[ " $* " == *" prune "* ]]'
    wrap_restic(dedup, f'if {is_prune} && mkdir "{dedup.folder}/once"; then kill -KILL $PPID; exit 1; fi')
    process = dedup.start()
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert dedup.run()["status"] == 0
    assert size_of(repository(dedup)) < before - (1 << 20)


@pytest.mark.weekly
def test_the_original_is_on_the_volume_again(tmp_path: Path, code: Path) -> None:
    """After the places had the one that was made again: each file has its manifest, and no place reports another."""
    copier = installed(tmp_path, code, deepcopy(CLAIM), {})
    copier.mount(1).mkdir()
    copier.places.append({**deepcopy(DEFAULTS), "kind": "claim", "name": "plain", "options": {}})
    keep(copier, 10)
    backup = add_whole(copier)
    copier.run()
    original = {path: path.read_bytes() for path in copier.volume.glob(f"{NAME}-*")}
    lose_volume(copier)
    copier.run("retrieve", "dedup")
    assert copier.run()["status"] == 0
    lose_volume(copier)
    for path, content in original.items():
        path.write_bytes(content)
    result = copier.run()
    assert [place["findings"] for place in result["places"]] == [[], []]
    for place in ("plain", "dedup"):
        lose_volume(copier)
        assert copier.run("retrieve", place)["changed"] is True
        digest = hashlib.sha256((copier.volume / backup.name).read_bytes()).hexdigest()
        manifest = parse_manifest((copier.volume / f"{backup.name}.json").read_bytes(), backup.name)
        assert manifest.sha256 == digest
