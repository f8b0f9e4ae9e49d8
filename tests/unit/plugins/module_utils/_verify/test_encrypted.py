# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Encrypted files: each place where one is cut off or changed is a failure of the right kind."""

from __future__ import annotations

import builtins
import gzip
import hashlib
import io
import json
import random
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest

from plugins.module_utils._dump.decryption import DecryptedStream, parse_identities
from plugins.module_utils._progress.reporter import Reporter
from plugins.module_utils._verify.expectations import Expectations
from plugins.module_utils._verify.identity_file import identity_keys
from plugins.module_utils._verify.verification import Verification, read_backup, read_identities, verify
from plugins.module_utils.errors import IdentityError, UnreadableError
from tests.in_turn import ALL

from .key_pairs import Pair

DUMPS = Path(__file__).parents[1] / "dumps"
TEXT = (DUMPS / "18-all.sql").read_bytes()
# More than two chunks of age.
DATA = gzip.compress(TEXT, mtime=0) + gzip.compress(b"", mtime=0) + b"\0" * 150_000
NAME = "postgres-backup-2026-11-22-020000.sql.gz.age"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY, OTHER, STRANGER = (pyrage.x25519.Identity.generate() for _ in range(3))
FILE: bytes = pyrage.encrypt(DATA, [KEY.to_public(), OTHER.to_public()])
HEADER_BYTES = FILE.index(b"\n", FILE.index(b"\n--- ") + 1) + 1
KINDS = {"cut_off", "changed", "cut_off_or_changed", "identity"}


def checks_of(content: bytes, key: Any = KEY, expected_bytes: int | None = None) -> list[str]:
    sha256, _, failures = read_backup(io.BytesIO(content), (key,), expected_bytes)
    assert sha256 == hashlib.sha256(content).hexdigest()
    return [failure.check for failure in failures]


def put(folder: Path, content: bytes = FILE) -> Path:
    path = folder / NAME
    path.write_bytes(content)
    return path


def found(path: Path, *keys: Any) -> Verification:
    identities = tuple(keys)
    return verify(str(path), Expectations(kind="cluster"), NOW, None, "auto", identities=identities)


@pytest.mark.parametrize("key", [KEY, OTHER], ids=["first", "second"])
def test_one_of_two_identities_is_enough(tmp_path: Path, key: Any) -> None:
    path = put(tmp_path)
    (tmp_path / f"{NAME}.sha256").write_text(f"{hashlib.sha256(FILE).hexdigest()}  {NAME}\n")
    verification = found(path, STRANGER, key)
    assert verification.failures == ()
    assert verification.expected_sha256_from == "sidecar"
    assert verification.contents.uncompressed_bytes == len(TEXT)
    assert verification.contents.rows > 0


def test_a_file_that_age_wrote_as_text(tmp_path: Path) -> None:
    """Of a script that calls age with --armor. The pods decrypt it, too."""
    words = ["age", "--armor", "-r", str(KEY.to_public())]
    text = subprocess.run(words, input=DATA, capture_output=True, check=True).stdout
    assert found(put(tmp_path, text), KEY).failures == ()
    (failure,) = found(put(tmp_path, text)).failures
    assert failure.check == "identity"
    middle = len(text) // 2
    other = b"A" if text[middle : middle + 1] != b"A" else b"B"
    for damaged in (text[:middle], text[:middle] + other + text[middle + 1 :], text + b"more\n"):
        (failure,) = found(put(tmp_path, damaged), KEY).failures
        assert failure.check == "cut_off_or_changed"
        # It may be intact.
        assert "header" not in failure.message


def test_without_an_identity_only_the_hash_is_compared(tmp_path: Path) -> None:
    path = put(tmp_path)
    (failure,) = found(path).failures
    assert failure.check == "identity"
    (tmp_path / f"{NAME}.sha256").write_text(f"{'0' * 64}  {NAME}\n")
    assert [failure.check for failure in found(path).failures] == ["sha256", "identity"]


