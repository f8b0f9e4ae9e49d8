# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup from another place: what the playbook retrieve shows, and that others continue with this backup."""

from __future__ import annotations

from typing import Any

import pyrage
import pytest

from .dumps import COMPLETE_BACKUP
from .recorded import BACKUP, WELL, Recorded

COMMAND = "ansible-playbook homelab.postgres_backup"
OLDER = "postgres-backup-2026-01-02-020000.sql.gz"
SHA256 = "1" * 64
PLACE = {"postgres_backup_place": "offsite"}
GIVEN: dict[str, Any] = {
    "postgres_backup_restore_confirmed": True,
    "postgres_backup_restore_database": "shop",
    "postgres_backup_restore_tables": ["orders"],
}
# The variable that names a backup, and the module that gets the one that was brought back.
CONTINUED = {
    "disaster": ("postgres_backup_restore_backup", "restore_cluster"),
    "drill": ("postgres_backup_drill_backup", "restore_drill"),
    "restore": ("postgres_backup_restore_backup", "restore_database"),
    "restore_table": ("postgres_backup_restore_backup", "restore_table"),
    "verify": ("postgres_backup_retrieve_backup", "backup_fetch"),
}
# What they say of the backup is meant of the copy, too.
PROVING = ("drill", "verify")
ANSWER: dict[str, Any] = {**WELL["backup_retrieve"], "backup": OLDER, "sha256": SHA256}


def test_what_was_brought_back_is_shown(recorded: Recorded) -> None:
    recorded.answers["there"] = {"backup_retrieve": {**WELL["backup_retrieve"], "changed": False}}
    recorded.answers["damaged"] = {"backup_retrieve": {**WELL["backup_retrieve"], "replaced_damaged": True}}
    recorded.answers["age"] = {"backup_retrieve": {**WELL["backup_retrieve"], "backup": f"{BACKUP}.age"}}
    named = {"postgres_backup_retrieve_backup": BACKUP, "postgres_backup_retrieve_timeout": "9h"}
    done = recorded.many(
        "retrieve",
        {
            "none": {},
            "there": {**PLACE, "postgres_backup_name": "other"},
            "named": {**PLACE, **named},
            "age": PLACE,
            "damaged": PLACE,
        },
    )
    assert done.has_no_template_error(), done.output
    for line in (
        f"backup   {BACKUP}",
        f"backup   {BACKUP} (it is on the volume already, undamaged)",
        f"backup   {BACKUP} (it was damaged on the volume)",
        "place    offsite",
        "size     2.00 KB",
        f"sha256   {'0' * 64}",
        f"verify   {COMMAND}.verify -e postgres_backup_namespace=named -e postgres_backup_place=offsite "
        f"-e postgres_backup_retrieve_backup={BACKUP}",
        f"drill    {COMMAND}.drill -e postgres_backup_namespace=there -e postgres_backup_name=other "
        f"-e postgres_backup_drill_backup={BACKUP}",
        f"restore  {COMMAND}.disaster -e postgres_backup_namespace=age -e postgres_backup_identity_file=identity.txt "
        f"-e postgres_backup_restore_backup={BACKUP}.age",
    ):
        assert f'"{line}"' in done.output
    asked = {call.options["namespace"]: [call.options[name] for name in ("backup", "timeout")] for call in done.calls}
    assert asked == {"named": [BACKUP, "9h"], **{key: [None, "6h"] for key in ("there", "age", "damaged")}}
    assert "postgres_backup_place: expected the name of a place" in done.about("none")
    left = done.stats("retrieve")
    assert {name: stats["changed"] for name, stats in left.items()} == {
        "named": True,
        "there": False,
        "age": True,
        "damaged": True,
    }
    assert (left["named"]["backup"], left["named"]["place"], left["named"]["seconds"]) == (BACKUP, "offsite", 3.0)


