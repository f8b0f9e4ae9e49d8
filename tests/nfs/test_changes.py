# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Files of a run are changed or removed on the server while it runs: the run never reports a false success."""

from __future__ import annotations

import re

import pytest

from tests.in_turn import weekly

from .shares import Guest

_FLIP = """
stamp=$(stat -c %y "$1")
printf X | dd of="$1" bs=1 seek=5000 conv=notrunc status=none
touch -d "$stamp" "$1"
"""


# Both the last part of the decompression and the read-back may meet it first.
_CHANGED = "the volume does not hold what was written|the compressed dump cannot be read back"


@pytest.mark.weekly
@pytest.mark.parametrize(
    ("step", "file", "change", "reason"),
    [
        pytest.param("read_back", ".*.partial", _FLIP, _CHANGED, id="written file changed"),
        weekly(
            "read_back",
            ".*.partial",
            'rm "$1"',
            "cannot be read back from the volume|the backup volume failed",
            id="written file removed",
        ),
        weekly("dump", ".*.partial", 'rm "$1"', "volume", id="open file removed"),
        weekly(
            "checksum_file_read",
            "postgres-backup-????-??-??-??????.sql.gz.sha256",
            'echo other >"$1"',
            "volume",
            id="checksum file changed",
        ),
    ],
)
def test_volume_changed_on_the_server(guest: Guest, step: str, file: str, change: str, reason: str) -> None:
    share = guest.share()
    run = guest.start("run", share.mount(), gate=step)
    run.wait_for_gate()
    share.sh(f"set -- $(ls -d {file} | grep -v 2026-01-0); [ $# = 1 ]; {change}")
    run.open_gate()
    outcome = run.finish(1)
    assert re.search(reason, outcome.log), outcome.log
    share.check_older()
    share.check_whole()
    assert share.backups() == [] and share.partials() == []
    assert share.last_run["state"] == "failed"
