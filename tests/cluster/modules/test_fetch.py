# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""backup_fetch from a real volume: what it fetches, and what it refuses."""

from __future__ import annotations

import gzip
import hashlib
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.backup_files import noise
from tests.cluster.support.fetches import BACKUP, Fetch, of_day, put, require_no_reader
from tests.cluster.support.installed_objects import create_in
from tests.cluster.support.kube import apply, run_cronjob, wait_until
from tests.in_turn import weekly

# -------------------------------------------------------------------------------------------------------- what it does


def test_newest_complete_backup_is_fetched(fetch: Fetch, volume: Path) -> None:
    put(volume, of_day(1))
    data = BACKUP + b"\0" * 100
    sha256 = put(volume, of_day(2), data)
    put(volume, of_day(3), checksum_file=False)

    checked = fetch("--check", "--diff", verify=True)
    assert (checked["failed"], checked["changed"], fetch.here) == (False, True, set()), checked
    assert (checked["backup"], checked["sha256"]) == (of_day(2), sha256)
    assert f"+{fetch.dest / of_day(2)}: {len(data)} bytes" in checked["shown"]

    done = fetch("--diff", verify=True)
    assert (done["failed"], done["changed"]) == (False, True), done
    assert (done["path"], done["sha256"]) == (str(fetch.dest / of_day(2)), sha256)
    assert (done["size_bytes"], done["resumed_bytes"], done["interruptions"]) == (len(data), 0, 0)
    assert done["duration_seconds"] > 0
    assert (done["contents"]["complete"], done["contents"]["rows"]) == (True, 4)
    assert f"+{fetch.dest / of_day(2)}: {len(data)} bytes" in done["shown"]
    assert (fetch.dest / of_day(2)).read_bytes() == data
    assert (fetch.dest / of_day(2)).stat().st_mode & 0o777 == 0o640
    assert subprocess.run(["sha256sum", "-c", f"{of_day(2)}.sha256"], cwd=fetch.dest, check=False).returncode == 0
    assert fetch.here == {of_day(2), f"{of_day(2)}.sha256"}
    require_no_reader(fetch.namespace)

    again = fetch("--diff", verify=True)
    assert (again["failed"], again["changed"], again["duration_seconds"]) == (False, False, None), again
    assert again["contents"] == done["contents"]

    (fetch.dest / f"{of_day(2)}.sha256").write_text("wrong")
    for arguments, changed in ((("--check",), True), ((), True), ((), False)):
        assert fetch(*arguments)["changed"] == changed
    (fetch.dest / of_day(2)).write_bytes(bytes(len(data)))
    mended = fetch()
    assert (mended["changed"], (fetch.dest / of_day(2)).read_bytes()) == (True, data)


def test_backup_of_a_real_run_is_fetched_and_read(
    site_objects: list[dict[str, Any]], namespace: str, tmp_path: Path, collections: Path
) -> None:
    """The role's own CronJob; the server has sample data of dev/postgresql.yml."""
    create_in(site_objects, namespace)
    made = run_cronjob(namespace)
    (tmp_path / "here").mkdir()
    done = Fetch(namespace, tmp_path, collections)(verify=True)
    assert (done["failed"], done["backup"], done["sha256"]) == (False, made["backup"], made["sha256"]), done
    assert done["contents"]["header"]["started"] is not None
    assert "warnings" not in done


@pytest.mark.weekly
def test_unchecked_backup_is_fetched_with_a_warning(fetch: Fetch, volume: Path) -> None:
    """From somebody's own CronJob."""
    sha256 = put(volume, of_day(1), checksum_file=False)
    done = fetch(verify=True)
    assert (done["failed"], done["backup_state"], done["sha256"]) == (False, "unchecked", sha256), done
    assert "no backup on the volume is complete" in json.dumps(done["warnings"])
    assert fetch.here == {of_day(1), f"{of_day(1)}.sha256"}
    assert fetch(verify=True)["changed"] is False


@pytest.mark.weekly
def test_named_backup_is_fetched_to_a_named_file(fetch: Fetch, volume: Path) -> None:
    put(volume, of_day(1), b"first")
    put(volume, of_day(2), b"second")
    dest = fetch.dest / "to restore.gz"
    done = fetch(backup=of_day(1), dest=str(dest), mode="0600")
    assert (done["changed"], dest.read_bytes()) == (True, b"first"), done
    assert dest.stat().st_mode & 0o777 == 0o600
    assert Path(f"{dest}.sha256").read_text() == f"{hashlib.sha256(b'first').hexdigest()}  to restore.gz\n"
    assert fetch(backup=of_day(1), dest=str(dest), mode="0600")["changed"] is False


