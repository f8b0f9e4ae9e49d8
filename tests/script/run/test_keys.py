# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Which identity has opened a backup, and when: what runs and drills write, and what `list` shows of it."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
from typing import Any

import pytest

from ..support.combinations import program, under_all, under_one
from ..support.encryption import Key, make_key, make_ssh_key, put_encrypted
from ..support.programs import Programs
from ..support.rehearsal import NAME, Rehearsal
from ..support.sandbox import Sandbox
from ..support.volume import give, put
from ..support.workspace import Workspace

FILE = "postgres-backup.keys.jsonl"
BACKUP = "postgres-backup-2026-11-22-020000.sql.gz.age"
DAYS = 86400


def listed(sandbox: Sandbox) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in sandbox.run("list").check().out.splitlines()]
    return [line["record"] for line in lines if line["type"] == "key"]


def environment(*recipients: str, **more: str) -> dict[str, str]:
    return {
        "POSTGRES_BACKUP_RECIPIENTS": "\n".join(recipients),
        "POSTGRES_BACKUP_AGE": str(program("age")),
        **more,
    }


@under_all
def test_a_run_adds_its_recipients_once(sandbox: Sandbox, workspace: Workspace) -> None:
    old, new, ssh = make_key(), make_key(), make_ssh_key(workspace, "ed25519")
    bare = ssh.recipient.rpartition(" ")[0]
    assert listed(sandbox) == []
    sandbox.run("run", env=environment(old.recipient, ssh.recipient)).check()
    first = listed(sandbox)
    assert [(key["recipient"], key["is_current"], key["limit_seconds"]) for key in first] == [
        (old.recipient, True, 90 * DAYS), (bare, True, 90 * DAYS)
    ]  # fmt: skip
    assert {(key["opened"], key["backup"], key["by"]) for key in first} == {(None, None, None)}
    more = {"POSTGRES_BACKUP_KEY_REHEARSAL": "30d"}
    sandbox.run("run", env=environment(new.recipient, f"{bare} of another", **more)).check()
    second = {key["recipient"]: key for key in listed(sandbox)}
    assert {name: key["is_current"] for name, key in second.items()} == {
        old.recipient: False, bare: True, new.recipient: True
    }  # fmt: skip
    assert second[bare]["since"] == first[1]["since"]
    assert {key["limit_seconds"] for key in second.values()} == {30 * DAYS}
    sandbox.run("run").check()
    third = listed(sandbox)
    assert len(third) == len(second)
    assert not any(key["is_current"] for key in third)


@under_all
def test_a_beginning_in_the_future_is_corrected(sandbox: Sandbox) -> None:
    """The clock of the first run was wrong: until then, nobody would be asked to try the identity."""
    key = make_key()
    sandbox.run("run", env=environment(key.recipient)).check()
    (record,) = listed(sandbox)
    file = sandbox.volume / FILE
    file.write_text(file.read_text().replace(record["since"], "2036-01-01T02:00:00Z"))
    sandbox.run("run", env=environment(key.recipient)).check()
    (corrected,) = listed(sandbox)
    assert record["since"] <= corrected["since"] < "2036"
    assert {**corrected, "since": ""} == {**record, "since": ""}


@under_one
def test_a_run_without_recipients_writes_nothing(sandbox: Sandbox) -> None:
    sandbox.run("run").check()
    assert not (sandbox.volume / FILE).exists()


@under_one
def test_a_record_that_cannot_be_read_is_kept(sandbox: Sandbox) -> None:
    """It would begin again: no identity would be asked for until the limit has passed once more."""
    old, new = make_key().recipient, make_key().recipient
    keys(sandbox, json.dumps([old]), BACKUP, "drill")
    before = (sandbox.volume / FILE).read_bytes()
    message = f"head: {FILE}: Input/output error"
    sandbox.shim("head", f'case "$*" in *{FILE}) echo "{message}" >&2; exit 1 ;; esac\nexec "$real" "$@"')
    outcome = sandbox.run("run", env=environment(new)).check()
    assert f"{FILE} could not be written: it cannot be read: {message}" in outcome.result["warnings"]
    keys(sandbox, json.dumps([new]), BACKUP, "drill", code=1)
    assert (sandbox.volume / FILE).read_bytes() == before
    assert f"{FILE}: it cannot be read: {message}" in sandbox.run("list").check().log
    sandbox.assert_nothing_left()


