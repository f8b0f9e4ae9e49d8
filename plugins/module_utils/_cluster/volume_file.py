# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup on the volume as a source of bytes: read in a reader's pod, and in another one when that pod is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Callable, Protocol

from .._volume.manifest import LIMIT_BYTES
from ..errors import BackupError, CommandFailedError, FetchError, GoneError, LostError
from .exec_stream import Container

# Names are arguments, never part of a script's text.
# dd moves the position that cat then reads from: `tail -c +N` writes small pieces, whose transfer takes twice as long.
_REST = 'exec < "$1" && dd bs=1 skip="$2" count=0 2> /dev/null && exec cat'
HASH_ALL = 'exec < "$1"; sha256sum'
HASH_BEGINNING = 'exec < "$1"; head -c "$2" | sha256sum'
# A backup of version 1.0 has no manifest.
_MANIFEST = 'test ! -f "$1.json" || head -c "$2" "$1.json"'
# A file is only missing where its directory exists: a dead mount shows no files either.
_EXISTS = 'if test -e "$1" || ! test -d "${1%/*}"; then echo yes; else echo no; fi'
_SHA256_DIGITS = 64


class VolumePod(Protocol):
    """A pod that has mounted the volume: reader.Reader, or a test's replacement for it."""

    namespace: str
    pod: str
    container: str
    directory: str

    def is_running(self) -> bool: ...


class ReplaceableReader:
    """The reader in use; `current` is another one when the first one's pod is gone. Used as a context manager.

    `core` returns the generated CoreV1Api, and is called when a command is to be run: its import takes a second.
    """

    def __init__(
        self, core: Callable[[], Any], new: Callable[[], AbstractContextManager[VolumePod]], silence_seconds: float
    ) -> None:
        self._core = core
        self._new = new
        self._silence_seconds = silence_seconds
        self._context: AbstractContextManager[VolumePod] | None = None
        self._reader: VolumePod | None = None
        self._is_suspect = False
        self._had_one = False

    def __enter__(self) -> ReplaceableReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def mark_suspect(self) -> None:
        """Check the pod before the next use: an error occurred that may mean that it is gone."""
        self._is_suspect = True

    def current(self) -> VolumePod:
        """The reader, or a new one where its pod has ended; raises LostError while the cluster cannot provide it."""
        if self._reader is not None and self._is_suspect:
            try:
                is_running = self._reader.is_running()
            except BackupError as error:
                raise LostError(str(error)) from error
            if not is_running:
                self._leave()
        if self._reader is None:
            try:
                context = self._new()
                self._reader = context.__enter__()
            except BackupError as error:
                if not self._had_one:
                    raise
                raise LostError(str(error)) from error
            self._context, self._had_one = context, True
        self._is_suspect = False
        return self._reader

    def container(self) -> tuple[Container, str]:
        """Where commands run, and the directory of the backups there."""
        reader = self.current()
        where = Container(self._core(), reader.namespace, reader.pod, reader.container, self._silence_seconds)
        return where, reader.directory

    def place(self, name: str) -> tuple[Container, str]:
        """Where commands run, and the path of a file in the directory of the backups there."""
        container, directory = self.container()
        return container, f"{directory}/{name}"

    def answer(self, script: str, name: str, *arguments: str, limit_bytes: int = 1 << 20) -> str:
        """What a shell script prints, whose arguments are the path of that file and the `arguments`.

        Raises CommandFailedError and, when the pod is to be checked before its next use, LostError.
        """
        container, path = self.place(name)
        command: Sequence[str] = ["sh", "-c", script, "sh", path, *arguments]
        try:
            return container.answer(command, limit_bytes).decode("utf-8", "replace").strip()
        except LostError:
            self.mark_suspect()
            raise

    def _leave(self) -> None:
        context, self._context, self._reader = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)


class VolumeFile:
    """One backup on the volume, a transfer.Source."""

    def __init__(self, reader: ReplaceableReader, name: str) -> None:
        self._reader = reader
        self._name = name

    def chunks(self, offset: int) -> Iterator[memoryview]:
        container, path = self._reader.place(self._name)
        command = ["sh", "-c", _REST, "sh", path, str(offset)] if offset else ["cat", path]
        try:
            yield from container.output(command)
        except LostError:
            self._reader.mark_suspect()
            raise
        except CommandFailedError as error:
            raise self._reason(error) from error

    def sha256(self, length: int | None = None) -> str:
        output = self._run(HASH_ALL) if length is None else self._run(HASH_BEGINNING, str(length))
        digits = output.partition(" ")[0]
        if len(digits) != _SHA256_DIGITS:
            raise FetchError(f"sha256sum in the pod: expected a hash, found '{output[:200]}'")
        return digits

    def manifest(self) -> str:
        """The text of the backup's manifest; empty if it has none. Raises FetchError."""
        return self._run(_MANIFEST, str(LIMIT_BYTES), limit_bytes=LIMIT_BYTES)

    def _run(self, script: str, *arguments: str, limit_bytes: int = 1 << 20) -> str:
        try:
            return self._reader.answer(script, self._name, *arguments, limit_bytes=limit_bytes)
        except CommandFailedError as error:
            if script is _EXISTS:
                raise FetchError(str(error)) from error
            raise self._reason(error) from error

    def _reason(self, error: CommandFailedError) -> FetchError:
        if self._run(_EXISTS) == "no":
            return GoneError(
                f"{self._name} is no longer on the volume: it was deleted, by retention or manually, after it had been "
                "listed. Fetch another one, or leave out 'backup' to fetch the newest"
            )
        return FetchError(f"{self._name} cannot be read on the volume: {error}. Check its owner and mode there")
