# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""apt-get is called only when a package is missing, and a second time with fresh package lists when it fails.

apt-get and dpkg-query are stand-ins: a machine without package lists cannot be made without changing this one.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dev.buildkit import debian
from dev.buildkit.errors import ReportedError

# Writes each of its calls; an install fails and no source is listed as long as no update was asked for.
APT_GET = """#!/bin/sh
echo "$*" >>"$CALLS"
case " $* " in
    *" update "*) : >"$CALLS.updated" ;;
    *" install "*) [ -e "$CALLS.updated" ] || exit 100 ;;
    *" indextargets "*)
        [ -e "$CALLS.updated" ] || exit 0
        printf '%s\\n' "Other/Other/main http://127.0.0.1/other/" ${DEBIAN_SOURCE:+"$DEBIAN_SOURCE"}
        ;;
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


@pytest.mark.parametrize(
    ("source", "address"), [("Debian/Debian/main http://127.0.0.1/debian/", "http://127.0.0.1/debian/"), ("", None)]
)
def test_repository_is_found_without_package_lists(
    calls: Path, monkeypatch: pytest.MonkeyPatch, source: str, address: str | None
) -> None:
    """Where every package was installed already, nothing has refreshed the lists."""
    monkeypatch.setenv("DEBIAN_SOURCE", source)
    assert debian.repository() == address
    before = calls.read_text().splitlines()
    assert [line.split()[-1] for line in before] == ["Packages", "update", "Packages"]
    if address:
        assert debian.repository() == address
        assert len(calls.read_text().splitlines()) == len(before) + 1


def test_machine_without_apt_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ReportedError, match="no apt-get"):
        debian.check_machine()