@pytest.mark.weekly
def test_older_fetched_backups_are_deleted(fetch: Fetch, volume: Path) -> None:
    for day in range(1, 5):
        put(volume, of_day(day))
        assert fetch(keep_local=2)["failed"] is False
    assert fetch.here == {of_day(3), f"{of_day(3)}.sha256", of_day(4), f"{of_day(4)}.sha256"}
    checked = fetch("--check", "--diff", keep_local=1)
    assert (checked["changed"], checked["removed"]) == (True, [str(fetch.dest / of_day(3))])
    assert of_day(3) in fetch.here
    assert fetch(keep_local=1)["removed"] == checked["removed"]
    assert fetch.here == {of_day(4), f"{of_day(4)}.sha256"}
    assert fetch(keep_local=1)["changed"] is False


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(BACKUP[:-20], "the file is cut off", id="cut-off"),
        weekly(b"no gzip", "gzip", id="text"),
        weekly(gzip.compress(b"SELECT 1;"), "dump", id="no-dump"),
    ],
)
def test_damaged_backup_never_gets_its_final_name(fetch: Fetch, volume: Path, data: bytes, message: str) -> None:
    put(volume, of_day(1), data)
    done = fetch(verify=True)
    assert done["failed"] and message in done["msg"], done
    assert done["failures"] and "contents" in done
    assert fetch.here == set()
    assert fetch()["failed"] is False


@pytest.mark.weekly
def test_checksum_file_contradicts_the_volume(fetch: Fetch, volume: Path) -> None:
    put(volume, of_day(1))
    (volume / of_day(1)).write_bytes(b"x" * len(BACKUP))
    done = fetch()
    assert done["failed"] and "does not match its checksum file" in done["msg"], done
    assert fetch.here == set()


# ----------------------------------------------------------------------------------------------------- what is refused


def test_missing_backup_is_refused(fetch: Fetch, volume: Path) -> None:
    assert "no backup can be fetched: expected a complete one" in fetch()["msg"]
    put(volume, of_day(1))
    missing = fetch(backup=of_day(2))
    assert missing["failed"]
    assert f"{of_day(2)} is not on the volume: expected one of {of_day(1)}" in missing["msg"]
    assert fetch.here == set()
    require_no_reader(fetch.namespace)


def role(namespace: str, *more: dict[str, list[str]]) -> dict[str, Any]:
    """What a user needs who fetches."""
    rules = [
        {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["get"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        *more,
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "fetch", "namespace": namespace},
        "rules": rules,
    }


def test_user_without_rights_is_refused(fetch: Fetch, volume: Path) -> None:
    """Also commands run in that user's name: impersonation is a header that the kubernetes client forgets there."""
    put(volume, of_day(1))
    subject = {"kind": "User", "name": "fetcher", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "fetch", "namespace": fetch.namespace},
        "roleRef": {"kind": "Role", "name": "fetch", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [subject],
    }
    apply(role(fetch.namespace), binding)
    refused = fetch(impersonate_user="fetcher")
    assert refused["failed"] and "The user needs the right to get and create pods/exec" in refused["msg"], refused
    assert "fetcher" in refused["msg"]
    assert fetch.here == set()
    exec_rule = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]}
    apply(role(fetch.namespace, exec_rule))
    done = fetch(impersonate_user="fetcher")
    assert (done["failed"], done["changed"]) == (False, True), done


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dest": "/nowhere/x"}, "/nowhere does not exist: expected a directory"),
        ({"mode": "u=rw"}, "expected an octal number in quotes such as '0640'"),
        ({"mode": 0o640}, "expected an octal number in quotes such as '0640', found '416'"),
        ({"timeout": "soon"}, "expected a duration"),
        ({"dest": "/tmp/one-file.gz", "keep_local": 3}, "keep_local"),
        ({"keep_local": 0}, "keep_local"),
        ({"retries": -1}, "retries"),
    ],
    ids=["no-directory", "mode", "mode-without-quotes", "timeout", "keep-local-of-a-file", "keep-none", "retries"],
)
def test_invalid_options_are_refused(fetch: Fetch, volume: Path, options: dict[str, Any], message: str) -> None:
    put(volume, of_day(1))
    done = fetch(**options)
    assert done["failed"] and message in done["msg"], done


@pytest.mark.weekly
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("size=1M", "is too full: expected 3000000 free bytes, found 1048576"),
        ("ro", "is on a file system that is mounted read-only"),
    ],
    ids=["small", "read-only"],
)
def test_local_disk_that_is_not_writable_or_full(fetch: Fetch, volume: Path, options: str, message: str) -> None:
    put(volume, of_day(1), noise(3_000_000))
    done = fetch(within=f"mount -t tmpfs -o {options} tmpfs {shlex.quote(str(fetch.dest))}")
    assert done["failed"] and message in done["msg"], done


@pytest.mark.weekly
def test_local_disk_that_fills_up(fetch: Fetch, volume: Path) -> None:
    """Something else takes the space once some of the bytes are here."""
    put(volume, of_day(1), noise(75_000_000))
    shown = shlex.quote(str(fetch.dest))
    within = f"""mount -t tmpfs -o size=120M tmpfs {shown}
        (while [ ! -s {shown}/.{of_day(1)}.partial ]; do sleep 0.01; done
         head -c 100M /dev/zero >{shown}/other || true
         while [ -e {shown}/.{of_day(1)}.partial ]; do sleep 0.01; done
         ls -A {shown} >{shown}.left) >/dev/null 2>&1 &"""
    done = fetch(within=within)
    assert done["failed"] and "is full" in done["msg"], done
    left = Path(f"{fetch.dest}.left")
    wait_until(left.exists, "the partial file is gone", 10)
    assert left.read_text() == "other\n"
