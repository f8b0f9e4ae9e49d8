# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The volume as the target of an upload: a reader's pod that has it mounted writable, and another one if it is gone."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from .._fetch.attempts import RetryPolicy
from .._fetch.upload import Uploaded, require_same, upload
from .._fetch.upload_source import LocalBackup, read_source
from .._jobs.job_templates import PREFIX, backup_mount, variables
from .._jobs.volume_jobs import SCRATCH, ReaderRequest
from .._volume.catalog import Backup, Catalog, parse_listing
from .._volume.checksum_file import SUFFIX
from .._volume.manifest import SUFFIX as MANIFEST_SUFFIX
from ..errors import CommandFailedError, ExpectationError, LostError, UploadError
from ..units import parse_duration
from .connection import Connection, Object
from .job import StartLimits
from .reader import Reader
from .volume_file import HASH_ALL, HASH_BEGINNING, ReplaceableReader

# Names are arguments, never part of a script's text. umask 077 until the file has its final mode.
_SIZE = 'umask 077; test ! -L "$1" && { test -e "$1" || : > "$1"; } && stat -c %s "$1"'
# What fails prints the reason and continues to read (Container.send). The shell must keep its own standard output and
# error: when either is closed, the kubelet also ends the standard input.
_OR_FAIL = '2>&1 || { echo "the data could not be written"; cat > /dev/null; }'
# Each attempt writes at its own position: one that was interrupted and still runs writes the same bytes.
# dd moves the position of its output, from which head then writes; a share may report a full volume only to sync.
_RECEIVE = f"""{{
    {{ dd bs=1 seek="$2" count=0 conv=notrunc 2> /dev/null && head -c "$3"; }} 1<> "$1" && sync "$1" && sha256sum < "$1"
}} {_OR_FAIL}"""
_REMOVE = 'rm -f "$1"'
_EXISTS = 'if test -e "$1" || test -L "$1"; then echo yes; else test -d "${1%/*}" && echo no; fi'
# Sets `mode`, that of the backups.
_SET_MODE = """case ${POSTGRES_BACKUP_FILE_MODE:-} in
        0[67][0-7][0-7] | [67][0-7][0-7]) mode=$POSTGRES_BACKUP_FILE_MODE ;;
        *) mode=0640 ;;
    esac"""
# The checksum file reserves the name, as in a run. A hard link replaces nothing.
# $1 partial file, $2 backup, $3 content of the checksum file (may be empty), $4 size of the manifest on standard input
# (may be 0), $5 whether retention keeps the backup
_PUBLISH = f"""
taken() {{ [ -e "$1" ] || [ -L "$1" ]; }}
undo() {{ rm -f $checksum_file $manifest $keep 2> /dev/null; }}
publish() {{
    umask 077
    if taken "$2"; then echo taken; return; fi
    {_SET_MODE}
    chmod "$mode" "$1" 2> /dev/null
    checksum_file='' manifest='' keep=''
    cd "${{2%/*}}" || return 1
    partial=${{1##*/}} name=${{2##*/}}
    if [ "$4" -gt 0 ]; then
        {{ rm -f "$partial.json" && head -c "$4" > "$partial.json" && sync "$partial.json"; }} || return 1
        [ "$(stat -c %s "$partial.json")" -eq "$4" ] || return 1
    fi
    if [ -n "$3" ]; then
        {{ rm -f "$partial.sha256" && printf '%s\\n' "$3" > "$partial.sha256" && sync "$partial.sha256"; }} || return 1
        chmod "$mode" "$partial.sha256" 2> /dev/null
        if ln "$partial.sha256" "$name.sha256" 2> /dev/null; then
            checksum_file=$name.sha256
        elif taken "$name.sha256"; then
            [ "$(cat "$name.sha256")" = "$3" ] || {{ echo reserved; return; }}
        else
            mv "$partial.sha256" "$name.sha256" || return 1
            checksum_file=$name.sha256
        fi
    fi
    # What is left of a deleted backup of that name.
    rm -f "$name.json" "$name.damaged" 2> /dev/null
    if [ "$4" -gt 0 ]; then
        chmod "$mode" "$partial.json" 2> /dev/null
        mv "$partial.json" "$name.json" || {{ undo; return 1; }}
        manifest=$name.json
    fi
    if [ "$5" = yes ] && ! taken "$name.keep"; then
        : > "$name.keep" || {{ undo; return 1; }}
        keep=$name.keep
    fi
    if ! ln "$partial" "$name" 2> /dev/null; then
        if taken "$name"; then undo; echo taken; return; fi
        mv "$partial" "$name" || {{ undo; return 1; }}
    fi
    rm -f "$partial" "$partial.sha256" "$partial.json" 2> /dev/null
    sync . 2> /dev/null
    echo published
}}
publish "$@" {_OR_FAIL}"""
# A file that may be replaced, such as a report. $1 file, $2 its size, $3 its temporary name
_REPLACE = f"""
replace() {{
    umask 077
    {_SET_MODE}
    [ ! -d "$1" ] || {{ echo "it is a folder"; return 1; }}
    rm -f "$3" && (set -C; head -c "$2" > "$3") && sync "$3" && [ "$(stat -c %s "$3")" -eq "$2" ] || return 1
    chmod "$mode" "$3" 2> /dev/null
    mv "$3" "$1" && echo replaced
}}
replace "$@" {_OR_FAIL}"""
_REPLACED = re.compile("replaced")
_SHA256 = re.compile(r"([0-9a-f]{64}) .*")
_PUBLISHED = re.compile("published|taken|reserved")
_LIST = f"exec sh {SCRATCH}/script/backup.sh list"
_LISTING_BYTES = 64 << 20
_SHA256_DIGITS = 64
_FULL = ("No space left", "quota exceeded", "File too large")
# A reader that is not deleted ends after this time; an upload that takes longer continues with another one.
_STAY_SECONDS = (600, 3600, 14400)
_FILE_SILENCE_SECONDS = 60.0


