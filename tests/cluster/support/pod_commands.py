# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Commands in a pod, through `kubectl exec`."""

from __future__ import annotations

import base64
import shlex
import subprocess
import time
from dataclasses import dataclass


class PodShell:
    """Commands in a pod by one `kubectl exec`: to begin one for each takes longer than most commands."""

    _LOOP = """
while read -r input command; do
    printf %s "$input" | base64 -d | eval "$(printf %s "$command" | base64 -d)" >/tmp/shell.out 2>/tmp/shell.error
    echo "$? $(wc -c </tmp/shell.out) $(wc -c </tmp/shell.error)"
    cat /tmp/shell.out /tmp/shell.error
done
"""

    def __init__(self, namespace: str, pod: str) -> None:
        self._process = subprocess.Popen(
            ["kubectl", "exec", "-i", pod, "-n", namespace, "--", "sh", "-c", self._LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Exit status, standard output and standard error."""
        assert self._process.stdin is not None and self._process.stdout is not None
        # Never an empty word: `read` would take the next one for it. A newline more is nothing to psql.
        request = [base64.b64encode(part) for part in (stdin + b"\n", shlex.join(words).encode())]
        self._process.stdin.write(b" ".join(request) + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        assert len(answer) == 3, f"the shell in the pod ended: {answer!r}"
        status, out, error = map(int, answer)
        return status, self._process.stdout.read(out), self._process.stdout.read(error)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class PodCommands:
    """As PodShell, by an exec for each command: it works again after the API server or the container was gone.

    A kubelet that was just started knows its pods only after a moment.
    """

    namespace: str
    pod: str

    def run(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        command = ["kubectl", "exec", "-i", self.pod, "-n", self.namespace, "--", *words]
        for _ in range(60):
            done = subprocess.run(command, input=stdin, capture_output=True, check=False)
            if b"unable to upgrade connection" not in done.stderr:
                break
            time.sleep(0.5)
        return done.returncode, done.stdout, done.stderr
