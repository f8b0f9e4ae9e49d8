# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The modes of what the program of the copies writes."""

from __future__ import annotations

import pytest

from plugins.module_utils._copy.configuration import Configuration


@pytest.mark.parametrize(
    ("file_mode", "of_a_file", "of_a_folder"),
    [
        (0o640, 0o640, 0o750),
        (0o600, 0o600, 0o700),
        (0o644, 0o644, 0o755),
        (0o660, 0o660, 0o770),
        (0o666, 0o666, 0o777),
    ],
)
def test_the_umask_gives_files_their_mode(file_mode: int, of_a_file: int, of_a_folder: int) -> None:
    umask = Configuration("backup", "data", "Etc/UTC", file_mode, ()).umask
    assert (0o666 & ~umask, 0o777 & ~umask) == (of_a_file, of_a_folder)