@under_all
def test_what_is_no_record_is_left_out(offline: Sandbox) -> None:
    key = make_key().recipient
    record = {
        **{"recipient": key, "since": "2026-08-01T02:00:00Z", "opened": None, "backup": None, "by": None},
        **{"is_current": True, "limit_seconds": 7776000},
    }
    good = json.dumps(record, separators=(",", ":"))
    bad = [
        good.replace(key, 'age1","x":"'),
        good.replace(key, "age1$(touch PWNED)"),
        good.replace('"by":null', '"by":"x y"'),
        good.replace("2026-08-01T02:00:00Z", "TTT"),
        good[:-1],
        f"{good}{good}",
        "\x00\xff{",
        "[]",
        "",
    ]
    put(offline.volume / FILE, "\n".join([*bad, good, *bad]).encode("latin-1"))
    give(offline.volume, offline.uid)
    assert listed(offline) == [record]
    (offline.volume / FILE).unlink()
    (offline.volume / FILE).symlink_to("/etc/passwd")
    assert listed(offline) == []


# As a later version may write them: with other members, another order, UTF-8, and what shells and awk would interpret.
LATER = [
    b'{"format":2}',
    b'{"recipient":"age1pq1qqqqqqqqqqqqqqqqqqqq","since":"2026-08-01T02:00:00Z","opened":null}',
    '{"since":1785549600,"owner":"Zoë  ","note":"%s \\n \\\\ \\u0000 $(touch PWNED) & \'  x"}'.encode(),
    b'  {"recipient":"age1x" }\t\r',
    b'{"torn":"\x01\x81\x82\x88\xc3\xff',
    b"-n",
]


@under_all
def test_lines_of_a_later_format_are_kept(sandbox: Sandbox) -> None:
    """An earlier version that runs for a time, such as after a rollback, keeps what it does not understand."""
    old, new = make_key().recipient, make_key().recipient
    keys(sandbox, json.dumps([old]), BACKUP, "drill")
    file = sandbox.volume / FILE
    known = file.read_bytes().strip(b"\n")
    # The last line has no line break; the blank one is nobody's.
    put(file, b"\n".join([*LATER[:3], known, b"", *LATER[3:]]))
    give(sandbox.volume, sandbox.uid)
    keys(sandbox, json.dumps([new]), BACKUP, "drill")
    assert file.read_bytes().split(b"\n")[: len(LATER) + 1] == [*LATER, known]
    sandbox.run("run", env=environment(new)).check()
    *later, first, second, end = file.read_bytes().split(b"\n")
    assert (later, end) == (LATER, b"")
    found = {key["recipient"]: key["is_current"] for key in map(json.loads, (first, second))}
    assert found == {key["recipient"]: key["is_current"] for key in listed(sandbox)} == {old: False, new: True}


@under_one
def test_a_record_that_is_too_large_is_kept(offline: Sandbox) -> None:
    """Only its beginning is read: the rest would be lost."""
    keys(offline, json.dumps([make_key().recipient]), BACKUP, "drill")
    file = offline.volume / FILE
    put(file, file.read_bytes() + b'{"x":1}\n' * (1 << 17))
    give(offline.volume, offline.uid)
    before = file.read_bytes()
    outcome = offline.run("_keys", json.dumps([make_key().recipient]), BACKUP, "drill").check(1)
    assert f"expected at most 1048576 bytes, found {len(before)}" in outcome.log
    assert file.read_bytes() == before
    assert len(listed(offline)) == 1


def keys(sandbox: Sandbox, *words: str, code: int = 0) -> None:
    sandbox.run("_keys", *words).check(code)


@under_all
def test_an_opening_is_noted_by_a_module(offline: Sandbox) -> None:
    one, other = make_key().recipient, make_key().recipient
    backup = BACKUP
    # An encrypted one may have the name of a plain one: its beginning counts.
    keys(offline, json.dumps([one]), backup.removesuffix(".age"), "restore")
    keys(offline, json.dumps([other]), backup, "drill")
    newer = backup.replace("22", "23")
    keys(offline, json.dumps([one]), newer, "drill")
    found = {key["recipient"]: (key["backup"], key["by"], key["opened"] is not None) for key in listed(offline)}
    assert found == {one: (newer, "drill", True), other: (backup, "drill", True)}
    # No run has encrypted to them.
    assert not any(key["is_current"] for key in listed(offline))
    before = (offline.volume / FILE).read_bytes()
    for name in ("../x.sql.gz.age", "", "None", "other-2026-11-22-020000.sql.gz.age", f"{backup}.json"):
        keys(offline, json.dumps([one]), name, "drill", code=2)
    keys(offline, json.dumps([one]), backup, "x", code=2)
    keys(offline, json.dumps(["$(touch PWNED)"]), backup, "drill")
    assert (offline.volume / FILE).read_bytes() == before


def start_writer(sandbox: Sandbox, recipient: str) -> subprocess.Popen[str]:
    """A module that notes an opening."""
    words = (json.dumps([recipient]), "postgres-backup-2026-11-22-020000.sql.gz.age", "drill")
    return sandbox.start("_keys", *words, env={"POSTGRES_BACKUP_POD": f"pod-{recipient[-8:]}"})


