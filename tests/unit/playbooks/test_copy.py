# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the playbook copy shows of each place."""

from __future__ import annotations

import pytest

from .recorded import WELL, Recorded

FAILED = {
    "name": "friend",
    "kind": "sftp",
    "state": "failed",
    "copied": [],
    "deleted": [],
    "bytes": 0,
    "seconds": 1,
    "error": "the server refused the key",
}


def test_findings_at_a_place_that_has_all_copies_are_shown(recorded: Recorded) -> None:
    answer = WELL["backup_copy"]
    deleted, unlocked = "no longer there, though not deleted by retention: a.sql.gz", "not locked: b.sql.gz"
    recorded.answers["default"]["backup_copy"] = {
        **answer,
        "places": [{**answer["places"][0], "findings": [deleted, unlocked]}, {**FAILED, "error": None}],
    }
    done = recorded("copy")
    assert done.status == 0 and done.has_no_template_error(), done.output
    assert f'"found at cloud: {deleted}",' in done.output and f'"found at cloud: {unlocked}"' in done.output


@pytest.mark.parametrize(("attached", "words"), [(False, "Would be started: "), (True, "In progress: ")])
def test_a_check_shows_the_jobs(recorded: Recorded, attached: bool, words: str) -> None:
    recorded.answers["default"]["backup_copy"] = {
        **WELL["backup_copy"], "attached": attached, "state": None, "places": [], "jobs": ["copy-1", "copy-usb-1"]
    }  # fmt: skip
    done = recorded("copy", "--check")
    assert done.status == 0 and done.has_no_template_error(), done.output
    assert f"{words}Job copy-1, Job copy-usb-1. What the places lack is not read in check mode." in done.output


def test_the_places_are_shown(recorded: Recorded) -> None:
    answer = WELL["backup_copy"]
    failure = {"failed": True, "msg": "1 of 2 places failed", "state": "failed", "reason": "1 of 2 places failed"}
    recorded.answers["fails"] = {"backup_copy": {**answer, **failure, "places": [*answer["places"], FAILED]}}
    done = recorded.many("copy", {"fails": {}, "works": {"postgres_backup_copy_places": "cloud,nas"}})
    assert done.has_no_template_error(), done.output
    assert "place   kind  state   copied  deleted        size  error" in done.output
    assert "cloud   s3    copied       1        0  3.00 Bytes  -" in done.output
    assert "friend  sftp  failed       0        0  0.00 Bytes  the server refused the key" in done.output
    (works,) = done.of("works")
    (fails,) = done.of("fails")
    assert (works.options["places"], fails.options["places"]) == (["cloud", "nas"], [])
    stats = done.stats("copy")
    assert (stats["works"]["failed"], stats["works"]["copied"], stats["works"]["failed_places"]) == (False, 1, [])
    assert (stats["fails"]["failed"], stats["fails"]["failed_places"]) == (True, ["friend"])
    assert stats["fails"]["message"] == "1 of 2 places failed"
