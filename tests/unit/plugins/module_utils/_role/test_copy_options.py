# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The places of the copies: what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._role.copy_jobs import copy_jobs
from plugins.module_utils._role.copy_options import is_copy_egress
from plugins.module_utils._role.variables import refused_variables

from .default_variables import variables
from .example_places import CLAIM, DEDUP, NFS, PLACES, S3, SFTP

HTTPS = [{"cidr": "0.0.0.0/0", "port": 443}]
# None of them is a host: a port is another option, and fe80::1%eth0 is known to one machine only.
HOSTS = ["", None, "a b", "-a", "a;b", "nas:22", "192.168.2.3:22", "[2001:db8::1]:22", ":", "a:", "fe80::1%eth0"]


def refused(*places: Any, **values: Any) -> list[str]:
    given = {"postgres_backup_copies": [*places], "postgres_backup_copy_image": "tools:1", **values}
    return refused_variables(variables(**given))


def test_one_place_of_each_kind_is_accepted() -> None:
    assert refused(*PLACES) == []


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "http://192.168.2.4:443/minio"},
        {
            "folder": "postgres/home server/",
            "region": "eu-central-1",
            "provider": "Minio",
            "storage_class": "STANDARD_IA",
        },
        {"lock_days": 30, "lock_mode": "governance"},
        {"lock_days": "0", "bandwidth": "10Mi", "window": "22:00-06:00", "max_delay": "3d"},
        {"bandwidth": 1000, "read_back": False, "offsite": "no", "keep_last": "0", "keep_within": "30d"},
        {"keep_monthly": 12, "max_deletions": 5, "region": "", "folder": None},
        {"bucket": "Old_Bucket.1"},
    ],
)
def test_options_of_s3_that_are_accepted(options: dict[str, Any]) -> None:
    assert refused({**S3, **options}) == []


@pytest.mark.parametrize(
    "place",
    [
        DEDUP,
        {**SFTP, "kind": "restic", "repository": "sftp"},
        {**NFS, "kind": "restic", "repository": "nfs", "secret": "password"},
        {**CLAIM, "kind": "restic", "repository": "claim", "secret": "password", "offsite": True},
    ],
)
def test_a_repository_at_each_kind_of_place_is_accepted(place: dict[str, Any]) -> None:
    assert refused(place) == []


@pytest.mark.parametrize(
    ("options", "variables", "expected"),
    [
        ({"repository": None}, {}, "repository, the kind of the place where it lies, one of s3, sftp, nfs, claim, in"),
        ({"repository": "restic"}, {}, "repository, the kind of the place where it lies"),
        ({"secret": ""}, {}, "a Secret with the keys repository_password and access_key_id and secret_access_key,"),
        ({"lock_days": 3}, {}, "no lock_days, which the kind restic does not have"),
        ({"host": "x"}, {}, "no host, which the kind restic does not have"),
        ({"bucket": "a"}, {}, "bucket, the name of a bucket"),
        ({"read_back": False}, {}, "no read_back: false, since the hashes of the store are not those of the backup,"),
        ({}, {"postgres_backup_recipients": ["age1"]}, "no kind restic together with postgres_backup_recipients"),
    ],
)
def test_options_of_a_repository_that_are_refused(
    options: dict[str, Any], variables: dict[str, Any], expected: str
) -> None:
    assert any(expected in message for message in refused({**DEDUP, **options}, **variables))


@pytest.mark.parametrize(
    "host", ["nas", "NAS.lan.", "192.168.2.3", "2001:db8::1", "[2001:db8::1]", "::ffff:192.168.2.3"]
)
def test_names_and_addresses_of_servers(host: str) -> None:
    assert refused({**SFTP, "host": host}, {**NFS, "server": host}) == []