class VolumeFolder:
    """The folder of the backups on the volume, an upload.Target."""

    def __init__(self, reader: ReplaceableReader) -> None:
        self._reader = reader

    def partial_size(self, partial: str) -> int:
        return int(self._run(_SIZE, partial))

    def sha256(self, name: str, length: int | None = None) -> str:
        output = self._run(HASH_ALL, name) if length is None else self._run(HASH_BEGINNING, name, str(length))
        digits = output.partition(" ")[0]
        if len(digits) != _SHA256_DIGITS:
            raise UploadError(f"sha256sum in the pod: expected a hash, found '{output[:200]}'")
        return digits

    def send(self, partial: str, offset: int, length: int, pieces: Iterator[memoryview]) -> str:
        return self._send(_RECEIVE, partial, str(offset), str(length), pieces=pieces, answer=_SHA256).partition(" ")[0]

    def remove(self, partial: str) -> None:
        for suffix in ("", SUFFIX, MANIFEST_SUFFIX):
            self._run(_REMOVE, partial + suffix)

    def exists(self, name: str) -> bool:
        answer = self._run(_EXISTS, name)
        if answer not in ("yes", "no"):
            raise LostError(f"the volume did not answer whether it has {name}")
        return answer == "yes"

    def publish(self, partial: str, backup: LocalBackup, keep: bool) -> bool:
        checksum_line = (backup.checksum_file or b"").decode().strip()
        manifest = backup.manifest or b""
        arguments = (self._reader.place(backup.name)[1], checksum_line, str(len(manifest)), "yes" if keep else "no")
        answer = self._send(_PUBLISH, partial, *arguments, pieces=iter([memoryview(manifest)]), answer=_PUBLISHED)
        if answer == "reserved":
            raise UploadError(
                f"the volume has a checksum file of another backup with the name {backup.name}: expected none, or "
                "one with "
                f"the sha256 {backup.sha256}. A run may be about to publish it: try again later, or check that file"
            )
        return answer == "published"

    def replace(self, name: str, content: bytes) -> bool:
        """Make this the content of a file that is not a backup, atomically; whether it had another one."""
        if self.has(name, content):
            return False
        temporary = self._reader.place(f".{name}.new")[1]
        arguments = (str(len(content)), temporary)
        self._send(_REPLACE, name, *arguments, pieces=iter([memoryview(content)]), answer=_REPLACED)
        return True

    def has(self, name: str, content: bytes) -> bool:
        """Whether the file exists with this content."""
        return self.exists(name) and self.sha256(name) == hashlib.sha256(content).hexdigest()

    def catalog(self) -> Catalog:
        """The volume's listing now."""
        return parse_listing(self._run(_LIST, "", limit_bytes=_LISTING_BYTES).splitlines())

    def _run(self, script: str, name: str, *arguments: str, limit_bytes: int = 1 << 20) -> str:
        with self._errors(name):
            return self._reader.answer(script, name, *arguments, limit_bytes=limit_bytes)

    def _send(
        self, script: str, name: str, *arguments: str, pieces: Iterator[memoryview], answer: re.Pattern[str]
    ) -> str:
        container, path = self._reader.place(name)
        with self._errors(name):
            return container.send(["sh", "-c", script, "sh", path, *arguments], pieces, answer)

    @contextlib.contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        try:
            yield
        except LostError:
            self._reader.mark_suspect()
            raise
        except CommandFailedError as error:
            if any(text.lower() in error.stderr.lower() for text in _FULL):
                raise UploadError(
                    f"the backup volume is full: {error.stderr}. What had been sent was deleted. Free some space "
                    "on it, or "
                    "enlarge it"
                ) from error
            raise UploadError(
                f"{name} cannot be written or read on the volume: {error}. Check the volume, and who may write to it"
            ) from error


@dataclass(frozen=True)
class OnVolume:
    """The local file, what its upload did (in check mode, would do), and the backup as the volume lists it.

    `listed` is None in check mode if the backup is not on the volume.
    """

    local: LocalBackup
    uploaded: Uploaded
    listed: Backup | None
    warnings: tuple[str, ...]


