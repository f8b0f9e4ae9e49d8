# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A run that encrypts to recipients: what age decrypts is the dump, and what fails is never published."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.module_utils._volume.manifest import parse_manifest
from tests.dump import truth
from tests.in_turn import ALL

from ..support.combinations import program, under_all, under_one
from ..support.encryption import Key, decrypt, encrypt, make_key, make_ssh_key, put_encrypted
from ..support.failed_runs import assert_failed, fill_volume
from ..support.sandbox import Outcome, Sandbox
from ..support.server import Server
from ..support.volume import give, put
from ..support.workspace import Workspace, kill_all

Keys = tuple[Key, Key]


@pytest.fixture(scope="module")
def keys() -> Keys:
    return make_key(), make_key()


@pytest.fixture(scope="module")
def ssh_key(workspace: Workspace) -> Key:
    return make_ssh_key(workspace, "ed25519")


def environment(*recipients: str) -> dict[str, str]:
    return {"POSTGRES_BACKUP_RECIPIENTS": "\n".join(recipients), "POSTGRES_BACKUP_AGE": str(program("age"))}


def run(sandbox: Sandbox, *recipients: str, **more: str) -> Outcome:
    return sandbox.run("run", env=environment(*recipients) | more)


def published(sandbox: Sandbox) -> Path:
    (path,) = sandbox.volume.glob("*.sql.gz.age")
    assert not list(sandbox.volume.glob("*.sql.gz"))
    return path


def text_of(path: Path, key: Key, workspace: Workspace) -> bytes:
    return gzip.decompress(decrypt(path.read_bytes(), key.identity, workspace.directory("identity", mode=0o700)))


def statements(text: bytes) -> list[bytes]:
    """The lines of a dump but empty ones, comments and what is another text in each dump."""
    return [
        line for line in text.split(b"\n") if line and not line.startswith((b"--", b"\\restrict ", b"\\unrestrict "))
    ]


@under_all
def test_each_identity_decrypts_the_dump(
    sandbox: Sandbox, server: Server, keys: Keys, ssh_key: Key, workspace: Workspace
) -> None:
    outcome = run(sandbox, keys[0].recipient, ssh_key.recipient, keys[1].recipient).check()
    path = published(sandbox)
    texts = {text_of(path, key, workspace) for key in (*keys, ssh_key)}
    (text,) = texts
    assert statements(text) == statements(truth.dump(server, "pg_dumpall"))
    listed = sandbox.run("list").check().backups[0]
    assert (listed["name"], listed["state"], listed["encrypted"]) == (path.name, "complete", True)
    manifest = json.loads((sandbox.volume / f"{path.name}.json").read_text())
    encryption = manifest["encryption"]
    assert encryption["recipients"] == [keys[0].recipient, ssh_key.recipient, keys[1].recipient]
    assert encryption["age_version"] == "1.1.1"
    assert encryption["decrypted"] is False
    assert manifest["warnings"] == outcome.result["warnings"] == []
    assert outcome.result["backup"] == path.name
    assert outcome.result["uncompressed_bytes"] == len(text)
    compressed = decrypt(path.read_bytes(), keys[1].identity, workspace.directory("identity", mode=0o700))
    parsed = parse_manifest(json.dumps(manifest), path.name)
    assert parsed.encryption is not None
    assert parsed.encryption.gzip_bytes == len(compressed)
    for part in parsed.parts:
        if part.span is None:
            continue
        begin, end = part.span.offset_bytes, part.span.offset_bytes + part.span.length_bytes
        text_begin = part.span.text_offset_bytes
        assert gzip.decompress(compressed[begin:end]) == text[text_begin : text_begin + part.span.text_length_bytes]
    assert "only an identity shows that it can be decrypted" in outcome.log


@under_one
def test_empty_lines_are_no_recipients(sandbox: Sandbox) -> None:
    """Also those of Windows: age was started without a recipient, and was called broken."""
    run(sandbox, "\r", " \t", "").check()
    assert [path.suffix for path in sandbox.volume.glob("*.sql.gz*") if path.suffix in {".gz", ".age"}] == [".gz"]