@pytest.mark.weekly
@pytest.mark.parametrize("playbook", CONTINUED)
def test_the_playbook_continues_with_the_backup(recorded: Recorded, playbook: str) -> None:
    variable, module = CONTINUED[playbook]
    path = recorded.here / BACKUP
    path.write_bytes(COMPLETE_BACKUP)
    recorded.answers["default"] |= {
        "backup_retrieve": ANSWER,
        # What the check of a restore has read.
        module: {**WELL[module], "backup": OLDER, "sha256": SHA256, "path": str(path)},
    }
    failure = {"failed": True, "msg": "the server refused the key"}
    recorded.answers["fails"] = {"backup_retrieve": failure}
    identity = recorded.here / "identity.txt"
    identity.write_text(str(pyrage.x25519.Identity.generate()))
    hosts: dict[str, dict[str, Any]] = {
        "any": {**PLACE, "postgres_backup_identity_file": identity.name},
        "named": {**PLACE, variable: OLDER},
        "fails": PLACE,
        "without": {"postgres_backup_place": ""},
    }
    done = recorded.many(playbook, {name: {**GIVEN, **of} for name, of in hosts.items()})
    assert done.has_no_template_error(), done.output
    for name, wanted in {"any": None, "named": OLDER}.items():
        names = [call.module for call in done.of(name)]
        retrieval = done.of(name)[names.index("backup_retrieve")]
        assert (retrieval.options["place"], retrieval.options["backup"]) == ("offsite", wanted)
        assert retrieval.options["read_copy"] is (playbook in PROVING)
        # What it does not decrypt is not brought back.
        assert retrieval.options["identity_file"] == (str(identity) if name == "any" else None)
        after = [call for call in done.of(name)[names.index("backup_retrieve") :] if call.module == module]
        assert after and {call.options["backup"] for call in after} == {OLDER}, done.output
        assert "backup_job" not in names
        assert done.stats(playbook)[name]["failed"] is False
    assert "backup_retrieve" not in [call.module for call in done.of("without")]
    assert done.of("fails")[-1].module == "backup_retrieve"
    left = done.stats(playbook)["fails"]
    assert (left["failed"], left["message"]) == (True, "the server refused the key")


@pytest.mark.weekly
@pytest.mark.parametrize("playbook", CONTINUED)
def test_a_check_ends_before_the_backup_is_on_the_volume(recorded: Recorded, playbook: str) -> None:
    recorded.answers["there"] = {"backup_retrieve": {**ANSWER, "changed": False}}
    # A volume that has nothing yet.
    failure = {"failed": True, "check": "drill", "msg": "expected a complete backup on the volume"}
    recorded.answers["lost"] = {"restore_cluster": failure}
    hosts = {name: {**GIVEN, **PLACE} for name in ("lost", "there")}
    done = recorded.many(playbook, hosts, "--check")
    assert done.has_no_template_error(), done.output
    assert "the newest complete backup would be brought back from offsite; without --check" in done.output
    assert f"{OLDER} is on the volume already" in done.output
    assert done.of("lost")[-1].module == "backup_retrieve" and done.of("there")[-1].module != "backup_retrieve"
    left = done.stats(playbook)
    assert {name: stats["failed"] for name, stats in left.items()} == {"lost": False, "there": False}, done.output
    assert left["lost"]["changed"] is True


@pytest.mark.parametrize("check", ["identity", "expectation"])
def test_a_wrong_option_is_found_before_anything_is_installed(recorded: Recorded, check: str) -> None:
    """It was taken for a volume without backups: the message was that there is no CronJob."""
    recorded.answers["default"]["restore_cluster"] = {"failed": True, "check": check, "msg": "no such file"}
    done = recorded("disaster", **PLACE, **GIVEN)
    assert [call.module for call in done.calls] == ["restore_cluster"], done.output
    (left,) = done.stats("disaster").values()
    assert (left["failed"], left["message"]) == (True, "no such file")


def test_an_identity_of_others_is_found_before_anything_is_installed(recorded: Recorded) -> None:
    """The file was uploaded first, to an installation that was made for it."""
    file, identity = recorded.here / BACKUP, recorded.here / "identity.txt"
    file.write_bytes(COMPLETE_BACKUP)
    identity.touch()
    recorded.answers["default"]["backup_upload"] = {"failed": True, "check": "identity", "msg": "that of others"}
    options = {"postgres_backup_restore_file": file.name, "postgres_backup_identity_file": identity.name}
    done = recorded("disaster", **options, **GIVEN)
    (call,) = done.calls
    assert (call.module, call.options["identity_file"]) == ("backup_upload", str(identity)), done.output
    (left,) = done.stats("disaster").values()
    assert (left["failed"], left["message"]) == (True, "that of others")


@pytest.mark.weekly
@pytest.mark.parametrize(
    ("playbook", "file"), [("disaster", "postgres_backup_restore_file"), ("verify", "postgres_backup_verify_file")]
)
def test_a_file_and_a_place_are_refused(recorded: Recorded, playbook: str, file: str) -> None:
    done = recorded(playbook, **{file: BACKUP}, **PLACE)
    assert done.status == 2 and not done.calls, done.output
    assert f"expected {file} or postgres_backup_place, found both." in done.output
