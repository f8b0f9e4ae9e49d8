# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs other programs; one that fails becomes an error with the end of its output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import ReportedError

_TAIL_LINES = 25


def tail(text: str, lines: int = _TAIL_LINES) -> str:
    """The last lines of a text."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def tail_of_file(path: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a file; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            return tail(file.read().decode(errors="replace"), lines)
    except FileNotFoundError:
        return ""


def run(
    arguments: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    advice: str = "",
) -> str:
    """Runs a program to its end and returns its standard output.

    `environment` is added to that of this process. Raises ReportedError when the program cannot be started or its exit
    status is not 0.
    """
    result = attempt(arguments, environment=environment, directory=directory)
    if result.returncode != 0:
        command = " ".join(str(argument) for argument in arguments)
        raise ReportedError(
            f"expected `{command}` to succeed, but its exit status was {result.returncode}",
            advice,
            tail(result.stdout + result.stderr),
        )
    return result.stdout


def attempt(
    arguments: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, whatever its exit status.

    Raises ReportedError when it cannot be started.
    """
    try:
        return subprocess.run(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **environment} if environment else None,
            cwd=directory,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise ReportedError(
            f"expected the program {arguments[0]} to be installed, but it was not found",
            "install it with apt-get, or run dev/cluster/up, which installs what the cluster needs",
        ) from error