@pytest.mark.parametrize("kind", ["age", "ssh"])
def test_one_recipient_is_warned_of(sandbox: Sandbox, keys: Keys, ssh_key: Key, kind: str) -> None:
    one = keys[0].recipient if kind == "age" else ssh_key.recipient
    # The comment of a key of OpenSSH does not make another one.
    outcome = run(sandbox, one, "", one.replace("me@nas", "spare")).check()
    (warning,) = outcome.result["warnings"]
    assert warning.startswith("there is only one recipient")
    manifest = json.loads((sandbox.volume / f"{published(sandbox).name}.json").read_text())
    assert manifest["warnings"] == [warning]


def test_each_key_is_a_recipient_however_it_is_written(
    sandbox: Sandbox, keys: Keys, ssh_key: Key, workspace: Workspace
) -> None:
    """With two spaces, which age takes, or with another key as its comment."""
    other = make_ssh_key(workspace, "ed25519")
    kind, data, _comment = other.recipient.split(" ")
    outcome = run(sandbox, f"{ssh_key.recipient} {keys[0].recipient}", f"{kind}  {data}\tme", keys[0].recipient)
    assert outcome.check().result["warnings"] == []
    path = published(sandbox)
    assert len({text_of(path, key, workspace) for key in (ssh_key, other, keys[0])}) == 1
    manifest = json.loads((sandbox.volume / f"{path.name}.json").read_text())
    assert manifest["encryption"]["recipients"][1:] == [f"{kind} {data} me", keys[0].recipient]


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("age1qqqq", "recipient 2, age1qqqq: "),
        ("ssh-ed25519 AAAA me", "recipient 2, ssh-ed25519 AAAA me: "),
        ("AGE-SECRET-KEY-1SECRET", "recipient 2 does not begin with"),
        ("1SECRET", "recipient 2 does not begin with"),
        ("age1qqqq AGE-SECRET-KEY-1SECRET", "recipient 2 contains a private key"),
        ("ssh-ed25519 AAAA AGE-SECRET-KEY-1SECRET", "recipient 2 contains a private key"),
    ],
)
def test_a_recipient_that_is_none_fails_before_the_dump(
    sandbox: Sandbox, keys: Keys, recipient: str, expected: str
) -> None:
    before = fill_volume(sandbox)
    outcome = run(sandbox, keys[0].recipient, recipient)
    assert_failed(sandbox, outcome, before, expected)
    assert outcome.code == 2
    assert "1SECRET" not in outcome.log + outcome.out
    assert "dumping" not in outcome.log


def test_without_age_it_fails_before_the_dump(sandbox: Sandbox, keys: Keys) -> None:
    before = fill_volume(sandbox)
    outcome = run(sandbox, keys[0].recipient, POSTGRES_BACKUP_AGE="/nowhere/age")
    assert_failed(sandbox, outcome, before, "the program age is missing")


@pytest.mark.parametrize("text", ["#!/nowhere/loader\n", "not a program\n"], ids=["loader", "format"])
def test_an_age_that_cannot_be_run_is_not_a_fault_of_the_recipients(sandbox: Sandbox, keys: Keys, text: str) -> None:
    before = fill_volume(sandbox)
    age = put(sandbox.shims / "broken-age", text)
    age.chmod(0o755)
    outcome = run(sandbox, keys[0].recipient, POSTGRES_BACKUP_AGE=str(age))
    assert_failed(sandbox, outcome, before, "the program age cannot be run")
    assert outcome.code == 2


def check(sandbox: Sandbox, workspace: Workspace, *identities: str, **more: str) -> Outcome:
    """The kit's check of the backup that was made."""
    file = put(workspace.directory("identity", sandbox.uid) / "identity.txt", "".join(f"{one}\n" for one in identities))
    file.chmod(0o644)
    more = {"POSTGRES_BACKUP_IDENTITY_FILE": str(file), "POSTGRES_BACKUP_AGE": str(program("age"))} | more
    return sandbox.run("_kit", "check", str(published(sandbox)), env=more)


