# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""apt-get is called only when a package is missing, and a second time with fresh package lists when it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dev.buildkit import debian
from dev.buildkit.errors import ReportedError

# Writes each of its calls; an install fails as long as no update was asked for.
APT_GET = """#!/bin/sh
echo "$*" >>"$CALLS"
case " $* " in
    *" update "*) : >"$CALLS.updated" ;;
    *" install "*) [ -e "$CALLS.updated" ] || exit 100 ;;
esac
"""
DPKG_QUERY = """#!/bin/sh
echo "present installed"
echo "removed config-files"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that has the calls of apt-get."""
    for name, text in {"apt-get": APT_GET, "dpkg-query": DPKG_QUERY}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_installed_packages_need_no_apt(calls: Path) -> None:
    debian.install(["present"])
    assert not calls.exists()


def test_missing_packages_are_installed_after_an_update(calls: Path) -> None:
    debian.install(["present", "removed", "absent"])
    commands = [line.rpartition("DPkg::Lock::Timeout=300 ")[2] for line in calls.read_text().splitlines()]
    install = "install --no-install-recommends removed absent"
    assert commands == [install, "update", install]


def test_machine_without_apt_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReportedError, match="no apt-get"):
        debian.check_machine()
