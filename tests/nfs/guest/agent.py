# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""In the guest: runs the commands that it gets through the serial port, each in a separate thread.

One JSON object a line. A call: {"id", "argv", "env", "input"};
its answer, when the program has ended: {"id", "code", "out", "log"}.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

_lock = threading.Lock()


def _answer(port: Any, answer: dict[str, Any]) -> None:
    line = json.dumps(answer).encode() + b"\n"
    with _lock:
        while line:
            line = line[port.write(line) :]


def _call(port: Any, call: dict[str, Any]) -> None:
    try:
        done = subprocess.run(
            call["argv"],
            env=call["env"],
            input=call["input"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        _answer(port, {"id": call["id"], "code": done.returncode, "out": done.stdout, "log": done.stderr})
    except Exception as error:
        _answer(port, {"id": call["id"], "code": 127, "out": "", "log": f"the agent could not run it: {error!r}"})


def main() -> None:
    with open(sys.argv[1], "r+b", buffering=0) as port:
        _answer(port, {"id": 0, "code": 0, "out": "", "log": ""})
        begun = b""
        while data := port.read(65536):
            *lines, begun = (begun + data).split(b"\n")
            for line in lines:
                threading.Thread(target=_call, args=(port, json.loads(line)), daemon=True).start()
    # Nobody is there any more.
    Path("/proc/sysrq-trigger").write_text("o")


main()