@under_all
def test_the_identity_of_somebody_else_is_compared_with_the_recipients(
    sandbox: Sandbox, keys: Keys, ssh_key: Key, workspace: Workspace
) -> None:
    rsa, other, stranger = make_ssh_key(workspace, "rsa"), make_ssh_key(workspace, "ed25519"), make_key()
    run(sandbox, keys[0].recipient, ssh_key.recipient, rsa.recipient).check()
    data = rsa.recipient.split(" ")[1]
    bare = ssh_key.recipient.rpartition(" ")[0]
    recipients = f"{keys[0].recipient}, {bare}, ssh-rsa {data[:24]}...{data[-24:]}"
    expected = f"expected the identity of one of its recipients, {recipients}, found "
    given = {
        f"that of {stranger.recipient}, {keys[1].recipient}. age: error": (stranger.identity, keys[1].identity),
        f"that of {other.recipient.rpartition(' ')[0]}. age: error": (other.identity,),
    }
    for found, identities in given.items():
        outcome = check(sandbox, workspace, *identities)
        assert (outcome.code, expected + found in outcome.log) == (2, True), outcome.log
        assert "status" not in outcome.log
    (sandbox.volume / f"{published(sandbox).name}.json").unlink()
    log = check(sandbox, workspace, stranger.identity).log
    assert f"expected the identity of one of its recipients, found that of {stranger.recipient}. age: error" in log


@under_one
@pytest.mark.parametrize("form", ["\ufeff# mine\n{}", "{}\n1SECRET", "{}Q", "# {}"])
def test_an_identity_that_age_refuses_is_not_called_that_of_others(
    sandbox: Sandbox, keys: Keys, workspace: Workspace, form: str
) -> None:
    """It may be the right one, and the backup is not damaged."""
    run(sandbox, keys[0].recipient, keys[1].recipient).check()
    (sandbox.volume / f"{published(sandbox).name}.json").unlink()
    outcome = check(sandbox, workspace, form.format(keys[0].identity))
    assert outcome.code == 2
    assert 'age: error: reading "' in outcome.log
    assert "what to do: Correct the file of the identity: " in outcome.log
    assert "one of its recipients" not in outcome.log
    assert "damaged" not in outcome.log
    assert "SECRET" not in outcome.log.replace("AGE-SECRET-KEY-1,", "") + outcome.out


@under_one
def test_of_many_recipients_some_are_shown(sandbox: Sandbox, workspace: Workspace) -> None:
    many = [make_key().recipient for _ in range(7)]
    run(sandbox, *many).check()
    log = check(sandbox, workspace, make_key().identity).log
    assert f"one of its recipients, {', '.join(many[:5])} and 2 more, found that of" in log


@under_one
@pytest.mark.parametrize("manifest", [True, False], ids=["manifest", ""])
def test_a_damaged_file_is_not_called_that_of_others(
    sandbox: Sandbox, keys: Keys, workspace: Workspace, manifest: bool
) -> None:
    run(sandbox, keys[0].recipient, keys[1].recipient).check()
    path = published(sandbox)
    if not manifest:
        (sandbox.volume / f"{path.name}.json").unlink()
    content = path.read_bytes()
    header = content.index(b"\n", content.index(b"\n--- ") + 1) + 1
    for damaged in (
        content[:100],
        content[:header],
        content[: header + 16],
        content[:header] + b"?" + content[header:],
    ):
        path.write_bytes(damaged)
        outcome = check(sandbox, workspace, make_key().identity, keys[1].identity)
        assert "the backup cannot be decrypted" in outcome.log
        assert "age: error: " in outcome.log
        assert "expected the identity" not in outcome.log