def test_the_identity_of_somebody_else() -> None:
    assert checks_of(FILE, STRANGER) == ["identity"]


def with_manifest(folder: Path, *recipients: str, content: bytes = FILE) -> Path:
    path = put(folder, content)
    manifest = {
        **{"format": 1, "backup": NAME, "state": "complete", "dumped": [], "missing": [], "left_out": False},
        **{"sha256": "0" * 64, "bytes": len(content), "uncompressed_bytes": len(TEXT), "parts": []},
        "encryption": {"recipients": recipients, "gzip_bytes": len(DATA)},
    }
    (folder / f"{NAME}.json").write_text(json.dumps(manifest))
    return path


def test_the_message_has_whose_identity_is_expected_and_whose_was_given(tmp_path: Path) -> None:
    rsa = f"ssh-rsa {'A' * 400} me@nas"
    path = with_manifest(tmp_path, *[str(key.to_public()) for key in (KEY, OTHER)], rsa)
    (failure,) = found(path, STRANGER).failures
    assert failure.message.startswith(
        f"none of the identities decrypts the file: it was encrypted to other recipients than {STRANGER.to_public()}, "
    )
    assert failure.message.endswith(
        f"that its manifest names: {KEY.to_public()}, {OTHER.to_public()}, ssh-rsa {'A' * 24}…{'A' * 24}"
    )
    assert "SECRET" not in failure.message
    (failure,) = found(path).failures
    assert f"of the playbook): {KEY.to_public()}, {OTHER.to_public()}, ssh-rsa" in failure.message
    (failure,) = found(with_manifest(tmp_path, *[f"age1{number}" for number in range(8)]), STRANGER).failures
    assert failure.message.endswith(": age10, age11, age12, age13, age14 and 3 more")


def checked(path: Path, text: str) -> list[str]:
    """The failed checks, as the module finds them with that identity."""
    given: dict[str, Any] = {"identities": read_identities(text, None), "public_keys": identity_keys(text, None)}
    verification = verify(str(path), Expectations(kind="cluster"), NOW, None, "auto", **given)
    assert verification.sha256 is not None
    return [failure.check for failure in verification.failures]


def test_a_wrong_identity_is_found_before_the_file_is_read(tmp_path: Path, pairs: dict[str, Pair]) -> None:
    """By the public keys that the manifest names, and by the header, with keys of age and of SSH."""
    ssh = pairs["ed25519"]
    assert ssh.encrypted is not None
    for content, recipient, wrong in (
        (FILE, str(KEY.to_public()), str(STRANGER)),
        (FILE, str(KEY.to_public()), ssh.identity),
        (ssh.encrypted, ssh.recipient, str(STRANGER)),
        (ssh.encrypted, ssh.recipient, pairs["rsa"].identity),
    ):
        path = with_manifest(tmp_path, recipient, content=content)
        lines: list[str] = []
        reporter = Reporter(lines.append, time.monotonic)
        given: dict[str, Any] = {"identities": read_identities(wrong, None), "public_keys": identity_keys(wrong, None)}
        with pytest.raises(IdentityError, match=f"^identity: expected .* of {NAME}, which are .*, found that of .*"):
            verify(str(path), Expectations(), NOW, None, "auto", **given, reporter=reporter)
        assert lines == []
    assert checked(with_manifest(tmp_path, ssh.recipient, content=ssh.encrypted), ssh.identity) == ["gzip"]


def test_the_header_decides_where_the_manifest_is_that_of_another_file(tmp_path: Path) -> None:
    """Somebody has encrypted the backup again, and left its manifest. The file may be larger than its beginning."""
    path = with_manifest(tmp_path, str(STRANGER.to_public()))
    assert checked(path, str(KEY)) == []
    assert not [thread for thread in threading.enumerate() if "_decrypt" in thread.name]
    # Without a manifest, nothing names the recipients: the complete file is read, as its hash may show more.
    (tmp_path / f"{NAME}.json").unlink()
    assert checked(path, str(STRANGER)) == ["identity"]


