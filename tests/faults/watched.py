# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the watch reports about an installation of the fault matrix: its program checks what a fault has left."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.cluster.support.kube import NAME
from tests.receivers.listeners import Web, web
from tests.watch_program import Program, install

# A watch reports within two of its periods.
PERIODS = 2
# The run's record is touched each minute; the script takes a run without a recent touch for an interrupted one.
_INTERRUPTED_SECONDS = 3600


@dataclass
class Watched:
    """A watch that begins anew; `kinds` are those of its messages: alarm, recovery, digest."""

    program: Program
    receiver: Web

    @property
    def messages(self) -> list[dict[str, str]]:
        return [json.loads(request.body) for request in self.receiver.received]

    @property
    def kinds(self) -> list[str]:
        return [message["kind"] for message in self.messages]

    def told(self) -> str:
        """The title of each message, without the installation's name."""
        titles = [f"{message['kind']}: {message['title'].partition(': ')[2]}" for message in self.messages]
        return "; ".join(titles) or "no message"

    def look(self, times: int = PERIODS) -> None:
        self._let_an_hour_pass()
        for _period in range(times):
            process = self.program.run()
            assert process.returncode == 0, process.stdout + process.stderr

    def _let_an_hour_pass(self) -> None:
        """For the record of a run that was killed; no run is active."""
        record = self.program.volume / f"{NAME}.last-run.json"
        if record.read_text().startswith('{"state":"running"'):
            then = time.time() - _INTERRUPTED_SECONDS
            os.utime(record, (then, then))


@contextlib.contextmanager
def watched(volume: Path, program: Path, namespace: str) -> Iterator[Watched]:
    """`program` is a copy of the program of the watch."""
    with web() as receiver, TemporaryDirectory() as folder:
        channel = {"name": "chat", "kind": "webhook", "options": {"template": "json"}}
        made = install(Path(folder), [channel], program, volume, name=NAME, namespace=namespace)
        made.add_secret(0, {"url": receiver.url()})
        yield Watched(made, receiver)
