# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The watch as a process, with the real script, a volume in a folder, and servers on this machine."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.receivers.listeners import Web, web
from tests.watch_program import SCRIPT, Program, copy_program, install

TOKEN = "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"
PHONE = {"name": "phone", "kind": "ntfy"}
SWITCH = {"name": "switch", "kind": "ping"}
CHAT = {"name": "chat", "kind": "webhook", "options": {"template": "slack"}}


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as found:
        yield found


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy of the program, so that Python compiles it once."""
    return copy_program(tmp_path_factory.mktemp("program"))


@pytest.fixture
def program(tmp_path: Path, server: Web, code: Path) -> Program:
    """A watch with a phone, a dead man's switch and a chat."""
    found = install(tmp_path, [PHONE, SWITCH, CHAT], code)
    found.add_secret(0, {"url": server.url("/secret-topic"), "token": TOKEN})
    found.add_secret(1, {"url": server.url("/secret-uuid")})
    found.add_secret(2, {"url": server.url("/secret-hook")})
    return found


def add_backup(program: Program) -> Path:
    path = program.volume / f"postgres-backup-{datetime.now(UTC):%Y-%m-%d-%H%M%S}.sql.gz"
    path.write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    return path


def result_of(process: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


def bodies(server: Web, path: str) -> list[str]:
    return [request.body.decode() for request in server.received if request.path == path]


def assert_record_is_listed(program: Program) -> None:
    """`backup.sh list` prints the record."""
    process = subprocess.run(
        ["sh", SCRIPT, "list"], env=program.environment(), capture_output=True, text=True, check=True
    )
    [line] = [line for line in process.stdout.splitlines() if line.startswith('{"type":"watch"')]
    assert json.loads(line)["record"] == program.record
    assert {item["name"]: item["state"] for item in program.record["channels"]} == {
        "phone": "works",
        "switch": "works",
        "chat": "works",
    }
    assert (program.state / "last-watch.json").stat().st_mode & 0o777 == 0o640


def test_a_fault_and_its_recovery(program: Program, server: Web) -> None:
    for _look in range(3):
        process = program.run()
        assert process.returncode == 0, process.stderr
    [text] = bodies(server, "/secret-topic")
    for words in ("Problem: backup", "Expected: a complete backup", "Found: ", "To do: ", "Command: ansible-playbook "):
        assert words in text
    assert len(bodies(server, "/secret-hook")) == 1
    assert server.paths().count("/secret-uuid/start") == 3 and server.paths().count("/secret-uuid/fail") == 2
    assert result_of(process)["problems"] == ["backup"]
    assert json.loads((program.folder / "termination-log").read_text()) == result_of(process)
    assert_record_is_listed(program)
    add_backup(program)
    for _look in range(2):
        assert program.run().returncode == 0
    assert [text.split("\n")[2] for text in bodies(server, "/secret-topic")][1:] == ["No longer a problem: backup"]
    assert len(bodies(server, "/secret-hook")) == 2
    assert program.record["state"] == "healthy"


def test_a_channel_that_fails_is_named_and_the_others_get_theirs(program: Program, server: Web) -> None:
    server.answers["/secret-topic"] = 403
    program.run()
    process = program.run()
    assert process.returncode == 1
    reason = "the channel phone (ntfy): the server answered 403 Forbidden. Check the token, or user and password"
    assert result_of(process)["reason"] == reason and f"FAILED: {reason}" in process.stdout
    assert len(bodies(server, "/secret-hook")) == 1
    server.answers.clear()
    program.run()
    assert len(bodies(server, "/secret-hook")) == 1 and len(bodies(server, "/secret-topic")) == 2


def test_no_secret_anywhere(program: Program, server: Web) -> None:
    """Not in the output, the records, the messages, or the arguments and the environment of the processes."""
    server.answers = {"/secret-topic": 500, "/secret-hook": 404}
    server.body = TOKEN.encode()
    seen = []
    (program.folder / "watch.json").write_text(json.dumps(program.content))
    for word in ("look", "test"):
        with subprocess.Popen(
            program.command(word),
            env=program.environment(),
            cwd=program.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            while process.poll() is None:
                for path in Path("/proc").glob("[0-9]*"):
                    for name in ("cmdline", "environ"):
                        try:
                            seen.append((path / name).read_bytes())
                        except OSError:
                            continue
            assert process.stdout is not None
            seen.append(process.stdout.read())
    seen += [path.read_bytes() for path in program.volume.rglob("*") if path.is_file()]
    seen += [(program.folder / "termination-log").read_bytes(), *(request.body for request in server.received)]
    everything = b"\n".join(seen)
    assert b"answered 500" in everything and b"look" in everything
    for secret in (TOKEN, "secret-topic", "secret-uuid", "secret-hook"):
        assert secret.encode() not in everything


def test_the_test_message(program: Program, server: Web) -> None:
    server.answers["/secret-hook"] = 410
    process = program.run("test")
    assert process.returncode == 1
    assert result_of(process)["channels"] == [
        {"name": "phone", "kind": "ntfy", "state": "works", "error": None},
        {"name": "switch", "kind": "ping", "state": "works", "error": None},
        {"name": "chat", "kind": "webhook", "state": "failed", "error": "the server answered 410 Gone"},
    ]
    assert server.paths() == ["/secret-topic", "/secret-uuid/log", "/secret-hook"]
    assert list(program.state.iterdir()) == [], "a test changes no state"


def test_killed_between_sending_and_remembering(program: Program, tmp_path: Path) -> None:
    """Once more, since the phone had received it; the chat, which had not, receives it once."""
    program.run()
    with web(silent=True) as slow:
        program.add_secret(2, {"url": slow.url("/chat")})
        with subprocess.Popen(program.command("look"), env=program.environment(), cwd=tmp_path) as process:
            deadline = time.monotonic() + 20
            while not slow.received and time.monotonic() < deadline:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        assert len(slow.received) == 1
    with web() as chat:
        program.add_secret(2, {"url": chat.url("/chat")})
        program.run()
        assert len(chat.received) == 1


def test_two_watches_at_once(program: Program) -> None:
    program.run()
    with web(silent=True) as slow:
        program.add_secret(2, {"url": slow.url("/chat")})
        with subprocess.Popen(program.command("look"), env=program.environment(), cwd=program.folder) as process:
            deadline = time.monotonic() + 20
            while not slow.received and time.monotonic() < deadline:
                time.sleep(0.02)
            second = program.run()
            assert "another look" in second.stdout and second.returncode == 0
            slow.wait.set()
            process.wait(timeout=20)
        assert len(slow.received) == 1


def test_a_volume_without_the_mount(program: Program, server: Web) -> None:
    """What is wrong with the volume is in the message."""
    for _look in range(2):
        process = program.run(POSTGRES_BACKUP_EXPECTED_MOUNT="nas:/volume1")
        assert process.returncode == 0
    [text] = bodies(server, "/secret-topic")
    assert "Problem: volume" in text and "expected nas:/volume1" in text


def test_a_script_that_hangs(program: Program, server: Web) -> None:
    slow = program.folder / "slow.sh"
    slow.write_text('sleep 300 & echo $! >"$TMPDIR/pid"; wait\n')
    program.program = copy_program(program.folder / "program")
    path = program.program / "ansible_collections/homelab/postgres_backup/plugins/module_utils/_watch/program.py"
    path.write_text(
        path.read_text().replace("_LISTING_SECONDS, _FILE_SECONDS = 240, 30", "_LISTING_SECONDS, _FILE_SECONDS = 1, 30")
    )
    for _look in range(2):
        assert program.run(POSTGRES_BACKUP_WATCH_SCRIPT=str(slow)).returncode == 0
    assert "no listing within 1 seconds" in bodies(server, "/secret-topic")[0]
    assert not is_running((program.folder / "tmp" / "pid").read_text().strip())


def is_running(process: str) -> bool:
    """Whether the process exists, and is more than an entry that its parent has not read yet."""
    try:
        return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_folder_that_cannot_be_written(program: Program) -> None:
    program.state.rmdir()
    process = program.run()
    assert process.returncode == 1
    assert "the watch cannot record what it has reported: No such file or directory" in result_of(process)["reason"]
