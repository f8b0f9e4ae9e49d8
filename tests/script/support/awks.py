# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The script's awk files by themselves, under each awk that images have."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

import pytest

from .combinations import AWKS, program
from .script_files import source

each_awk = pytest.mark.parametrize("awk", AWKS)


def run_awk(awk: str, files: Sequence[str], variables: Mapping[str, str], text: str | bytes, **environment: str) -> str:
    """What the files print for the text: UTF-8."""
    command = [str(program(awk)), *(["awk"] if awk == "busybox" else [])]
    for name, value in variables.items():
        command += ["-v", f"{name}={value}"]
    for file in files:
        command += ["-f", str(source() / file)]
    raw = text.encode() if isinstance(text, str) else text
    done = subprocess.run(command, input=raw, capture_output=True, check=False, env={"LC_ALL": "C", **environment})
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode(errors="replace")
    return done.stdout.decode("utf-8")