def test_a_damaged_header_is_no_wrong_identity(tmp_path: Path) -> None:
    """That of a recipient does not decrypt it: the hash shows why."""
    header = bytearray(FILE)
    header[HEADER_BYTES - 100] ^= 1
    path = with_manifest(tmp_path, str(KEY.to_public()), content=bytes(header))
    (tmp_path / f"{NAME}.sha256").write_text(f"{hashlib.sha256(FILE).hexdigest()}  {NAME}\n")
    assert checked(path, str(KEY))[0] == "sha256"
    # Without a complete header, that of an identity of others is not certain either.
    (tmp_path / NAME).write_bytes(FILE[:100])
    assert checked(path, str(STRANGER)) == ["sha256", "cut_off"]


def test_an_identity_without_a_known_public_key(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "id")], check=True)
    (failure,) = found(put(tmp_path), *read_identities(None, str(tmp_path / "id"))).failures
    assert "it was encrypted to other recipients, or" in failure.message
    assert failure.message.endswith("that its manifest names")


def test_every_end_within_the_header_and_the_edges_of_chunks() -> None:
    chunks = [HEADER_BYTES + 16 + number * 65552 for number in range(4)]
    points = {*range(len(pyrage_magic()), HEADER_BYTES + 40)}
    points |= {end + shift for end in chunks for shift in range(-20, 21)} & {*range(22, len(FILE))}
    points |= {*range(HEADER_BYTES, len(FILE), 1 if ALL else 1009)}
    for point in sorted(points):
        assert checks_of(FILE[:point], expected_bytes=len(FILE)) == ["cut_off"], point
        assert checks_of(FILE[:point]) in (["cut_off"], ["cut_off_or_changed"]), point


def pyrage_magic() -> bytes:
    return b"age-encryption.org/v1"


def test_an_end_at_the_edge_of_a_chunk_is_recognised_without_the_size() -> None:
    for number in range(3):
        assert checks_of(FILE[: HEADER_BYTES + 16 + number * 65552]) == ["cut_off"]


