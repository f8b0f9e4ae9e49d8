# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The tools image of the tests is the one that the documentation's Containerfile builds."""

from __future__ import annotations

import re
from pathlib import Path

from dev.cluster.devcluster.debian_images import PREFERENCES, TOOLS

CONTAINERFILE = (
    Path(__file__).resolve().parents[4].joinpath("docs/examples/tools-image/Containerfile").read_text(encoding="utf-8")
)


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of a kind, in one line each."""
    joined = CONTAINERFILE.replace("\\\n", " ")
    return [" ".join(line.split()[1:]) for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_packages() -> None:
    (run,) = instructions("RUN")
    (packages,) = re.findall(r"--no-install-recommends ([a-z0-9./ -]+) && ", run)
    assert tuple(packages.split()) == TOOLS.packages


def test_packages_of_other_suites() -> None:
    (run,) = instructions("RUN")
    (pins,) = re.findall(rf"printf '(.*)' >{PREFERENCES} && ", run)
    assert pins.replace(r"\n", "\n") == TOOLS.preferences
    assert re.findall(r"s/\^Suites:\.\*/Suites: (\w+)/", run) == [*TOOLS.other_suites] == ["sid"]


def test_release() -> None:
    assert instructions("FROM") == [f"docker.io/library/debian:{TOOLS.suite}-slim"]


def test_user_environment_and_command() -> None:
    assert instructions("USER") == [TOOLS.user]
    assert dict(each.split("=", 1) for each in instructions("ENV")) == TOOLS.environment
    assert instructions("CMD") == ['["sh"]']
