# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The program in the pod of the copies: `python3 -m …_copy.program copy [PLACE …]`, or `retrieve PLACE [BACKUP]`.

`retrieve` needs a volume that it can write to; with `--read-copy` before the place, it also reads a copy that need not
be brought back, and with `--public-keys`, it brings no copy back that identities with these keys do not decrypt. The
last line, which is also the termination message, is the result as JSON. Exit status: 0 if every place has what it
should have, or its window is closed; 1 if something failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .._progress.reporter import SILENT, Reporter
from .._volume.backup_names import TIME_FORMAT
from .._volume.catalog import Backup, Catalog
from .._volume.record_folder import RecordFolder
from .configuration import RESTIC, Configuration, PlaceOptions, parse_configuration
from .copying import Copying
from .faults import PlaceError, volume_fault
from .mirror import PROGRESS_VARIABLE, Mirror, Script
from .place import RclonePlace, refuse_backup_folder
from .plan import KEEP_FILE, MANIFEST, Copy, Entry, complete_among
from .record import (
    COPYING,
    FAILED,
    OUTSIDE_WINDOW,
    Record,
    Unfinished,
    dump_record,
    next_record,
    parse_record,
    record_of_place,
)
from .restic_place import CHECK_PARTS, ResticPlace
from .retrieval import choose, require_recipient, retrieve
from .scratch import scratch_folder
from .steps import Attempt, Steps
from .transfer_progress import TransferProgress, total_bytes
from .volume_files import VolumeFiles, without_forgotten_partials

_TERMINATION_BYTES = 4096
# The suffixes of the record of a place, and of the file that is locked while a process copies to the place.
_RECORD, _LOCK = ".json", ".lock"
_READ_COPY = "--read-copy"
_PUBLIC_KEYS = "--public-keys"


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def _log(text: str) -> None:
    _print(f"{_now().strftime(TIME_FORMAT)} {text}")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _reporter(environment: Mapping[str, str]) -> Reporter:
    """Prints events if the module that created the Job asks for them."""
    return Reporter(_print, time.monotonic) if environment.get(PROGRESS_VARIABLE) == "yes" else SILENT


def _window_seconds(options: PlaceOptions, time_zone: str) -> float | None:
    """How long the window is open; None without a window. Raises PlaceError for an unknown time zone."""
    if options.window is None:
        return None
    try:
        local = datetime.now(ZoneInfo(time_zone))
    except (ZoneInfoNotFoundError, ValueError):
        raise PlaceError(
            f"the image does not know the time zone {time_zone} of the window: expected the package tzdata in it",
            is_lasting=True,
        ) from None
    left = options.window.left(local)
    return 0.0 if left is None else left.total_seconds()


def _place(
    options: PlaceOptions,
    script: Script,
    environment: Mapping[str, str],
    *,
    closes: float | None,
    token: str,
    temporary: str,
    check_part: int | None,
    unfinished: Unfinished,
) -> RclonePlace | ResticPlace:
    """A place of its kind. `check_part` is None where nothing is written to it. May raise PlaceError."""
    store = RclonePlace(
        options, script.volume, environment=environment, clock=time.monotonic, closes=closes, token=token
    )
    if options.kind != RESTIC:
        return store
    return ResticPlace(
        options,
        store,
        installation=script.name,
        token=token,
        temporary=temporary,
        check_part=check_part,
        unfinished=unfinished,
    )


def _record_file(options: PlaceOptions) -> str:
    return f"{options.name}{_RECORD}"


def _record_before(options: PlaceOptions, folder: RecordFolder) -> Record:
    """The record of the place, perhaps under another name. Raises OSError."""
    others = []
    for name in {*folder.names(_RECORD)} - {_record_file(options)}:
        # Only its own one must be readable.
        with contextlib.suppress(OSError):
            others.append(parse_record(folder.read(name)))
    return record_of_place(parse_record(folder.read(_record_file(options))), others, options.location, _now())


def _record_token(folder: RecordFolder, file: str, text: str) -> None:
    """Before the first upload: what an attempt that is killed leaves is found by the token.

    Where the volume does not take the record, the newest backup is copied all the same.
    """
    try:
        folder.write(file, text)
    except OSError as error:
        _log(f"WARNING: its record: {volume_fault(error)}")