@pytest.mark.parametrize("folder", ["/srv/copies", "copies/a b", "~x"])
def test_a_folder_of_sftp_from_the_root_or_the_home(folder: str) -> None:
    assert refused({**SFTP, "folder": folder, "port": "22"}) == []


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("cloud", "a list of places"),
        ({**S3, "kind": "ftp"}, "a kind, one of s3, sftp, nfs, claim, restic, in the place cloud"),
        ({"name": "x"}, "a kind, one of"),
        *[
            ({**S3, "name": name}, "a name of lower-case letters, digits and '-' in the place number 1")
            for name in ["", "A", "a.b", "a/b", "../x", "a" * 64, None]
        ],
        *[
            ({**S3, "secret": name}, "secret, the name of a Secret with the keys access_key_id and secret_access_key,")
            for name in ["", None, "A", "a/b"]
        ],
        *[
            ({**S3, "endpoint": url}, "endpoint, a URL such as https://s3.example.com, without a user and a password,")
            for url in [
                "",
                None,
                "s3.example.com",
                "ftp://a",
                "https://",
                "https://u:p@a",
                "https://a?x=y",
                "https://a#x",
                "https://a b",
                "https://a:0",
                "https://a:99999",
                "https://a\n",
                "https://$(id)",
                "HTTPS://s3.example.com",
                "https://[fe80::1%25eth0]",
            ]
        ],
        *[
            ({**S3, "bucket": name}, "bucket, the name of a bucket")
            for name in ["", "ab", "a/b", "../x", "-abc", "a" * 64]
        ],
        *[
            ({**S3, "folder": folder}, "a folder such as postgres/home")
            for folder in ["/x", "..", "a/../b", "a//b", "./a", "a\nb", "a/.."]
        ],
        *[({**S3, key: "a b"}, f"a {key} of letters") for key in ["region", "provider", "storage_class"]],
        *[
            ({**S3, "storage_class": name}, "a storage_class whose objects can be read at once, such as GLACIER_IR")
            for name in ["GLACIER", "DEEP_ARCHIVE", "glacier"]
        ],
        *[
            ({**S3, key: item}, f"{key}, a text or a number, in the place cloud")
            for key, item in [
                ("folder", ["a"]),
                ("folder", {"a": 1}),
                ("folder", True),
                ("bucket", True),
                ("window", ["x"]),
            ]
        ],
        *[({**S3, "lock_days": days}, "lock_days, a number from 0") for days in [-1, "many", 36501, True]],
        ({**S3, "lock_mode": "governance"}, "lock_days with lock_mode, since nothing is locked without them, in"),
        ({**S3, "lock_mode": "legal"}, "a lock_mode, one of compliance, governance,"),
        ({**S3, "host": "x"}, "no host, which the kind s3 does not have"),
        ({**SFTP, "secret": ""}, "with the key known_hosts, and private_key or password,"),
        *[({**SFTP, "host": host}, "host, the name") for host in HOSTS],
        *[({**SFTP, "port": port}, "a port from 1 to 65535") for port in [0, 65536, "ssh"]],
        *[({**SFTP, "user": user}, "user, the name") for user in ["", None, "a b", "-o", "a:b"]],
        *[({**SFTP, "folder": folder}, "a folder in one line") for folder in ["../x", "/a/../b", "a\nb", "~", "~/x"]],
        ({**SFTP, "lock_days": 3}, "no lock_days, which the kind sftp does not have"),
        *[({**NFS, "server": server}, "server, the name") for server in [*HOSTS, "nas:/x"]],
        *[({**NFS, "path": path}, "path, the path of a share") for path in ["", None, "x", "/x/..", "/x\n"]],
        ({**NFS, "secret": "x"}, "no secret, which the kind nfs does not have"),
        *[({**CLAIM, "claim_name": name}, "claim_name, the name of a") for name in ["", None, "A", "a/b"]],
        ({**CLAIM, "claim_name": "postgres-backup"}, "another claim_name than that of the backup volume"),
        *[
            ({**NFS, "bandwidth": text}, "a bandwidth in bytes a second")
            for text in ["fast", "0", "100m", "-1Mi", "1MB/s", 10, "999"]
        ],
        *[
            ({**NFS, "window": text}, "a window such as 22:00-06:00")
            for text in ["night", "22-06", "24:00-06:00", "22:00-22:00", "22:00 - 06:00", 1320]
        ],
        *[({**NFS, "keep_daily": count}, "keep_daily, a number") for count in [-1, "x", True]],
        ({**NFS, "keep_within": "14"}, "keep_within, a duration"),
        ({**NFS, "max_deletions": 0}, "max_deletions, a number"),
        ({**NFS, "keep_last": 0, "keep_daily": 0}, "at least one keep_*"),
        ({**NFS, "read_back": "maybe"}, "read_back, true or false"),
        *[({**NFS, "max_delay": text}, "max_delay, a duration") for text in ["24", "0h", "soon", "999999w"]],
    ],
)
def test_what_is_refused(place: Any, expected: str) -> None:
    message, *_others = refused(place)
    assert message.startswith("postgres_backup_copies: expected ") and expected in message