@under_all
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is not gzip data (an empty file)"),
        (b"-- SQL\n" * 40000, "it is not gzip data (plain SQL: compress it with gzip)"),
        (b"\n\nSQL", "it is not gzip data (plain text)"),
        (b"xz", "it is not gzip data (plain text)"),
        (bytes(100), "it is not gzip data (zeros"),
    ],
    ids=["empty", "text", "line break", "x", "zeros"],
)
def test_what_is_decrypted_and_is_no_backup_is_damaged(
    offline: Sandbox, keys: Keys, workspace: Workspace, content: bytes, expected: str
) -> None:
    """The identity is the right one: no other would help."""
    path = put(offline.volume / "postgres-backup-2026-11-22-020000.sql.gz.age", encrypt(content, keys[0].recipient))
    path.chmod(0o644)
    outcome = check(offline, workspace, keys[0].identity).check(2)
    assert "FAILED: the backup is damaged" in outcome.log
    assert f"{path.name}: decrypted, {expected}" in outcome.log


@under_all
@pytest.mark.parametrize(
    ("end", "expected"), [("kill -KILL $$", "(Killed|status 137)"), ("exit 3", "age ended with status 3")]
)
def test_age_that_ends_without_a_message(
    offline: Sandbox, keys: Keys, workspace: Workspace, end: str, expected: str
) -> None:
    """Such as by a memory limit: that does not prove that the file is damaged."""
    put_encrypted(offline.volume, "postgres-backup-2026-11-22-020000.sql.gz", keys[0])
    give(offline.volume, offline.uid)
    age = put(offline.shims / "other-age", f"#!/bin/sh\n{end}\n")
    age.chmod(0o755)
    outcome = check(offline, workspace, keys[0].identity, POSTGRES_BACKUP_AGE=str(age)).check(2)
    assert "FAILED: the backup cannot be decrypted" in outcome.log
    assert re.search(expected, outcome.log)


def age_that(sandbox: Sandbox, body: str) -> dict[str, str]:
    """An age that does something else when it encrypts the dump; it tries each recipient with another option."""
    path = sandbox.workspace.directory("ages", mode=0o755) / "age"
    path.write_text(f'#!/bin/sh\ncase $1 in --recipients-file) ;; *) exec {program("age")} "$@" ;; esac\n{body}\n')
    path.chmod(0o755)
    return {"POSTGRES_BACKUP_AGE": str(path)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("exit 3", "the encryption failed"),
        ("echo no more memory >&2; exit 1", "no more memory"),
        ("cat", "the file does not begin with the header of age"),
        (f'{program("age")} "$@" | head -c 3000', "the file has 3000 bytes"),
        (f'head -c 3000 | {program("age")} "$@"; cat >/dev/null', "the file has"),
        (f'head -n 1 "$2" >"$2.1"; {program("age")} -R "$2.1"', "its header has 1 recipient stanzas, expected 2"),
        ("head -c 70000 >/dev/null; kill -KILL $$", "the encryption failed"),
    ],
    ids=["fails", "message", "plain", "cut", "input_cut", "recipient", "killed"],
)
def test_age_that_fails_or_lies(sandbox: Sandbox, keys: Keys, body: str, expected: str) -> None:
    before = fill_volume(sandbox)
    outcome = run(sandbox, keys[0].recipient, keys[1].recipient, **age_that(sandbox, body))
    assert_failed(sandbox, outcome, before, expected)


def test_a_database_that_fails_during_its_dump(
    sandbox: Sandbox, server: Server, keys: Keys, workspace: Workspace
) -> None:
    """The stream begins again without it: nothing of its text is in the file."""
    names = server.sql("SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname").split("\n")
    sick = "app"
    sandbox.shim(
        "pg_dump",
        f'case $* in *"=\'{sick}\'"*) "$real" "$@" | head -c 2000; echo "pg_dump: error: broken" >&2; exit 1 ;; esac\n'
        'exec "$real" "$@"',
    )
    outcome = run(sandbox, keys[0].recipient, keys[1].recipient).check(2)
    assert outcome.result["backup_state"] == "incomplete"
    assert sick in [failed["database"] for failed in outcome.result["failed_databases"]]
    text = text_of(published(sandbox), keys[0], workspace)
    for name in names:
        is_in = f'-- Database "{name}" dump'.encode() in text or name == "postgres"
        assert is_in == (name not in [failed["database"] for failed in outcome.result["failed_databases"]])
    assert sick.encode() in text[-400:]
    assert text.endswith(b"-- PostgreSQL database cluster dump complete\n--\n\n")


