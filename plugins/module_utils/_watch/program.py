# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The program in the pod of a watch: `python3 -m …_watch.program look`, or `test` for one test message.

Its last line, which is also its termination message, is the result as JSON. Exit status: 0 if the watch did its work,
whatever it found on the volume; 1 if a channel does not work or the watch cannot record what it has reported.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .._volume.backup_names import TIME_FORMAT
from .._volume.record_folder import RecordFolder
from .configuration import PING, PUSHGATEWAY, Channel, Configuration, parse_configuration
from .delivery import DeliveryError, send_message, send_request, within
from .look import Outcome, SendError, look
from .messages import Message, message_for_test
from .requests import LOG, ping_request, push_request
from .series import group_for_test, grouping_path

STATE, RECORD = "state.json", "last-watch.json"
# How long the volume may take for its listing and for a file.
_LISTING_SECONDS, _FILE_SECONDS = 240, 30
_SERIES_BYTES = 1 << 20
_TERMINATION_BYTES = 4096


class Pod:
    """The surroundings of a look in a pod (`look.Surroundings`)."""

    def __init__(self, configuration: Configuration, folder: RecordFolder, environment: Mapping[str, str]) -> None:
        self._configuration = configuration
        self._folder = folder
        self._script = environment["POSTGRES_BACKUP_WATCH_SCRIPT"]
        self._series = Path(environment["POSTGRES_BACKUP_DIR"], f"{configuration.name}.prom")

    def read_state(self) -> str | None:
        return within(_FILE_SECONDS, lambda: self._folder.read(STATE))

    def write_state(self, text: str) -> None:
        within(_FILE_SECONDS, lambda: self._folder.write(STATE, text))

    def write_record(self, text: str) -> None:
        within(_FILE_SECONDS, lambda: self._folder.write(RECORD, text))
        within(_FILE_SECONDS, self._folder.keep_reserve)

    def list_volume(self) -> list[str]:
        # In a separate session, so that all its processes can be ended.
        process = subprocess.Popen(
            ["sh", self._script, "list", "--history"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _unused = process.communicate(timeout=_LISTING_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # It is not waited for: a process that reads from a network file system may not end.
            raise TimeoutError(0, f"no listing within {_LISTING_SECONDS} seconds") from None
        return output.decode("utf-8", "replace").splitlines()

    def read_series(self) -> str:
        try:
            return within(_FILE_SECONDS, self._read_series)
        except (OSError, TimeoutError):
            return ""

    def _read_series(self) -> str:
        descriptor = os.open(self._series, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(_SERIES_BYTES).decode("utf-8", "replace")

    def send(self, channel: Channel, message: Message) -> None:
        _sent(lambda: send_message(channel, message))

    def ping(self, channel: Channel, event: str, text: str) -> None:
        _sent(lambda: send_request(channel, lambda secrets: ping_request(channel, secrets, event, text)))

    def push(self, channel: Channel, text: str) -> None:
        path = grouping_path(self._configuration)
        _sent(lambda: send_request(channel, lambda secrets: push_request(channel, secrets, path, text)))

    def log(self, text: str) -> None:
        _log(text)


def _sent(send: Callable[[], None]) -> None:
    try:
        send()
    except DeliveryError as error:
        raise SendError(str(error)) from None


def _log(text: str) -> None:
    _print(f"{datetime.now(timezone.utc).strftime(TIME_FORMAT)} {text}")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def send_test_messages(configuration: Configuration, now: datetime) -> dict[str, Any]:
    """Send one test message through each channel; the result."""
    channels: list[dict[str, str | None]] = []
    for channel in configuration.channels:
        try:
            _test(channel, configuration, message_for_test(configuration, now))
        except DeliveryError as error:
            channels.append({"name": channel.name, "kind": channel.kind, "state": "failed", "error": str(error)})
        else:
            channels.append({"name": channel.name, "kind": channel.kind, "state": "works", "error": None})
    faults = [f"the channel {item['name']} ({item['kind']}): {item['error']}" for item in channels if item["error"]]
    return {
        "state": "failed" if faults else "succeeded",
        "operation": "watch_test",
        "channels": channels,
        "reason": "; ".join(faults) or None,
    }


def _test(channel: Channel, configuration: Configuration, message: Message) -> None:
    if channel.takes_messages:
        send_message(channel, message)
    elif channel.kind == PING:
        send_request(channel, lambda secrets: ping_request(channel, secrets, LOG, message.text))
    elif channel.kind == PUSHGATEWAY:
        # A separate group, which is deleted again.
        path = group_for_test(configuration)
        text = "# TYPE postgres_backup_watch_test gauge\npostgres_backup_watch_test 1\n"
        send_request(channel, lambda secrets: push_request(channel, secrets, path, text))
        send_request(channel, lambda secrets: push_request(channel, secrets, path, "", method="DELETE"))


def _look_result(outcome: Outcome) -> dict[str, Any]:
    record = outcome.record
    return {
        "state": "failed" if outcome.faults else "succeeded",
        "operation": "watch",
        "installation": record["state"],
        "problems": [problem["check"] for problem in record["problems"]],
        "channels": [
            {key: channel[key] for key in ("name", "kind", "state", "error")} for channel in record["channels"]
        ],
        "reason": "; ".join(outcome.faults) or None,
    }


def _print_result(result: dict[str, Any], termination_log: str) -> None:
    text = json.dumps(result, separators=(",", ":"))
    if len(text) > _TERMINATION_BYTES:  # Kubernetes cuts what is longer
        short = json.dumps({**result, "channels": [], "reason": str(result["reason"])[:1000]}, separators=(",", ":"))
    else:
        short = text
    with contextlib.suppress(OSError):
        Path(termination_log).write_text(short)
    _print(text)


def _is_alone(folder: RecordFolder) -> bool:
    try:
        return within(_FILE_SECONDS, folder.acquire)
    except (OSError, TimeoutError):
        return True  # the look reports what is wrong with the folder


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status."""
    if list(arguments) not in (["look"], ["test"]):
        sys.stderr.write("usage: program look | test\n")
        return 2
    content = json.loads(Path(environment["POSTGRES_BACKUP_WATCH_CONFIGURATION"]).read_text())
    now = datetime.now(timezone.utc).replace(microsecond=0)
    configuration = parse_configuration(content, environment["POSTGRES_BACKUP_WATCH_SECRETS"], now)
    termination_log = environment.get("POSTGRES_BACKUP_TERMINATION_LOG", "/dev/termination-log")
    if list(arguments) == ["test"]:
        result = send_test_messages(configuration, now)
    else:
        folder = RecordFolder(environment["POSTGRES_BACKUP_WATCH_FOLDER"], configuration.file_mode)
        if not _is_alone(folder):
            _log("another look is in progress: there is nothing to do")
            return 0
        result = _look_result(look(configuration, Pod(configuration, folder, environment), now))
    for fault in (result["reason"] or "").split("; ") if result["reason"] else []:
        _log(f"FAILED: {fault}")
    _print_result(result, termination_log)
    return 1 if result["reason"] else 0


if __name__ == "__main__":
    status = main(sys.argv[1:], os.environ)
    sys.stdout.flush()
    # Threads that wait for a file system or a server must not keep the process.
    os._exit(status)