@pytest.mark.parametrize(
    ("options", "schedule", "expected"),
    [
        ({"max_delay": "30m"}, "*/30 * * * *", None),
        ({"max_delay": "29m"}, "*/30 * * * *", "a max_delay of at least 30m, the longest time between two Jobs of"),
        ({"max_delay": "24h"}, "0 3 * * 0", "a max_delay of at least 7d, the longest"),
        ({"max_delay": "2h"}, "@every 3h", "a max_delay of at least 3h, the longest"),
        ({}, "0 0 1 1 *", None),  # started by hand
        (
            {"max_delay": "16h", "window": "22:00-06:00"},
            "@hourly",
            "a max_delay of at least 17h, the longest time between two Jobs of postgres_backup_copy_schedule in its",
        ),
        ({"max_delay": "17h", "window": "22:00-06:00"}, "@hourly", None),
        ({"max_delay": "15h", "window": "08:00-18:00"}, "@hourly", None),
        ({"max_delay": "12h", "window": "22:00-06:00"}, "0 3,15 * * *", "a max_delay of at least 1d, the longest"),
        (
            {"max_delay": "12h", "window": "22:00-06:00"},
            "0 12 * * *",
            "a window in which postgres_backup_copy_schedule",
        ),
        ({"window": "22:00-06:00"}, "0 22 * * *", None),
        ({"window": "22:00-06:00"}, "0 6 * * *", "a window in which postgres_backup_copy_schedule has a time"),
        ({"window": "22:00-06:00"}, "59 5 * * *", None),
        ({"window": "22:00-06:00"}, "0 12,20 * * *", "a window in which postgres_backup_copy_schedule has a time"),
        ({"window": "02:05-02:25"}, "*/30 * * * *", "a window in which postgres_backup_copy_schedule has a time"),
        ({"window": "02:05-02:25"}, "@every 1h", None),
        ({"window": "08:00-18:00"}, "30 7,8 * * *", None),
        ({"window": "08:00-18:00"}, "0 18 * * *", "a window in which postgres_backup_copy_schedule has a time"),
    ],
)
def test_times_that_do_not_fit_the_schedule(options: dict[str, Any], schedule: str, expected: str | None) -> None:
    """A delay that is always exceeded, or a window in which no Job begins."""
    messages = refused({**NFS, **options}, postgres_backup_copy_schedule=schedule)
    assert len(messages) == (expected is not None)
    assert expected is None or expected in messages[0]


@pytest.mark.parametrize(
    ("schedule", "window", "hours"),
    [
        ("*/30 * * * *", None, 24),
        ("0 3 * * *", None, 24 + 6),
        ("0 3 * * 0", None, 7 * 24 + 6),
        ("@every 40h", None, 40 + 6),
        ("*/30 * * * *", "22:00-06:00", 24),
        ("*/30 * * * *", "03:00-04:00", 23.5 + 6),
        ("0 3,15 * * *", "22:00-06:00", 24 + 6),
        ("0 3 * * 0", "22:00-06:00", 7 * 24 + 6),
        ("0 0,12,23 * * 0", "08:00-16:00", 7 * 24 + 6),
        ("@every 3h", "22:00-06:00", 16 + 3 + 6),
        ("0 3 1 * *", None, 31 * 24 + 6),
    ],
)
def test_the_delay_follows_the_schedule(schedule: str, window: str | None, hours: float) -> None:
    """Otherwise, a place that works would be reported between two Jobs."""
    for options, expected in ({}, hours * 3600), ({"max_delay": "40d"}, 40 * 86400):
        place = {**NFS, "window": window, **options}
        assert not refused(place, postgres_backup_copy_schedule=schedule)
        (job,) = copy_jobs(variables(postgres_backup_copies=[place], postgres_backup_copy_schedule=schedule))
        assert job["configuration"]["places"][0]["max_delay_seconds"] == expected