@under_all
def test_writers_at_the_same_time_lose_nothing(offline: Sandbox) -> None:
    recipients = [make_key().recipient for _ in range(6)]
    for writer in [start_writer(offline, recipient) for recipient in recipients]:
        offline.finish(writer).check()
    offline.assert_nothing_left()
    assert {key["recipient"] for key in listed(offline)} == {*recipients}
    assert [path.name for path in offline.volume.iterdir() if FILE in path.name] == [FILE]


@under_one
def test_a_run_and_a_drill_at_the_same_time_lose_nothing(sandbox: Sandbox, workspace: Workspace) -> None:
    """The run is about to replace the record, which it has read, when the identity of a drill is noted."""
    new, opened = make_key().recipient, make_key().recipient
    reached = workspace.directory("reached", sandbox.uid) / "reached"
    sandbox.shim("mv", f'case "$*" in *{FILE}) : >"{reached}"; sleep 1 ;; esac\nexec "$real" "$@"')
    run = sandbox.start("run", env=environment(new))
    sandbox.wait_until(reached.exists, "the record is about to be replaced", run)
    for process in (start_writer(sandbox, opened), run):
        sandbox.finish(process).check()
    sandbox.assert_nothing_left()
    assert {key["recipient"]: key["is_current"] for key in listed(sandbox)} == {new: True, opened: False}


@pytest.fixture
def rehearsal(offline: Sandbox, postgresql: Programs) -> Rehearsal:
    return Rehearsal.of(offline, postgresql)


@under_all
@pytest.mark.parametrize("kind", ["age", "ed25519", "rsa", "rsa PEM", "rsa PKCS8"])
def test_a_drill_names_the_identity_that_opened(rehearsal: Rehearsal, workspace: Workspace, kind: str) -> None:
    """Of three identities in the file, one is that of a recipient. The drill fails later: the text is not a dump."""
    key = make_key() if kind == "age" else make_ssh_key(workspace, *kind.split())
    stranger = make_key()
    put_encrypted(rehearsal.volume, NAME, key)
    give(rehearsal.volume, rehearsal.uid)
    identity = workspace.directory("identity", rehearsal.uid) / "identity.txt"
    put(identity, f"{stranger.identity}\n{make_key().identity}\n{key.identity}\n" if kind == "age" else key.identity)
    identity.chmod(0o644)
    more = {"POSTGRES_BACKUP_IDENTITY_FILE": str(identity), "POSTGRES_BACKUP_AGE": str(program("age"))}
    outcome = rehearsal.run("drill", env=more)
    words = key.recipient.split(" ")
    assert outcome.result["opened_by"] == [" ".join(words[:2])]
    assert not outcome.result["warnings"]


def test_an_identity_whose_recipient_is_not_known_is_named(rehearsal: Rehearsal, workspace: Workspace) -> None:
    """PKCS #8 of Ed25519 has no public key, and age decrypts with it."""
    folder = workspace.directory("identity", rehearsal.uid)
    identity = folder / "identity.pem"
    subprocess.run([program("openssl"), "genpkey", "-algorithm", "ed25519", "-out", identity], check=True)
    words = ["pkey", "-in", str(identity), "-pubout", "-outform", "DER"]
    public = subprocess.run([program("openssl"), *words], check=True, capture_output=True).stdout[-32:]
    wire = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", public))
    put_encrypted(rehearsal.volume, NAME, Key(identity.read_text(), f"ssh-ed25519 {base64.b64encode(wire).decode()}"))
    give(rehearsal.volume, rehearsal.uid)
    identity.chmod(0o644)
    more = {"POSTGRES_BACKUP_IDENTITY_FILE": str(identity), "POSTGRES_BACKUP_AGE": str(program("age"))}
    outcome = rehearsal.run("drill", env=more)
    assert "opened_by" not in outcome.result
    (warning,) = outcome.result["warnings"]
    assert "it is not known which identity has opened the backup" in warning


@pytest.mark.parametrize(("state", "is_noted"), [("succeeded", True), ("failed", False)])
def test_a_scheduled_drill_is_noted_if_it_has_succeeded(offline: Sandbox, state: str, is_noted: bool) -> None:
    recipient, backup = make_key().recipient, "postgres-backup-2026-11-22-020000.sql.gz.age"
    result = (
        f'{{"state":"{state}","operation":"drill","started":"2026-11-22T04:00:00Z","reason":null,"backup":"{backup}",'
        f'"bytes":1,"seconds":{{}},"can_heal":false,"opened_by":["{recipient}"]}}'
    )
    file = put(offline.workspace.directory("result", offline.uid) / "result.json", result)
    file.chmod(0o644)
    offline.run("_drill_record", env={"POSTGRES_BACKUP_DRILL_RESULT": str(file)}).check(0 if is_noted else 2)
    assert [(key["recipient"], key["by"]) for key in listed(offline)] == [(recipient, "drill")] * is_noted
