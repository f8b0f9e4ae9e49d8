# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables of rclone for a server, files of a mounted place, and where a place is."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._copy.configuration import PlaceOptions, parse_configuration
from plugins.module_utils._copy.faults import PlaceError, WindowClosedError
from plugins.module_utils._copy.place import RclonePlace, variables_of
from tests.copy_program import DEFAULTS, NAME
from tests.stores.loopback import rclone


def parsed(place: dict[str, Any], folder: Path) -> PlaceOptions:
    content = {"name": NAME, "namespace": "data", "time_zone": "Etc/UTC", "file_mode": "0640"}
    given = {**content, "places": [{**DEFAULTS, **place}]}
    (options,) = parse_configuration(given, str(folder / "secrets"), str(folder)).places
    return options


def mounted(
    folder: Path, clock: Callable[[], float] = time.monotonic, closes: float | None = None, **options: Any
) -> RclonePlace:
    (folder / "0").mkdir()
    (folder / "0" / "file").write_bytes(bytes(2 << 20))
    usb = parsed({"name": "usb", "kind": "claim", **options}, folder)
    return RclonePlace(usb, str(folder), environment={}, clock=clock, closes=closes, token="0")  # noqa: S106 - of file names


@pytest.fixture
def place(tmp_path: Path) -> RclonePlace:
    return mounted(tmp_path)


def test_a_mounted_place_is_read_within_its_bandwidth(tmp_path: Path) -> None:
    limited = mounted(tmp_path, bandwidth_bytes=4 << 20)
    began = time.monotonic()
    assert limited.read("file", lambda _size: None).size_bytes == 2 << 20
    assert time.monotonic() - began >= 0.5


def test_a_mounted_place_is_read_until_its_window_closes(tmp_path: Path) -> None:
    read: list[int] = []
    closing = mounted(tmp_path, lambda: 10.0 * len(read), closes=5)
    with pytest.raises(WindowClosedError):
        closing.read("file", read.append)
    assert read == [1 << 20]


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
