# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables of rclone for a server, and files of a mounted place that cannot be read."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._copy.configuration import PlaceOptions, parse_configuration
from plugins.module_utils._copy.faults import PlaceError
from plugins.module_utils._copy.place import RclonePlace, variables_of
from tests.copy_program import DEFAULTS, NAME
from tests.stores.loopback import rclone


def parsed(place: dict[str, Any], folder: Path) -> PlaceOptions:
    content = {"name": NAME, "namespace": "data", "time_zone": "Etc/UTC", "file_mode": "0640"}
    given = {**content, "places": [{**DEFAULTS, **place}]}
    (options,) = parse_configuration(given, str(folder / "secrets"), str(folder)).places
    return options


@pytest.fixture
def place(tmp_path: Path) -> RclonePlace:
    (tmp_path / "0").mkdir()
    options = parsed({"name": "usb", "kind": "claim"}, tmp_path)
    return RclonePlace(options, str(tmp_path), environment={}, clock=time.monotonic, closes=None, token="0")  # noqa: S106 - of file names


def test_a_file_that_is_not_there(place: RclonePlace) -> None:
    with pytest.raises(PlaceError, match="backup is not there") as found:
        place.read("backup", lambda _size: None)
    assert found.value.is_absence


def test_a_folder_in_place_of_a_file(place: RclonePlace, tmp_path: Path) -> None:
    (tmp_path / "0" / "backup").mkdir()
    with pytest.raises(PlaceError, match="Is a directory"):
        place.read("backup", lambda _size: None)


@pytest.mark.parametrize("password", ["plain", " with spaces ", "a!b$c\"d\\e'f", "-ü#%41"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_is_used_as_it_is(password: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{rclone().parent}:{os.environ['PATH']}")
    options = parsed({"name": "nas", "kind": "sftp", "options": {"host": "nas", "user": "backup"}}, tmp_path)
    found = variables_of(options, {"known_hosts": "x", "password": f"{password}{end}"})["pass"]
    # One text in 64 begins with a hyphen.
    revealed = subprocess.run(["rclone", "reveal", "--", found], capture_output=True, text=True, check=True).stdout
    assert revealed == f"{password}\n"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("nas", "nas"),
        ("192.168.2.3", "192.168.2.3"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_an_ipv6_address_is_in_brackets(host: str, expected: str, tmp_path: Path) -> None:
    """rclone appends a colon and the port to it."""
    options = parsed({"name": "nas", "kind": "sftp", "options": {"host": host, "user": "backup"}}, tmp_path)
    assert variables_of(options, {"known_hosts": "x", "private_key": "x"})["host"] == expected