def _copy_to(
    options: PlaceOptions,
    configuration: Configuration,
    script: Script,
    catalog: Catalog,
    environment: Mapping[str, str],
) -> tuple[Attempt, Any]:
    """One attempt at a place; what it has done, and its record."""
    folder = RecordFolder(environment["POSTGRES_BACKUP_COPY_FOLDER"], configuration.file_mode)
    file = _record_file(options)
    before = _record_before(options, folder)
    is_new_token = not before.token
    if is_new_token:
        before = replace(before, token=secrets.token_hex(4))
    try:
        left = _window_seconds(options, configuration.time_zone)
        if left == 0.0:
            attempt = Attempt(state=OUTSIDE_WINDOW)
            _log(f"{options.name}: its window is from {options.window}: nothing is copied now")
            # Until the window opens again, the error of the last attempt in it is that of the place.
            record = next_record(before, before.copies, (), _now(), error=before.error, is_done=False)
        else:
            records = Path(script.volume, f"{configuration.name}.copies")
            refuse_backup_folder(options, script.volume, records / f"{options.name}{_LOCK}")
            closes = None if left is None else time.monotonic() + left
            if is_new_token:
                _record_token(folder, file, dump_record(before, options, COPYING, before.error, _now()))
            with scratch_folder(environment) as temporary:
                check_part = _now().timetuple().tm_yday % CHECK_PARTS + 1
                place = _place(
                    options,
                    script,
                    environment,
                    closes=closes,
                    token=before.token,
                    temporary=temporary,
                    check_part=check_part,
                    unfinished=before.unfinished,
                )
                mirror = Mirror(script, options.policy, place.fetch_texts, temporary)

                def remember(copies: Iterable[Copy]) -> None:
                    known = tuple(copies)
                    others = steps.others - {copy.backup for copy in known}
                    record = replace(
                        steps.before,
                        copies=known,
                        others=tuple(others),
                        unfinished=place.unfinished,
                        location=options.location,
                    )
                    try:
                        folder.write(file, dump_record(record, options, COPYING, record.error, _now()))
                    except OSError as error:
                        raise volume_fault(error) from error

                steps = Steps(
                    options,
                    place,
                    mirror,
                    clock=_now,
                    sleep=time.sleep,
                    log=_log,
                    remember=remember,
                    reporter=_reporter(environment),
                )
                attempt, record = Copying(configuration.name, steps).run(before, catalog)
                record = replace(record, unfinished=place.unfinished)
    except (PlaceError, OSError) as error:
        attempt = Attempt(state=FAILED, error=str(error))
        record = next_record(before, before.copies, (), _now(), error=str(error), is_done=False)
    if attempt.error:
        _log(f"FAILED: {options.name}: {attempt.error}")
    folder.write(file, dump_record(record, options, attempt.state, record.error, _now()))
    return attempt, record


def _result(done: Sequence[tuple[PlaceOptions, Attempt, float]], faults: Sequence[str]) -> dict[str, Any]:
    reasons = [*faults, *(f"{options.name}: {attempt.error}" for options, attempt, _time in done if attempt.error)]
    return {
        "state": "failed" if reasons else "succeeded",
        "operation": "copy",
        "places": [
            {
                "name": options.name,
                "kind": options.kind,
                "state": attempt.state,
                "copied": attempt.copied,
                "deleted": attempt.deleted,
                "findings": attempt.findings,
                "bytes": attempt.transferred_bytes,
                "seconds": round(seconds, 1),
                "error": attempt.error,
            }
            for options, attempt, seconds in done
        ],
        "reason": "; ".join(reasons) or None,
    }


def _print_result(result: dict[str, Any], termination_log: str) -> None:
    text = json.dumps(result, separators=(",", ":"))
    if len(text) > _TERMINATION_BYTES:  # Kubernetes cuts what is longer
        reason = result["reason"] and result["reason"][:1000]
        short = json.dumps({**result, "places": [], "reason": reason}, separators=(",", ":"))
    else:
        short = text
    with contextlib.suppress(OSError):
        Path(termination_log).write_text(short)
    _print(text)


