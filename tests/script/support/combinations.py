# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The shells and awks that images have, and a PATH as each image would have it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests import in_turn

SHELLS = ("dash", "bash", "busybox")
AWKS = ("mawk", "gawk", "busybox")
# Alternatives that decide what is tested: only a combination or a test may bring them in.
_CHOSEN_PER_TEST = {"awk", "mawk", "gawk", "nawk", "original-awk", "sh", "igzip", "pigz", "busybox"}


@dataclass(frozen=True)
class Combination:
    """A shell and an awk that the script must work with."""

    shell: str
    awk: str

    def __str__(self) -> str:
        return f"{self.shell}-{self.awk}"


ALL = tuple(Combination(shell, awk) for shell in SHELLS for awk in AWKS)
# As images have them: Debian's, those with bash (Red Hat's bring it with gawk), and Alpine's. Every shell and every awk
# is in one of them, so what a shell or an awk gets wrong by itself is found. Each case has one of these in turn; with
# TESTS_ALL=1, as in the weekly run, it has all nine.
PAIRINGS = (
    ALL
    if in_turn.ALL
    else (Combination("dash", "mawk"), Combination("bash", "gawk"), Combination("busybox", "busybox"))
)
# For tests of the data between the shell and the awk: a listing, its verdicts and JSON, a complete run.
# Each has every pairing: every shell and every awk once.
under_all = pytest.mark.parametrize("combination", PAIRINGS, ids=str)
# For what is the same under each, and slow.
under_one = pytest.mark.parametrize("combination", PAIRINGS[:1], ids=str)


def program(name: str) -> Path:
    """Where a program lies on this machine. A missing one is a failure, never a skip."""
    found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        raise AssertionError(
            f"the program {name} is missing on this machine; dev/test installs what tests/script needs"
        )
    return Path(found)


@cache
def _essential_programs() -> dict[str, Path]:
    """The programs of a minimal Debian image: those of its essential packages."""
    query = ["dpkg-query", "-W", "-f", "${Essential} ${Package}\n"]
    lines = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()
    packages = [line.split()[1] for line in lines if line.startswith("yes ")]
    files = subprocess.run(["dpkg", "-L", *packages], check=True, capture_output=True, text=True).stdout.splitlines()
    paths = [Path(line) for line in files if line.startswith(("/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/"))]
    return {path.name: path for path in paths if path.is_file()}


@cache
def _busybox_applets() -> dict[str, Path]:
    busybox = program("busybox")
    listing = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout
    return dict.fromkeys(listing.split(), busybox)


def _link_all(directory: Path, programs: dict[str, Path]) -> None:
    for name, target in programs.items():
        if name not in _CHOSEN_PER_TEST:
            (directory / name).symlink_to(target)


def make_path(combination: Combination, directory: Path) -> list[Path]:
    """Fill a directory with links; returns the directories of the PATH, the one with the chosen awk first.

    With busybox's shell it holds nothing but busybox's applets, as in an Alpine image.
    """
    chosen = directory / "chosen"
    system = directory / "system"
    chosen.mkdir()
    system.mkdir()
    (chosen / "awk").symlink_to(program(combination.awk))
    (chosen / "sh").symlink_to(program(combination.shell))
    _link_all(system, _busybox_applets() if combination.shell == "busybox" else _essential_programs())
    if combination.shell == "bash":
        (system / "bash").unlink(missing_ok=True)
        (system / "bash").symlink_to(program("bash"))
    return [chosen, system]
