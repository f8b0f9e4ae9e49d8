# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""An encrypted backup to the gzip data in it, by identities of age (https://age-encryption.org/v1).

`pyrage` decrypts; it is imported only when an encrypted backup is read. It calls a reader and a writer, so it runs in a
thread, and what it writes is taken from a queue: at no time is more than a few blocks in memory, and nothing on a disk.
"""

from __future__ import annotations

import hashlib
import queue
import re
import threading
from importlib.metadata import version
from typing import Any, BinaryIO

from ..errors import (
    AlteredFileError,
    CutOffOrAlteredFileError,
    EncryptionError,
    IdentityError,
    TruncatedFileError,
)

# How an encrypted file begins, also one that age wrote as text (--armor).
BEGINNINGS = (b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE-----")
BEGINNING_BYTES = max(map(len, BEGINNINGS))
_READ_BYTES = 1 << 17
_WRITE_BYTES = 1 << 17
_QUEUED = 8
# The specification's "Payload": a nonce, then chunks, each with a tag; only the last one is shorter.
_NONCE_BYTES = 16
_CHUNK_BYTES = 1 << 16
_TAG_BYTES = 16
_SEALED_BYTES = _CHUNK_BYTES + _TAG_BYTES
HEADER_LIMIT = 1 << 20
_HEADER_END = re.compile(rb"^--- [^\n]*\n", re.MULTILINE)
_AGAIN = "Copy it again, or use another backup"

Identities = tuple[Any, ...]


def parse_identities(text: str) -> Identities:
    """The identities in a text that identity_file.py has checked.

    Raises IdentityError, whose message contains nothing of the text.
    """
    try:
        import pyrage  # noqa: PLC0415 - only where it is needed

        found = version("pyrage")
    except ImportError as error:
        raise IdentityError(
            "the Python library pyrage is missing, which decrypts backups. Install it for the Python that runs the "
            "module: python3 -m pip install pyrage"
        ) from error
    # Older ones do not read files that age wrote as text, or no file in pieces: an intact one would look damaged.
    if [int(number) for number in re.findall("[0-9]+", found)[:2]] < [1, 3]:
        raise IdentityError(
            f"the Python library pyrage is too old: expected version 1.3 or newer, found {found}. Upgrade it for the "
            "Python that runs the module: python3 -m pip install --upgrade pyrage"
        )
    try:
        if text.startswith("-----BEGIN "):
            return (pyrage.ssh.Identity.from_buffer(text.encode()),)
        lines = [line.rstrip("\r") for line in text.split("\n")]
        return tuple(pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#"))
    except Exception as error:
        raise IdentityError(
            "identity: expected a private key that the library pyrage takes, found one that only age takes, such as "
            "one in the format PKCS #8. Convert a copy that only you may read: ssh-keygen -p -N '' -f COPY (of an "
            "Ed25519 key, with OpenSSH 9.6 or newer)"
        ) from error


class DecryptedStream:
    """The decrypted bytes of a stream; `read` raises EncryptionError, and what the stream raises.

    At the end, also after an EncryptionError, `sha256` and `taken_bytes` are those of the encrypted stream.
    `expected_bytes` is its size, if that is known.
    """

    def __init__(self, stream: BinaryIO, identities: Identities, expected_bytes: int | None = None) -> None:
        self.taken_bytes = 0
        self.sha256: str | None = None
        self._stream = stream
        self._identities = identities
        self._expected_bytes = expected_bytes
        self._hash = hashlib.sha256()
        self._beginning = b""
        self._block = b""
        self._written: list[bytes] = []
        self._written_bytes = 0
        self._given_bytes = 0
        self._stream_error: BaseException | None = None
        self._items: queue.Queue[bytes | BaseException | None] = queue.Queue(_QUEUED)
        self._rest = b""
        self._ended: BaseException | bool = False
        self._thread: threading.Thread | None = None

    def read(self, number: int) -> bytes:
        """At most that many decrypted bytes; none only at the end."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._decrypt, daemon=True)
            self._thread.start()
        while not self._rest:
            if isinstance(self._ended, BaseException):
                raise self._ended
            if self._ended:
                return b""
            item = self._items.get()
            if isinstance(item, bytes):
                self._rest = item
            else:
                self._ended = True if item is None else item
        data, self._rest = self._rest[:number], self._rest[number:]
        return data

    # --------------------------------------------------------------------------------------------- in the other thread

    def _decrypt(self) -> None:
        import pyrage  # noqa: PLC0415 - only where it is needed

        result: BaseException | None = None
        try:
            pyrage.decrypt_io(_Reader(self._take), _Writer(self._give), self._identities)
            self._flush()
        except BaseException as error:  # raised again in the thread that reads
            result = error
        try:
            self._flush()
            while self._stream_error is None and self._take(_READ_BYTES):
                pass
        except BaseException as error:
            self._stream_error = error
        if self._stream_error is not None:
            result = self._stream_error
        elif result is not None:
            result = self._explained(str(result))
        self.sha256 = self._hash.hexdigest()
        self._items.put(result)

    def _take(self, number: int) -> bytes:
        """At most that many bytes of the encrypted stream."""
        if not self._block:
            try:
                self._block = self._stream.read(_READ_BYTES)
            except BaseException as error:
                self._stream_error = error
                raise
            self._hash.update(self._block)
            self.taken_bytes += len(self._block)
            if len(self._beginning) < HEADER_LIMIT and not _HEADER_END.search(self._beginning):
                self._beginning += self._block
        data, self._block = self._block[:number], self._block[number:]
        return data

    def _give(self, data: bytes) -> None:
        self._written.append(bytes(data))
        self._written_bytes += len(data)
        if self._written_bytes >= _WRITE_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._written:
            self._items.put(b"".join(self._written))
            self._given_bytes += self._written_bytes
            self._written, self._written_bytes = [], 0

    def _explained(self, message: str) -> EncryptionError:  # noqa: PLR0911 - one for each kind
        """What is wrong with the stream, which was taken to its end."""
        total, expected = self.taken_bytes, self._expected_bytes
        if expected is not None and total < expected:
            return TruncatedFileError(f"the file is cut off: expected {expected} bytes, found {total}. {_AGAIN}")
        if "No matching keys" in message:
            return IdentityError(
                f"none of the identities decrypts the file: it was encrypted to other recipients{self._given()}, or "
                "its header was changed. Give an identity of one of the recipients that its manifest names"
            )
        if "Incomplete header" in message or "failed to fill" in message or "truncated" in message:
            return _cut_off(total)
        if self._beginning.startswith(BEGINNINGS[1]):
            return CutOffOrAlteredFileError(
                f"the file is cut off, or was changed: what age wrote as text (--armor) is not valid. {_AGAIN}"
            )
        end = _HEADER_END.search(self._beginning)
        if end is None or "decryption error" not in message:
            return AlteredFileError(
                "the file was changed: the header of age in it is not valid, or something follows what age wrote. "
                f"{_AGAIN}"
            )
        payload = total - end.end() - _NONCE_BYTES
        last = max(payload - 1, 0) // _SEALED_BYTES
        failing = self._given_bytes // _CHUNK_BYTES
        left = payload - last * _SEALED_BYTES
        begin = total - payload + failing * _SEALED_BYTES
        where = f"between the bytes {begin} and {min(begin + _SEALED_BYTES, total)}"
        if failing < last or left == _SEALED_BYTES or total == expected:
            return AlteredFileError(f"the file was changed {where}. {_AGAIN}")
        if left <= _TAG_BYTES:
            return _cut_off(total)
        return CutOffOrAlteredFileError(f"the file is cut off at its end, or was changed {where}. {_AGAIN}")

    def _given(self) -> str:
        """The public keys of the identities; pyrage does not have those of OpenSSH's."""
        known = [str(one.to_public()) for one in self._identities if hasattr(one, "to_public")]
        return f" than {', '.join(known)}" if known else ""


def none_opens(beginning: BinaryIO, identities: Identities) -> bool:
    """Whether a file with this beginning is encrypted to others, or its header was changed.

    It is not known if the header is not complete, or not valid.
    """
    decrypted = DecryptedStream(beginning, identities)
    try:
        while decrypted.read(_READ_BYTES):
            pass
    except EncryptionError as error:
        return isinstance(error, IdentityError)
    return False


def _cut_off(total: int) -> TruncatedFileError:
    return TruncatedFileError(f"the file is cut off: expected more data, found its end at byte {total}. {_AGAIN}")


class _Reader:
    """What pyrage reads from: it wants an object with this method."""

    def __init__(self, take: Any) -> None:
        self._take = take

    def read(self, number: int = -1) -> bytes:
        data: bytes = self._take(number if number > 0 else _READ_BYTES)
        return data


class _Writer:
    """What pyrage writes to."""

    def __init__(self, give: Any) -> None:
        self._give = give

    def write(self, data: bytes) -> int:
        self._give(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back that a reader waits for."""
