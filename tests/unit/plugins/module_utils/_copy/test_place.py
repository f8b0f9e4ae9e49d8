# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Files of a mounted place that cannot be read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from plugins.module_utils._copy.configuration import parse_configuration
from plugins.module_utils._copy.faults import PlaceError
from plugins.module_utils._copy.place import RclonePlace
from tests.copy_program import DEFAULTS, NAME


@pytest.fixture
def place(tmp_path: Path) -> RclonePlace:
    (tmp_path / "0").mkdir()
    content = {
        "name": NAME,
        "namespace": "data",
        "time_zone": "Etc/UTC",
        "file_mode": "0640",
        "places": [{**DEFAULTS, "name": "usb", "kind": "claim"}],
    }
    (options,) = parse_configuration(content, str(tmp_path / "secrets"), str(tmp_path)).places
    return RclonePlace(options, str(tmp_path), environment={}, clock=time.monotonic, closes=None, token="0")  # noqa: S106 - of file names


def test_a_file_that_is_not_there(place: RclonePlace) -> None:
    with pytest.raises(PlaceError, match="backup is not there") as found:
        place.read("backup", lambda _size: None)
    assert found.value.is_absence


def test_a_folder_in_place_of_a_file(place: RclonePlace, tmp_path: Path) -> None:
    (tmp_path / "0" / "backup").mkdir()
    with pytest.raises(PlaceError, match="Is a directory"):
        place.read("backup", lambda _size: None)
