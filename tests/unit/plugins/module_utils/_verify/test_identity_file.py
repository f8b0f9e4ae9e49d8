# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is taken as an identity: age and pyrage decrypt with it. What age refuses is refused, without being shown."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.module_utils._dump.decryption import DecryptedStream
from plugins.module_utils._verify.identity_file import identity_text
from plugins.module_utils._verify.verification import read_identities
from plugins.module_utils.errors import IdentityError

from .key_pairs import CONTENT, SSH_KINDS, Pair

Form = Callable[[str], str]


def same(text: str) -> str:
    return text


def windows(text: str) -> str:
    return text.replace("\n", "\r\n")


# Of which pair, and how it is written.
TAKEN: list[tuple[str, Form]] = [
    ("age", same),
    ("age", windows),
    ("age", lambda text: text.splitlines()[-1]),
    ("age", lambda text: f"\n{text}\n# \u2028 the same\n{text}"),
    *[(name, form) for name in ("ed25519", "rsa", "rsa PEM") for form in (same, windows, str.rstrip)],
    ("rsa", lambda text: f"{text}\n \n"),
]
REFUSED: list[tuple[str, Form, str]] = [
    ("age", lambda text: f"\ufeff{text}", "a byte order mark"),
    ("ed25519", lambda text: f"\ufeff{text}", "a byte order mark"),
    ("age", "\0".join, "UTF-16"),
    ("age", lambda text: text.replace("AGE-", " AGE-"), "a space at the beginning or the end of line 3"),
    ("age", lambda text: text.replace("\n", " \n"), "a space at the beginning or the end of line 3"),
    ("age", lambda text: f"  # mine\n{text}", "a space at the beginning or the end of line 1"),
    ("age", lambda text: text.splitlines()[-1].lower(), "a key in small letters in line 1"),
    ("age", lambda text: f'"{text.splitlines()[-1]}"', "something else in line 1"),
    ("age", lambda text: text.rstrip()[:-1], "a key that has a mistake, or lacks characters, in line 3"),
    ("age", lambda text: text[:-9] + text[-9:].lower(), "a key that has a mistake, or lacks characters, in line 3"),
    ("age", lambda text: text.replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-PQ-1"), "a post-quantum key"),
    ("age", lambda text: f"{text}AGE-PLUGIN-YUBIKEY-1QQPQQQS\n", "a key of a plugin, which the pods do not have"),
    ("age", lambda text: text.replace("# public key: ", ""), "a public key in line 2"),
    (
        "age",
        lambda text: f"{text}-----BEGIN OPENSSH PRIVATE KEY-----",
        "which needs a separate file, after other text",
    ),
    ("age", lambda text: text.splitlines()[0], "none"),
    ("age", lambda _: "age-encryption.org/v1\n-> scrypt", "an encrypted one"),
    ("age", lambda _: "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl", "an encrypted one"),
    ("ed25519", lambda text: f"# mine\n{text}", "which needs a separate file, after other text in line 2"),
    ("ed25519", lambda text: text.replace("\n", " "), "one that is cut off, indented, or lacks its line breaks"),
    ("ed25519", lambda text: text[:-10], "one that is cut off, indented, or lacks its line breaks"),
    ("ed25519", lambda text: text.replace("\n", "\n  "), "one that is cut off, indented, or lacks its line breaks"),
    ("ed25519", lambda text: text[:90] + text[100:], "one that has a mistake, or lacks characters"),
    *[(name, same, "one with a passphrase") for name in SSH_KINDS if name.endswith("passphrase")],
    *[(name, same, "another type: of SSH keys, age takes") for name in SSH_KINDS if name.startswith("ecdsa")],
    ("ed25519", lambda text: f"{text}{text}", "more text after the first one"),
]


def decrypted_by_age(folder: Path, identity: str, encrypted: bytes | None) -> bool:
    file = folder / "identity.txt"
    file.write_bytes(identity.encode())
    words = ["age", "--decrypt", "--identity", str(file)]
    done = subprocess.run(words, input=encrypted, capture_output=True, check=False, start_new_session=True)
    return encrypted is not None and done.stdout == CONTENT


@pytest.mark.parametrize(("name", "form"), TAKEN)
def test_what_is_taken_decrypts_in_both_ways(tmp_path: Path, pairs: dict[str, Pair], name: str, form: Form) -> None:
    pair = pairs[name]
    identity = form(pair.identity)
    assert decrypted_by_age(tmp_path, identity, pair.encrypted)
    assert identity_text(identity, None) == identity_text(None, str(tmp_path / "identity.txt")) == identity
    assert pair.encrypted is not None
    stream = DecryptedStream(io.BytesIO(pair.encrypted), read_identities(identity, None))
    assert stream.read(100) == CONTENT


@pytest.mark.parametrize(("name", "form", "found"), REFUSED)
def test_what_age_refuses_is_refused_and_not_shown(
    tmp_path: Path, pairs: dict[str, Pair], name: str, form: Form, found: str
) -> None:
    pair = pairs[name]
    identity = form(pair.identity)
    # Of two keys of OpenSSH, age reads the first one only, without a message.
    assert decrypted_by_age(tmp_path, identity, pair.encrypted) == found.startswith("more text")
    for words in ((identity, None), (None, str(tmp_path / "identity.txt"))):
        for read in (identity_text, read_identities):
            with pytest.raises(IdentityError) as error:
                read(*words)
            assert f", found {found}" in str(error.value) or f"OpenSSH, {found}" in str(error.value)
            assert not {word for word in pair.identity.split() if len(word) > 30 and word in str(error.value)}


def test_a_format_that_only_age_takes(tmp_path: Path, pairs: dict[str, Pair]) -> None:
    """A pod decrypts with it; to verify with it, it must be converted with the command in the message."""
    pair = pairs["rsa PKCS8"]
    assert decrypted_by_age(tmp_path, pair.identity, pair.encrypted)
    assert identity_text(pair.identity, None) == pair.identity
    with pytest.raises(
        IdentityError, match=r"found one that only age takes, such as one in the format PKCS #8"
    ) as error:
        read_identities(pair.identity, None)
    command = re.search(r"only you may read: (ssh-keygen .* COPY) \(", str(error.value))
    assert command is not None
    copy = tmp_path / "copy"
    copy.write_text(pair.identity)
    copy.chmod(0o600)
    words = [str(copy) if word == "COPY" else word for word in shlex.split(command[1])]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True)
    assert pair.encrypted is not None
    stream = DecryptedStream(io.BytesIO(pair.encrypted), read_identities(None, str(copy)))
    assert stream.read(100) == CONTENT