def installation_name(cronjob: Object, directory: str | None) -> str:
    """With what the names of the installation's backups begin."""
    name = variables(backup_mount(cronjob, directory).container).get(f"{PREFIX}NAME")
    return name or cronjob["metadata"]["name"]


def ensure_on_volume(
    connection: Connection,
    cronjob: Object,
    local: LocalBackup,
    *,
    directory: str | None,
    keep: bool,
    check: bool,
    retry_policy: RetryPolicy,
    silence_seconds: float,
    limits: StartLimits,
) -> OnVolume:
    """Upload the file unless the volume has it; in check mode, only look. Raises UploadError and ClusterError."""
    stays = chain(_STAY_SECONDS, repeat(_STAY_SECONDS[-1]))

    def new() -> Reader:
        request = ReaderRequest(directory=directory, stay_seconds=next(stays), writes=not check)
        return Reader(connection, cronjob, request, limits)

    with ReplaceableReader(lambda: connection.core, new, silence_seconds) as reader:
        first: Any = reader.current()
        catalog = parse_listing(first.listing())
        listed = catalog.named(local.name)
        folder = VolumeFolder(reader)
        if check:
            if listed is not None:
                require_same(local, listed.sha256 or folder.sha256(local.name))
            else:
                _require_space(catalog, local)
            return OnVolume(local, Uploaded(listed is None), listed, local.warnings)
        if listed is None:
            _require_space(catalog, local)
        uploaded = upload(folder, local, retry_policy, keep=keep, reporter=connection.reporter)
        if uploaded.changed:
            listed = folder.catalog().named(local.name)
    return OnVolume(local, uploaded, listed, (*local.warnings, *_verdict_warnings(local, listed)))


def ensure_file(
    connection: Connection,
    cronjob: Object,
    name: str,
    content: bytes,
    *,
    directory: str | None,
    check: bool,
    limits: StartLimits,
) -> bool:
    """Ensure that a file next to the backups has this content; whether it had another one. In check mode, only look.

    Raises UploadError, LostError and ClusterError.
    """
    request = ReaderRequest(directory=directory, stay_seconds=_STAY_SECONDS[0], writes=not check)

    def new() -> Reader:
        return Reader(connection, cronjob, request, limits)

    with ReplaceableReader(lambda: connection.core, new, _FILE_SILENCE_SECONDS) as reader:
        reader.current()
        folder = VolumeFolder(reader)
        return not folder.has(name, content) if check else folder.replace(name, content)


def _require_space(catalog: Catalog, local: LocalBackup) -> None:
    # The partial file of an interrupted upload takes some of it already, which only a full volume notices.
    if catalog.free_bytes < local.size_bytes and catalog.size_bytes:
        raise UploadError(
            f"the backup volume is too full: expected {local.size_bytes} free bytes, found {catalog.free_bytes}. "
            "Free some "
            "space on it, or enlarge it"
        )


def _verdict_warnings(local: LocalBackup, listed: Backup | None) -> list[str]:
    if listed is None:
        return [f"{local.name} was uploaded, but the volume does not list it: check the names of its backups"]
    warnings = []
    if local.checksum_file is None:
        warnings.append(
            f"{local.name} has no checksum file: it is unchecked on the volume, and a run reads it when it is an "
            "hour old"
        )
    if listed.is_future:
        warnings.append(f"{local.name} is dated in the future: the time in its name is later than the volume's clock")
    if listed.verdict == "delete":
        warnings.append(
            f"retention deletes {local.name} after the next run, because no rule keeps it "
            f"({', '.join(listed.reasons)}). "
            "Set keep to keep it"
        )
    return warnings


def backup_on_volume(
    module: Any, connection: Connection, cronjob: Object, src: str, public_keys: Sequence[str]
) -> tuple[str, str]:
    """The name and the sha256 of the local file `src` on the volume, to which it is uploaded unless it is there.

    Not what identities with these public keys certainly do not decrypt (read_source).

    For restores: `module` has their options `directory`, `timeout` and `startup_timeout`. Warns through the module.
    Raises ExpectationError in check mode if it is not on the volume, which a check must not change.
    """
    parameters = module.params
    installation = installation_name(cronjob, parameters["directory"])
    local = read_source(src, installation, rename=True, public_keys=public_keys, reporter=connection.reporter)
    result = ensure_on_volume(
        connection,
        cronjob,
        local,
        directory=parameters["directory"],
        keep=False,
        check=module.check_mode,
        retry_policy=RetryPolicy(deadline=time.monotonic() + _seconds(parameters["timeout"])),
        silence_seconds=60.0,
        limits=StartLimits(startup_seconds=_seconds(parameters["startup_timeout"])),
    )
    if result.listed is None and module.check_mode:
        raise ExpectationError(
            "src: expected a backup that is on the volume already, since check mode uploads nothing, found "
            f"{local.name} "
            "only here. Upload it first (backup_upload)"
        )
    for warning in result.warnings:
        module.warn(warning)
    return local.name, local.sha256


def _seconds(text: str) -> float:
    return parse_duration(text).total_seconds()
