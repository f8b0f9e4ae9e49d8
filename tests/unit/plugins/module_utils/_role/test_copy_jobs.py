# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The CronJobs of the copies, and what their program and the watch read of the places."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from plugins.module_utils._role.copy_jobs import copy_jobs
from plugins.module_utils._role.copy_places import location_text
from plugins.module_utils._role.watch_options import watch_configuration
from plugins.module_utils._volume.copy_health import ConfiguredPlace, CopySchedule
from plugins.module_utils._watch.configuration import parse_configuration

from .default_variables import variables
from .example_places import CLAIM, NFS, PLACES, S3, SFTP

POLICY = {
    "keep_last": 7,
    "keep_daily": 7,
    "keep_weekly": 0,
    "keep_monthly": 0,
    "keep_yearly": 0,
    "keep_within": "",
    "max_deletions": "",
}


def configured(place: dict[str, Any], **values: Any) -> dict[str, Any]:
    (job,) = copy_jobs(variables(postgres_backup_copies=[place], **values))
    (made,) = job["configuration"]["places"]
    return dict(made)


def test_the_configuration() -> None:
    jobs = copy_jobs(variables(postgres_backup_copies=PLACES, postgres_backup_time_zone="Europe/Berlin"))
    contents = [dict(job["configuration"]) for job in jobs]
    places = [place for content in contents for place in content.pop("places")]
    for content in contents:
        assert content == {
            "name": "postgres-backup",
            "namespace": "data",
            "time_zone": "Europe/Berlin",
            "file_mode": "0640",
        }
    assert [(place["name"], place["kind"], place["secret"], place["offsite"]) for place in places] == [
        ("cloud", "s3", "s3-keys", True),
        ("friend", "sftp", "ssh", True),
        ("nas", "nfs", "", False),
        ("other", "claim", "", False),
    ]
    assert places[0] == {
        "name": "cloud",
        "kind": "s3",
        "repository": None,
        "secret": "s3-keys",
        "options": {
            "endpoint": "https://s3.example.com",
            "bucket": "backups",
            "folder": "",
            "region": "",
            "provider": "",
            "storage_class": "",
        },
        "location": "s3 https://s3.example.com:443 backups ",
        "policy": POLICY,
        "bandwidth_bytes": None,
        "window": None,
        "lock_days": 0,
        "lock_mode": "compliance",
        "read_back": True,
        "offsite": True,
        "max_delay_seconds": 86400,
    }
    assert places[1]["options"] == {"host": "nas.example.com", "port": 22, "user": "backup", "folder": ""}
    assert places[2]["options"] == {"server": "192.168.2.3", "path": "/volume1/copies", "folder": ""}
    assert places[3]["options"].keys() == {"claim_name", "folder"} and places[3]["options"]["claim_name"]


def test_each_mounted_place_has_its_cronjob() -> None:
    def made(*places: dict[str, Any]) -> list[tuple[str, str, str, list[str]]]:
        jobs = copy_jobs(variables(postgres_backup_copies=[*places]))
        return [(job["name"], job["place"], job["file"], [place["name"] for place in job["places"]]) for job in jobs]

    first = ("postgres-backup-copy", "", "copy.json", ["cloud", "friend"])
    nas = ("postgres-backup-copy-nas", "nas", "copy-nas.json", ["nas"])
    other = ("postgres-backup-copy-other", "other", "copy-other.json", ["other"])
    assert made(NFS, S3, CLAIM, SFTP) == [first, nas, other]
    assert made(S3, SFTP) == [first]
    assert made(CLAIM, NFS) == [other, nas]
    assert made() == []


def test_the_configuration_of_what_is_set() -> None:
    """Values from the command line are texts."""
    place = configured(
        {
            **S3,
            "bandwidth": "10Mi",
            "window": "22:00-06:00",
            "lock_days": "30",
            "lock_mode": "governance",
            "read_back": "no",
            "offsite": "false",
            "max_delay": "3d",
            "keep_last": "0",
            "keep_monthly": "12",
            "max_deletions": "5",
        },
        postgres_backup_keep_within="14d",
    )
    assert (place["bandwidth_bytes"], place["window"], place["max_delay_seconds"]) == (10485760, "22:00-06:00", 259200)
    assert (place["lock_days"], place["lock_mode"]) == (30, "governance")
    assert (place["read_back"], place["offsite"]) == (False, False)
    assert place["policy"] == {
        **POLICY,
        "keep_last": 0,
        "keep_monthly": 12,
        "keep_within": "14d",
        "max_deletions": 5,
    }


def test_an_empty_string_replaces_a_rule_of_the_installation() -> None:
    place = configured({**NFS, "keep_within": ""}, postgres_backup_keep_within="14d", postgres_backup_max_deletions=9)
    assert (place["policy"]["keep_within"], place["policy"]["max_deletions"]) == ("", 9)


def test_the_watch_knows_the_places() -> None:
    """Without them, its configuration is what it was."""
    assert "copies" not in watch_configuration(variables())
    content = watch_configuration(variables(postgres_backup_copies=[S3], postgres_backup_copy_schedule="@hourly"))
    assert content["copies"] == {
        "schedule": "@hourly",
        "places": [
            {"name": "cloud", "kind": "s3", "offsite": True, "max_delay_seconds": 86400, "location": location_text(S3)}
        ],
    }
    found = parse_configuration(content, "/secrets", datetime(2026, 11, 22, tzinfo=UTC)).copies
    place = ConfiguredPlace("cloud", "s3", is_offsite=True, max_delay=timedelta(days=1), location=location_text(S3))
    assert found == (CopySchedule(False, timedelta(hours=1), None, (place,)),)
    content = watch_configuration(variables(postgres_backup_copies=[NFS, S3, SFTP, CLAIM]))
    found = parse_configuration(content, "/secrets", datetime(2026, 11, 22, tzinfo=UTC)).copies
    assert [(each.mounts, [place.name for place in each.places or ()]) for each in found] == [
        ("", ["cloud", "friend"]),
        ("nas", ["nas"]),
        ("other", ["other"]),
    ]