def test_every_flipped_bit_is_found() -> None:
    chosen = random.Random(20261122)
    magic_bits = 8 * len(pyrage_magic())
    for bit in (chosen.randrange(magic_bits, 8 * len(FILE)) for _ in range(10_000 if ALL else 300)):
        content = bytearray(FILE)
        content[bit // 8] ^= 1 << bit % 8
        found_checks = checks_of(bytes(content), expected_bytes=len(FILE))
        # Which recipient a stanza is for only its identity shows.
        assert found_checks == ["changed"] or (found_checks == ["identity"] and bit // 8 < HEADER_BYTES), bit


def test_something_appended_is_found() -> None:
    assert checks_of(FILE + b"x", expected_bytes=len(FILE)) in (["changed"], ["cut_off_or_changed"])
    assert set(checks_of(FILE + FILE)) <= KINDS


def test_a_flipped_bit_in_the_magic_is_found() -> None:
    for bit in range(8 * len(pyrage_magic())):
        content = bytearray(FILE)
        content[bit // 8] ^= 1 << bit % 8
        assert checks_of(bytes(content)) == ["gzip"]


def test_the_size_is_that_of_the_manifest(tmp_path: Path) -> None:
    point = HEADER_BYTES + 16 + 2 * 65552 + 5000
    path = put(tmp_path, FILE[:point])
    assert [failure.check for failure in found(path, KEY).failures] == ["cut_off_or_changed"]
    with_manifest(tmp_path)
    put(tmp_path, FILE[:point])
    (failure,) = found(path, KEY).failures
    assert failure.check == "cut_off"
    assert f"expected {len(FILE)} bytes, found {point}" in failure.message


def test_a_dump_that_is_not_complete_is_found_in_an_intact_file() -> None:
    content = pyrage.encrypt(gzip.compress(TEXT[:-60]), [KEY.to_public()])
    assert checks_of(content) == ["dump"]


@pytest.mark.parametrize("inner", [TEXT, DATA[:1000], b"", FILE], ids=["text", "cut off", "empty", "encrypted twice"])
def test_an_intact_file_with_something_else_in_it(inner: bytes) -> None:
    """Of one that is intact, the message was that it is cut off, or that it is SQL."""
    _, _, (failure,) = read_backup(io.BytesIO(pyrage.encrypt(inner, [KEY.to_public()])), (KEY,))
    assert failure.check == "gzip"
    assert failure.message.startswith("decrypted, the file is ")


class Failing(io.BytesIO):
    def read(self, number: int | None = -1) -> bytes:
        if self.tell() > 100_000:
            raise OSError(5, "Input/output error")
        return super().read(number)


def test_a_disk_that_fails_is_named() -> None:
    sha256, _, failures = read_backup(Failing(FILE), (KEY,))
    assert sha256 is not None  # of what was read
    assert [failure.check for failure in failures] == [UnreadableError.check]


def test_no_thread_remains() -> None:
    for content in (FILE, FILE[:5000], FILE[:100_000]):
        checks_of(content)
    assert not [thread for thread in threading.enumerate() if "_decrypt" in thread.name]


def test_pieces_of_any_size() -> None:
    for number in (1, 1000, 1 << 20):
        stream = DecryptedStream(io.BytesIO(FILE), (KEY,))
        pieces = b"".join(iter(lambda: stream.read(number), b""))  # noqa: B023 - read at once
        assert pieces == DATA
        assert stream.sha256 == hashlib.sha256(FILE).hexdigest()


def test_identities_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "identity.txt"
    file.write_text(f"# created: today\n{KEY}\n{OTHER}\n")
    assert len(read_identities(None, str(file))) == 2
    assert read_identities(None, None) == ()
    file.write_bytes(FILE)
    with pytest.raises(IdentityError, match="encrypted one"):
        read_identities(None, str(file))
    with pytest.raises(IdentityError, match="cannot be read"):
        read_identities(None, str(tmp_path / "nothing"))


def test_a_key_of_ssh(tmp_path: Path) -> None:
    file = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    recipient = pyrage.ssh.Recipient.from_str((tmp_path / "id.pub").read_text().strip())
    (identity,) = read_identities(None, str(file))
    assert checks_of(pyrage.encrypt(DATA, [recipient]), identity) == []


def test_without_the_library_its_name_is_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "pyrage":
            raise ImportError
        return original(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(IdentityError, match="pip install pyrage"):
        parse_identities(str(KEY))


@pytest.mark.parametrize(("version", "is_taken"), [("1.1.2", False), ("1.2.5", False), ("1.3.0", True), ("2.0", True)])
def test_a_library_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, version: str, is_taken: bool) -> None:
    """With it, an intact backup looked damaged: 1.1 lacks decrypt_io, and 1.2 does not read what age wrote as text."""
    monkeypatch.setattr("plugins.module_utils._dump.decryption.version", lambda _name: version)
    if is_taken:
        assert parse_identities(str(KEY))
        return
    with pytest.raises(IdentityError, match=f"expected version 1.3 or newer, found {version}"):
        parse_identities(str(KEY))


_LARGE = """
import io, resource, sys
sys.path.insert(0, sys.argv[1])
import pyrage
from plugins.module_utils._dump.decryption import DecryptedStream
key = pyrage.x25519.Identity.generate()
with open(sys.argv[2], "wb") as file:
    class Zeros:
        left = int(sys.argv[3])
        def read(self, number=-1):
            number = min(number, self.left)
            self.left -= number
            return bytes(number)
    pyrage.encrypt_io(Zeros(), file, [key.to_public()])
stream = DecryptedStream(open(sys.argv[2], "rb", buffering=0), (key,))
count = 0
while data := stream.read(1 << 17):
    count += len(data)
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for size in (1 << 20, 200 << 20 if ALL else 50 << 20):
        command = [sys.executable, "-c", _LARGE, str(Path(__file__).parents[5]), str(tmp_path / "large"), str(size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        count, peak = map(int, done.stdout.split())
        assert count == size
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 16 << 10
