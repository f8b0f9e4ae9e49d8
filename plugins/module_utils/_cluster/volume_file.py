# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup on the volume as a source of bytes: read by a reader's pod, and by another one when that pod is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Callable, Protocol

from ..errors import BackupError, FetchError, GoneError, LostError
from .exec_stream import CommandError, Container

# Names are arguments, never part of a script's text.
# dd moves the position that cat then reads from: `tail -c +N` writes small pieces, which take twice as long to come.
_REST = 'exec < "$1" && dd bs=1 skip="$2" count=0 2> /dev/null && exec cat'
_HASH_ALL = 'exec < "$1"; sha256sum'
_HASH_BEGINNING = 'exec < "$1"; head -c "$2" | sha256sum'
# A volume that is gone itself, such as a dead mount, says nothing of its files.
_IS_THERE = 'if test -e "$1" || ! test -d "${1%/*}"; then echo yes; else echo no; fi'
_SHA256_DIGITS = 64


class Reader(Protocol):
    """A pod that has the volume (cluster.reader.Reader)."""

    namespace: str
    pod: str
    container: str
    directory: str

    def is_running(self) -> bool: ...


class Readers:
    """The reader in use; `current` is another one when the first one's pod is gone. Used as a context manager.

    `core` gives the generated CoreV1Api once a command is to be run: its import takes a second.
    """

    def __init__(
        self, core: Callable[[], Any], new: Callable[[], AbstractContextManager[Reader]], silence_seconds: float
    ) -> None:
        self._core = core
        self._new = new
        self._silence_seconds = silence_seconds
        self._context: AbstractContextManager[Reader] | None = None
        self._reader: Reader | None = None
        self._is_suspect = False
        self._had_one = False

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def suspect(self) -> None:
        """Something failed that may be the pod's end."""
        self._is_suspect = True

    def current(self) -> Reader:
        """Raises LostError while the cluster cannot tell, or give, a reader that is needed in place of another."""
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

    def _leave(self) -> None:
        context, self._context, self._reader = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)


class VolumeFile:
    """One backup on the volume, a transfer.Source."""

    def __init__(self, readers: Readers, name: str) -> None:
        self._readers = readers
        self._name = name

    def chunks(self, offset: int) -> Iterator[memoryview]:
        container, path = self._place()
        command = ["sh", "-c", _REST, "sh", path, str(offset)] if offset else ["cat", path]
        try:
            yield from container.output(command)
        except LostError:
            self._readers.suspect()
            raise
        except CommandError as error:
            raise self._reason(error) from error

    def sha256(self, length: int | None = None) -> str:
        said = self._ask(_HASH_ALL) if length is None else self._ask(_HASH_BEGINNING, str(length))
        found = said.partition(" ")[0]
        if len(found) != _SHA256_DIGITS:
            raise FetchError(f"sha256sum in the pod said '{said[:200]}': expected a hash")
        return found

    def _place(self) -> tuple[Container, str]:
        container, directory = self._readers.container()
        return container, f"{directory}/{self._name}"

    def _ask(self, script: str, *arguments: str) -> str:
        container, path = self._place()
        command: Sequence[str] = ["sh", "-c", script, "sh", path, *arguments]
        try:
            return container.answer(command).decode("utf-8", "replace").strip()
        except LostError:
            self._readers.suspect()
            raise
        except CommandError as error:
            if script is _IS_THERE:
                raise FetchError(str(error)) from error
            raise self._reason(error) from error

    def _reason(self, error: CommandError) -> FetchError:
        if self._ask(_IS_THERE) == "no":
            return GoneError(
                f"{self._name} is no longer on the volume: it was removed, by retention or by hand, after it had been "
                "listed. Fetch another one, or leave out 'backup' to fetch the newest"
            )
        return FetchError(f"{self._name} cannot be read on the volume: {error}. Look at its owner and mode there")
