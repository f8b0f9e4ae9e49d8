# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Backups that age has encrypted: keys, and files on a volume."""

from __future__ import annotations

import gzip
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .combinations import program
from .volume import DUMP, checksum_line, put
from .workspace import Workspace


@dataclass(frozen=True)
class Key:
    """A key pair of age: `identity` is the private key, `recipient` the public one."""

    identity: str
    recipient: str


def make_key() -> Key:
    text = subprocess.run([program("age-keygen")], check=True, capture_output=True, text=True).stdout
    lines = text.splitlines()
    return Key(lines[-1], lines[1].removeprefix("# public key: "))


def make_ssh_key(workspace: Workspace, kind: str, form: str = "RFC4716") -> Key:
    """A pair of keys of OpenSSH; `form` is that of the private key: RFC4716, which is OpenSSH's own, PEM or PKCS8."""
    file = workspace.directory("ssh") / "id"
    words = ["-q", "-t", kind, "-m", form, "-N", "", "-C", "me@nas", "-f", str(file)]
    subprocess.run([program("ssh-keygen"), *words], check=True)
    return Key(file.read_text(), Path(f"{file}.pub").read_text().strip())


def encrypt(content: bytes, *recipients: str, armor: bool = False) -> bytes:
    arguments = [word for recipient in recipients for word in ("-r", recipient)] + ["--armor"] * armor
    return subprocess.run([program("age"), *arguments], input=content, check=True, capture_output=True).stdout


def decrypt(content: bytes, identity: str, folder: Path) -> bytes:
    """The content, by the real age; the identity is put into a file in the folder for it."""
    file = put(folder / "identity", identity)
    try:
        return subprocess.run([program("age"), "-d", "-i", file], input=content, check=True, capture_output=True).stdout
    finally:
        file.unlink()


def put_encrypted(
    volume: Path, name: str, key: Key, dump: bytes = DUMP, *, checksum_file: bool = True, age: float = 0
) -> Path:
    """An encrypted backup with, or without, its checksum file; `name` is that of a plain one."""
    content = encrypt(gzip.compress(dump, 1, mtime=0), key.recipient)
    path = put(volume / f"{name}.age", content, age)
    if checksum_file:
        put(volume / f"{path.name}.sha256", checksum_line(path.name, content), age)
    return path