def copy(configuration: Configuration, names: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Copy to the places of these names, by default to all; the result."""
    done: list[tuple[PlaceOptions, Attempt, float]] = []
    unknown = sorted(set(names) - {options.name for options in configuration.places})
    if unknown:
        known = ", ".join(options.name for options in configuration.places)
        return _result((), [f"expected names of places ({known}), found {', '.join(unknown)}"])
    script = Script(environment["POSTGRES_BACKUP_COPY_SCRIPT"], environment)
    try:
        catalog = script.catalog()
    except PlaceError as error:
        return _result((), [str(error)])
    for options in configuration.places:
        if names and options.name not in names:
            continue
        # Jobs of different places run at the same time.
        folder = RecordFolder(environment["POSTGRES_BACKUP_COPY_FOLDER"], configuration.file_mode)
        began = time.monotonic()
        try:
            if folder.acquire(f"{options.name}{_LOCK}"):
                attempt, _record = _copy_to(options, configuration, script, catalog, environment)
                done.append((options, attempt, time.monotonic() - began))
            else:
                _log(f"{options.name}: another Job copies to it at this time: there is nothing to do")
        except OSError as error:
            # The other places do not wait for somebody to mend it.
            reason = f"its lock or its record on the backup volume cannot be used: {error}"
            _log(f"FAILED: {options.name}: {reason}")
            done.append((options, Attempt(state=FAILED, error=reason), time.monotonic() - began))
        finally:
            folder.release()
    return _result(done, ())


def retrieve_from(
    configuration: Configuration,
    name: str,
    backup: str | None,
    environment: Mapping[str, str],
    *,
    reads_copy: bool,
    public_keys: Sequence[str],
) -> dict[str, Any]:
    """Bring a copy from the place of that name back to the volume, by default the newest complete one; the result."""
    result: dict[str, Any] = {"state": "failed", "operation": "retrieve", "place": name, "backup": backup}
    began = time.monotonic()
    try:
        options = next((options for options in configuration.places if options.name == name), None)
        if options is None:
            known = ", ".join(options.name for options in configuration.places)
            raise PlaceError(f"expected the name of a place ({known}), found {name}")
        script = Script(environment["POSTGRES_BACKUP_COPY_SCRIPT"], environment)
        records = environment["POSTGRES_BACKUP_COPY_FOLDER"]
        # A backup that is needed does not wait for the window.
        with (
            scratch_folder(environment) as temporary,
            without_forgotten_partials(script.volume, configuration.name, records),
        ):
            place = _place(
                options,
                script,
                environment,
                closes=None,
                token="",
                temporary=temporary,
                check_part=None,
                unfinished=Unfinished(),
            )
            mirror = Mirror(script, options.policy, place.fetch_texts, temporary)
            mirror.checksums()
            entries: Mapping[str, Entry] = place.list_files()
            copies = mirror.plan(entries, ()).backups
            folder = RecordFolder(records, configuration.file_mode)
            on_volume = {one.name for one in script.catalog().backups}
            strangers = _record_before(options, folder).strangers(
                complete_among(entries, configuration.name), on_volume
            )
            files = VolumeFiles(script.volume, configuration.file_mode, secrets.token_hex(4))
            wanted = choose(backup, name, copies, strangers)

            def progress(activity: str, size_bytes: int) -> TransferProgress:
                return TransferProgress(
                    activity,
                    wanted.name,
                    name,
                    total_bytes(activity, options.kind, size_bytes),
                    reporter=_reporter(environment),
                    log=_log,
                    clock=time.monotonic,
                )

            texts = mirror.texts_of(wanted.name)
            require_recipient(wanted, texts.get(MANIFEST), public_keys)
            if f"{wanted.name}{KEEP_FILE}" in entries:
                texts[KEEP_FILE] = b""

            def find(name: str) -> Backup | None:
                return script.catalog().named(name)

            found = retrieve(wanted, place, texts, files, find, reads_copy=reads_copy, log=_log, progress=progress)
    except (PlaceError, OSError) as error:
        _log(f"FAILED: {error}")
        return {**result, "changed": False, "reason": str(error)}
    return {
        **result,
        "state": "succeeded",
        "backup": found.backup,
        "sha256": found.sha256,
        "size_bytes": found.size_bytes,
        "changed": found.is_new,
        "replaced_damaged": found.replaces_damaged,
        "copy_read": found.copy_is_read,
        "seconds": round(time.monotonic() - began, 1),
        "reason": None,
    }


def _end(_signal: int, _frame: FrameType | None) -> None:
    """As an exception, so that temporary files and rclone's processes end with this one."""
    raise SystemExit(143)


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status."""
    command, *others = arguments or [""]
    reads_copy = command == "retrieve" and others[:1] == [_READ_COPY]
    if reads_copy:
        del others[0]
    public_keys: list[str] = []
    if command == "retrieve" and others[:1] == [_PUBLIC_KEYS] and len(others) > 1:
        public_keys = others[1].split(",")
        del others[:2]
    if command not in ("copy", "retrieve") or (command == "retrieve" and len(others) not in (1, 2)):
        sys.stderr.write(
            f"usage: program copy [PLACE ...] | retrieve [{_READ_COPY}] [{_PUBLIC_KEYS} KEY[,KEY ...]] PLACE [BACKUP]\n"
        )
        return 2
    content = json.loads(Path(environment["POSTGRES_BACKUP_COPY_CONFIGURATION"]).read_text())
    configuration = parse_configuration(
        content, environment["POSTGRES_BACKUP_COPY_SECRETS"], environment["POSTGRES_BACKUP_COPY_PLACES"]
    )
    # Files that rclone writes: partial files on the volume, and copies at a share or a claim.
    os.umask(configuration.umask)
    signal.signal(signal.SIGTERM, _end)
    if command == "copy":
        result = copy(configuration, others, environment)
    else:
        backup = others[1] if len(others) > 1 else None
        how: dict[str, Any] = {"reads_copy": reads_copy, "public_keys": public_keys}
        result = retrieve_from(configuration, others[0], backup, environment, **how)
    _print_result(result, environment.get("POSTGRES_BACKUP_TERMINATION_LOG", "/dev/termination-log"))
    return 1 if result["reason"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