@under_one
@pytest.mark.parametrize(("perl", "expected"), [('exec "$real" "$@"', 1 << 20), ("exit 127", 1 << 16)])
def test_the_pipes_are_large_where_perl_is(sandbox: Sandbox, keys: Keys, perl: str, expected: int) -> None:
    sandbox.shim("perl", perl)
    sizes = sandbox.workspace.directory("sizes", mode=0o777) / "bytes"
    # F_GETPIPE_SZ, of what age reads and of where it writes to.
    get = 'open F, ">", shift; printf F "%d %d", map { fcntl($_, 1032, 0) } STDIN, STDOUT'
    age = f"""{program("perl")} -e '{get}' {sizes}; exec {program("age")} "$@\""""
    run(sandbox, keys[0].recipient, keys[1].recipient, **age_that(sandbox, age)).check()
    assert sizes.read_text() == f"{expected} {expected}"


MARKER = b"a row that no disk may have"


@pytest.fixture(scope="module")
def marked(workspace: Workspace, template: Server) -> Iterator[Server]:
    """A server whose dump has the marker in its rows, also at its end."""
    with template.clone(workspace.directory("marked", mode=0o777)) as server:
        for name in ("app", "zoo"):
            server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
            rows = "CREATE TABLE rows AS SELECT '{}' AS t, md5(i::text) FROM generate_series(1, 60000) AS i;"
            server.sql(rows.format(MARKER.decode()), name)
        yield server


def texts_in(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file, as it is and as far as gzip data in it can be decompressed."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield path, content
        for match in re.finditer(rb"\x1f\x8b\x08", content):
            with contextlib.suppress(zlib.error):
                yield path, zlib.decompressobj(31).decompress(content[match.start() :])


def assert_no_row(sandbox: Sandbox) -> None:
    for folder in (sandbox.volume, sandbox.tmp):
        assert not [path for path, text in texts_in(folder) if MARKER in text]


@under_one
def test_killed_anywhere_no_row_is_on_a_disk(sandbox: Sandbox, marked: Server, keys: Keys) -> None:
    """Neither on the volume nor in the temporary folder, at any of these points of a run, which takes some seconds."""
    sandbox.server = marked
    points = 50 if ALL else 5
    for point in range(points):
        process = sandbox.start("run", env=environment(keys[0].recipient, keys[1].recipient))
        time.sleep(0.5 + 2.5 * point / points)
        kill_all(sandbox.uid)
        process.communicate()
        assert_no_row(sandbox)
        for left in sandbox.tmp.iterdir():
            shutil.rmtree(left)


def test_a_run_that_succeeds_leaves_no_row(sandbox: Sandbox, marked: Server, keys: Keys, workspace: Workspace) -> None:
    sandbox.server = marked
    run(sandbox, keys[0].recipient, keys[1].recipient).check()
    assert text_of(published(sandbox), keys[0], workspace).count(MARKER) == 120000
    assert_no_row(sandbox)
    seen: list[bytes] = []
    # What a run has in its temporary folder shortly before it ends.
    sandbox.shim("ln", f'cp -r "$TMPDIR" {sandbox.volume}/kept; exec "$real" "$@"')
    run(sandbox, keys[0].recipient, keys[1].recipient).check()
    seen += [text for _, text in texts_in(sandbox.volume / "kept")]
    assert len(seen) > 30
    assert not [text for text in seen if MARKER in text]


def test_the_search_finds_a_row_in_a_plain_backup(sandbox: Sandbox, marked: Server) -> None:
    sandbox.server = marked
    sandbox.run("run").check()
    with pytest.raises(AssertionError):
        assert_no_row(sandbox)