def test_a_schedule_that_is_refused_itself_is_named_alone() -> None:
    (message,) = refused({**NFS, "window": "22:00-06:00", "max_delay": "1d"}, postgres_backup_copy_schedule="daily")
    assert message.startswith("postgres_backup_copy_schedule: ")


def test_two_places_need_two_names() -> None:
    (message,) = refused(NFS, {**CLAIM, "name": "nas"})
    assert "expected places with different names; found" in message


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        (S3, {}),
        (S3, {"endpoint": "https://S3.example.com/", "secret": "other-keys", "lock_days": 3}),
        (S3, {"endpoint": "https://s3.example.com:443"}),
        ({**S3, "folder": "a/b"}, {"folder": "a/b/"}),
        (S3, {"kind": "restic", "repository": "s3"}),
        (SFTP, {"port": 22, "folder": ""}),
        ({**SFTP, "folder": "/srv/copies"}, {"folder": "/srv/./copies/", "user": "other"}),
        ({**SFTP, "host": "2001:db8::1"}, {"host": "[2001:db8::1]"}),
        (NFS, {"path": "/volume1/copies/"}),
        (NFS, {"path": "/volume1", "folder": "copies"}),
        (CLAIM, {}),
    ],
)
def test_two_places_in_one_folder_are_refused(place: dict[str, Any], changed: dict[str, Any]) -> None:
    """Retention of each would delete what the other one keeps."""
    (message,) = refused(place, {**place, "name": "second", **changed})
    assert f"expected another folder in the place second than in the place {place['name']}; found" in message


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        (S3, {"folder": "x"}),
        ({**S3, "folder": "x"}, {"folder": "x/y"}),
        (S3, {"bucket": "others"}),
        (SFTP, {"user": "other"}),
        ({**SFTP, "folder": "x"}, {"folder": "/x"}),
        (NFS, {"server": "192.168.2.4"}),
        (CLAIM, {"folder": "x"}),
    ],
)
def test_two_places_in_two_folders(place: dict[str, Any], changed: dict[str, Any]) -> None:
    assert refused(place, {**place, "name": "second", **changed}) == []


@pytest.mark.parametrize("path", ["/volume1/copies", "/volume1/copies/", "/volume1"])
@pytest.mark.parametrize("folder", ["", "x", "copies"])
def test_a_share_of_the_backup_volume_is_refused(path: str, folder: str) -> None:
    """Retention of the place would delete the backups, or they would be lost together with their copies."""
    share = {"server": "192.168.2.3", "path": "/volume1/copies"}
    place = {**NFS, "path": path, "folder": folder}
    messages = refused(place, postgres_backup_nfs=share)
    if path == "/volume1" and folder != "copies":
        assert messages == []
    else:
        (message,) = messages
        assert (
            "expected another share than that of the backup volume (postgres_backup_nfs) in the place nas; found"
        ) in message
    assert refused(place, postgres_backup_nfs={**share, "server": "192.168.2.4"}) == []


def test_a_share_without_its_options_beside_a_backup_volume_on_nfs() -> None:
    (message,) = refused({"name": "nas", "kind": "nfs"}, postgres_backup_nfs={"server": "nas", "path": "/x"})
    assert "expected server, the name or the address of an NFS server" in message


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"secret_access_key": "hunter2"}, "no secret_access_key, which the kind s3 does not have"),
        ({"password": "hunter2", "access_key_id": "hunter2"}, "no access_key_id, password, which"),
        ({"secret": "hunter2/+Aa="}, "secret, the name of a Secret"),
        ({"endpoint": "https://me:hunter2@s3.example.com"}, "endpoint, a URL"),
        ({"endpoint": "https://s3.example.com/?X-Amz-Signature=hunter2"}, "endpoint, a URL"),
        ({"endpoint": "https://s3.example.com#hunter2"}, "endpoint, a URL"),
    ],
)
def test_a_secret_among_the_options_is_not_shown(options: dict[str, str], named: str) -> None:
    (message,) = refused({**S3, **options})
    assert named in message and "hunter2" not in message and "(not shown)" in message
    assert "hunter2" not in "".join(refused({**S3, **options}, postgres_backup_copy_egress=[]))


