# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Pairs of keys as age-keygen and ssh-keygen make them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

CONTENT = b"a backup"
# age: `age-keygen` has printed it; the others are of OpenSSH: type, format, passphrase.
SSH_KINDS = {
    "ed25519": ("ed25519", "RFC4716", ""),
    "ed25519 with a passphrase": ("ed25519", "RFC4716", "secret"),
    "rsa": ("rsa", "RFC4716", ""),
    "rsa with a passphrase": ("rsa", "RFC4716", "secret"),
    "rsa PEM": ("rsa", "PEM", ""),
    "rsa PEM with a passphrase": ("rsa", "PEM", "secret"),
    "rsa PKCS8": ("rsa", "PKCS8", ""),
    "rsa PKCS8 with a passphrase": ("rsa", "PKCS8", "secret"),
    "ecdsa": ("ecdsa", "RFC4716", ""),
    "ecdsa PEM": ("ecdsa", "PEM", ""),
}


@dataclass(frozen=True)
class Pair:
    """A pair of keys, and a file that is encrypted to it; None if age does not take its public key."""

    identity: str
    recipient: str
    encrypted: bytes | None


def encrypt(recipient: str) -> bytes | None:
    done = subprocess.run(["age", "-r", recipient], input=CONTENT, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def make_pairs(folder: Path) -> dict[str, Pair]:
    """A pair of age, and one of each kind of SSH_KINDS, by their names; `folder` is an empty one."""
    text = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    recipient = text.split("public key: ")[1].splitlines()[0]
    made = {"age": Pair(text, recipient, encrypt(recipient))}
    for name, (kind, form, passphrase) in SSH_KINDS.items():
        file = folder / name
        words = ["-q", "-t", kind, "-m", form, "-N", passphrase, "-f", str(file)]
        subprocess.run(["ssh-keygen", *(["-b", "2048"] if kind == "rsa" else []), *words], check=True)
        recipient = Path(f"{file}.pub").read_text().strip()
        made[name] = Pair(file.read_text(), recipient, encrypt(recipient))
    return made