@pytest.mark.parametrize("identity", [None, ""])
@pytest.mark.parametrize("identity_file", [None, ""])
def test_an_empty_option_is_not_given(
    tmp_path: Path, pairs: dict[str, Pair], identity: str | None, identity_file: str | None
) -> None:
    """Such as an empty variable of a playbook."""
    text = pairs["age"].identity
    (tmp_path / "identity.txt").write_text(text)
    assert identity_text(identity, identity_file) is None
    assert read_identities(identity, identity_file) == ()
    assert identity_text(text, identity_file) == identity_text(identity, str(tmp_path / "identity.txt")) == text


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "identity.txt").touch()
    with pytest.raises(IdentityError, match="found none"):
        identity_text(None, str(tmp_path / "identity.txt"))


def test_both_are_refused() -> None:
    with pytest.raises(IdentityError, match="expected one of identity and identity_file, found both"):
        identity_text("AGE-SECRET-KEY-1SECRET", "/x")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("nothing", "pipe", "."):
        with pytest.raises(IdentityError, match=r"identity_file: .* cannot be read: check its path and mode"):
            identity_text(None, str(tmp_path / name))


@pytest.mark.parametrize(
    "key",
    ["AGE-SECRET-KEY-1HUNTER2", "# mine\nage-secret-key-1hunter2\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2"],
)
def test_a_key_in_place_of_its_file_is_not_shown(key: str) -> None:
    """As an option of the type path, it may follow the working directory."""
    with pytest.raises(IdentityError, match="identity_file: expected a path, found a private key") as raised:
        identity_text(None, f"/home/me/{key}")
    assert "hunter2" not in str(raised.value).lower() and raised.value.__suppress_context__


def test_an_encrypted_identity(tmp_path: Path) -> None:
    file = tmp_path / "identity.age"
    file.write_bytes(b"age-encryption.org/v1\n\xff")
    with pytest.raises(IdentityError, match="found an encrypted one"):
        identity_text(None, str(file))