@pytest.mark.parametrize(
    "place",
    [
        {**SFTP, "user": "backup:hunter2"},
        {**SFTP, "host": "backup:hunter2@nas"},
        {**NFS, "server": "backup:hunter2@nas"},
    ],
)
def test_a_password_with_a_user_is_not_shown(place: dict[str, Any]) -> None:
    (message,) = refused(place)
    assert "hunter2" not in message and "(not shown)" in message


def test_a_list_of_texts_is_not_shown() -> None:
    assert "hunter2" not in "".join(refused("password=hunter2"))


def test_an_image_is_needed() -> None:
    (message,) = refused(NFS, postgres_backup_copy_image="")
    assert message.startswith(
        "postgres_backup_copy_image: expected an image with Python 3.11 or newer, sh, awk and rclone"
    )


def test_the_name_of_the_cronjob_has_a_suffix() -> None:
    assert refused(S3, postgres_backup_name="a" * 47) == []
    (message,) = refused(S3, postgres_backup_name="a" * 48)
    assert message.startswith("postgres_backup_copy_schedule: ") and "at most 47 characters" in message
    assert refused(postgres_backup_name="a" * 52) == []


@pytest.mark.parametrize(
    ("place", "egress", "expected"),
    [
        (S3, [{"cidr": "0.0.0.0/0", "port": 443}], None),
        (
            {**S3, "endpoint": "http://minio.lan:9000"},
            [{"cidr": "0.0.0.0/0", "port": 443}],
            "a rule with the port 9000",
        ),
        ({**S3, "endpoint": "http://minio.lan"}, [{"cidr": "0.0.0.0/0", "port": 443}], "a rule with the port 80"),
        ({**S3, "endpoint": "http://minio.minio"}, [{"namespace": "minio", "port": 9000}], None),
        (SFTP, [{"cidr": "0.0.0.0/0", "port": "22"}], None),
        (
            {**SFTP, "port": 2222},
            [{"cidr": "0.0.0.0/0", "port": 22}],
            "a rule with the port 2222 (of the place friend)",
        ),
        (NFS, [], None),
        (CLAIM, [], None),
        (NFS, [{"cidr": "nas.lan", "port": 22}], "a list of hosts as a NetworkPolicy knows them"),
        (NFS, "22", "a list of hosts as a NetworkPolicy knows them"),
    ],
)
def test_egress(place: dict[str, Any], egress: Any, expected: str | None) -> None:
    found = is_copy_egress(egress, variables(postgres_backup_copies=[place]))
    assert found == expected if expected is None else expected in (found or "")


def test_all_missing_ports_are_named_at_once() -> None:
    places = [S3, {**SFTP, "port": 2222}, {**SFTP, "name": "other", "folder": "other", "port": 2222}]
    assert is_copy_egress([], variables(postgres_backup_copies=places)) == (
        f"rules with the port 443 (of the place {S3['name']}) and the port 2222 (of the place friend), such as "
        "[{cidr: 0.0.0.0/0, port: 443}, {cidr: 0.0.0.0/0, port: 2222}] (for IPv6, with ::/0)"
    )


def test_names_of_mounted_places_that_are_refused() -> None:
    fits = "n" * (52 - len("postgres-backup-copy-"))
    assert refused({**NFS, "name": fits}) == []
    # Its CronJob is that of all places.
    assert refused({**S3, "name": f"{fits}ng"}) == refused({**S3, "name": "drill"}) == []
    (message,) = refused({**NFS, "name": f"{fits}ng"})
    assert (
        "expected a name that is at least 2 characters shorter, or a shorter postgres_backup_name, since its CronJob "
        f"is postgres-backup-copy-{fits}ng, which may have 52 characters, in the place {fits}ng"
    ) in message
    for name in ("drill", "my-drill"):
        (message,) = refused({**CLAIM, "name": name})
        assert "expected a name that does not end in drill, as that of a CronJob of drills does" in message
