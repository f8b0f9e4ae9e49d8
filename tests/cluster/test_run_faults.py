# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Failed runs on the cluster: what Kubernetes shows, what is recorded on the volume, and what the retries do.

What needs no Kubernetes (faults of the server, the dump, the compressor and most of the volume's) is in tests/script.
These tests inspect the node's processes and folders, so they need root and dev/cluster.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import (
    CHECKOUT,
    NAME,
    job_ends,
    kubectl,
    must_get,
    run_cronjob,
    run_in_volume,
    wait_until,
)
from tests.cluster.support.step_gate import STEPS, Installation, Json, install
from tests.in_turn import weekly, weekly_but
from tests.script.support.volume import Entry

Install = Callable[..., Installation]
# What a run that has ended leaves on the volume, in addition to a backup.
ALWAYS = {f"{NAME}.last-run.json", f"{NAME}.history.jsonl"}
# What a run that published a backup keeps next to it.
KIT = {"restore-kit.sh", "RESTORE.md"}
INTERRUPTED = "attempt 1 was interrupted"


@pytest.fixture
def installed(site_objects: list[Json], namespace: str) -> Install:
    return partial(install, site_objects, namespace)


def failed_because(job: str, namespace: str) -> str:
    assert job_ends(job, namespace) == "Failed"
    conditions = must_get("job", job, namespace)["status"]["conditions"]
    return str(next(condition["reason"] for condition in conditions if condition["type"] == "Failed"))


def assert_explains(log: str, newest: str) -> None:
    """What a tired person reads: what failed, what was found, what to do, and that the older backups are there."""
    text = "\n".join(line.partition(" ")[2] for line in log.splitlines() if not line.startswith("{"))
    shape = r"^FAILED: .+\n(  found: .*\n)+  what to do: .+\n  Older backups are untouched; the newest complete one is "
    assert re.search(shape + re.escape(newest) + r" \([\d.]+ \w+\)\.$", text, re.MULTILINE), log


# The pod cannot start.

GONE: dict[str, tuple[list[str], str]] = {
    "secret": (["delete", "secret", "postgres-postgresql"], 'secret "postgres-postgresql" not found'),
    "key": (
        ["patch", "secret", "postgres-postgresql", "--type=json", "-p", '[{"op": "remove", "path": "/data"}]'],
        "couldn't find key postgres-password in Secret",
    ),
}


@pytest.mark.parametrize("gone", weekly_but(GONE, "key"))
def test_missing_secret_fails_the_run(installed: Install, site_objects: list[Json], namespace: str, gone: str) -> None:
    """No script runs, so Kubernetes must say it; the Job's deadline, here a short one, makes it a failed Job."""
    (deadline,) = (
        made["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
        for made in site_objects
        if made["kind"] == "CronJob"
    )
    assert 0 < deadline < 86400
    there = installed(job={"activeDeadlineSeconds": 6})
    before = there.fill(10)
    command, message = GONE[gone]
    kubectl(*command, "-n", namespace)
    there.start()
    wait_until(lambda: "waiting" in there.container().get("state", {}), "the pod is there")
    wait_until(lambda: message in str(there.container().get("state")), message)
    assert there.container()["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    assert failed_because("one", namespace) == "DeadlineExceeded"
    assert there.new_since(before) == set()


# The pod is ended.


def assert_recovered(there: Installation, before: dict[bytes, Entry], reason: str, leftovers: set[str]) -> None:
    """The Job's second attempt succeeded, and reports why the first one failed."""
    assert job_ends("one", there.namespace) == "Complete"
    record = there.last_run
    assert (record["state"], record["attempts"]) == ("succeeded", 2)
    assert reason in record["recovered_from"]
    backup = record["backup"]
    assert there.new_since(before) == {backup, f"{backup}.sha256", f"{backup}.json"} | ALWAYS | KIT | leftovers
    assert "OK" in run_in_volume(there.namespace, f"cd /backups && gzip -t {backup} && sha256sum -c {backup}.sha256")


@pytest.mark.parametrize("step", weekly_but(STEPS, "publish"))
def test_run_killed_at_each_step(installed: Install, step: str) -> None:
    """SIGKILL leaves a partial file and the state `running`; the next attempt removes the one and reports the other."""
    there = installed()
    before = there.fill(3)
    there.stop_at(step)
    there.start()
    there.wait_for_gate()
    there.signal_container(signal.SIGKILL)
    # The checksum file and the manifest are published before their backup; alone they have no meaning, and retention
    # removes them after an hour.
    orphans = {name for name in there.new_since(before) if name.endswith((".sha256", ".gz.json"))}
    assert len(orphans) == (2 if step == "publish" else 0)
    there.stop_nowhere()
    assert_recovered(there, before, INTERRUPTED, orphans)


@pytest.mark.parametrize("frozen", [weekly(False, id="evicted"), pytest.param(True, id="evicted while frozen")])
def test_another_pod_continues_after_an_eviction(installed: Install, frozen: bool) -> None:
    """An evicted pod reports why. If it cannot (because its share hangs, say), it is killed; the next one cleans up.

    Eviction is not a failure of the run: another pod is started even if no further attempt is allowed.
    """
    there = installed(job={"backoffLimit": 0})
    before = there.fill(3)
    there.stop_at("dump")
    there.start()
    there.wait_for_gate()
    if frozen:
        there.signal_container(signal.SIGSTOP)
        there.evict(gracePeriodSeconds=1)
    else:
        there.evict()
    there.stop_nowhere()
    assert_recovered(there, before, INTERRUPTED if frozen else "the run was terminated by SIGTERM", set())


STARTING = "echo 'psql: error: FATAL:  the database system is starting up' >&2; exit 2"
REFUSED = "the server does not answer"


@pytest.mark.weekly
def test_run_is_tried_as_often_as_promised(installed: Install) -> None:
    """Killed first, refused later: each further attempt runs to its end; its log is kept and has the first reason."""
    there = installed(job={"backoffLimit": 2})
    before = there.fill(10)
    there.stop_at("dump")
    there.start()
    there.wait_for_gate()
    there.stop_at("prepare", STARTING)
    there.signal_container(signal.SIGKILL)
    assert failed_because("one", there.namespace) == "BackoffLimitExceeded"
    record = there.last_run
    assert (record["state"], record["attempts"]) == ("failed", 3)
    assert INTERRUPTED in record["reason"]
    assert record["last_reason"].startswith(REFUSED)
    assert there.new_since(before) == ALWAYS
    _, *retries = map(there.log, there.pods())
    assert len(retries) == 2
    for log in retries:
        assert f"FAILED: {REFUSED}" in log
        assert "terminated by SIG" not in log
        assert INTERRUPTED in log.splitlines()[-1]


@pytest.mark.weekly
def test_job_of_an_earlier_version(installed: Install) -> None:
    """restartPolicy OnFailure: Kubernetes ends the last of the tries as it begins; that hides no reason."""
    there = installed(job={"backoffLimit": 2}, pod={"restartPolicy": "OnFailure"})
    before = there.fill(10)
    there.stop_at("dump")
    there.start()
    there.wait_for_gate()
    there.stop_at("prepare", STARTING)
    there.signal_container(signal.SIGKILL)
    assert failed_because("one", there.namespace) == "BackoffLimitExceeded"
    wait_until(lambda: not there.pods(), "the Job's pod is gone")
    record = there.last_run
    assert record["state"] == "failed"
    assert record["attempts"] in (2, 3)
    assert INTERRUPTED in record["reason"]
    assert record["last_reason"].startswith(REFUSED)
    assert there.new_since(before) == ALWAYS


HOPELESS: dict[str, tuple[dict[str, str], str]] = {
    "arguments": ({"POSTGRES_BACKUP_EXTRA_ARGS": "--exclude-table-data=public.log"}, "unrecognized option"),
    "a password": ({"PGPASSWORD": "not it"}, "password authentication failed"),
    "a user": ({"POSTGRES_BACKUP_USER": "nobody-here"}, "nobody-here"),
    "configuration": ({"POSTGRES_BACKUP_COMPRESSOR": "zip"}, "POSTGRES_BACKUP_COMPRESSOR"),
}


@pytest.mark.parametrize("hopeless", weekly_but(HOPELESS, "a password"))
def test_permanent_failure_is_tried_once(installed: Install, ansible: Ansible, hopeless: str) -> None:
    """The Job fails at once, and the module's message ends with the cause and what to do."""
    environment, words = HOPELESS[hopeless]
    there = installed(env=environment)
    before = there.fill(3)
    failed = ansible.module("backup_job", namespace=there.namespace)
    assert failed["failed"]
    assert len(there.pods(failed["job"])) == 1
    assert failed_because(failed["job"], there.namespace) == "PodFailurePolicy"
    for text in ("PodFailurePolicy, so it was not tried again: ", words, "FAILED: ", "  what to do: "):
        assert text in failed["msg"]
    assert words in there.last_run["reason"]
    assert there.last_run["attempts"] == 1
    assert there.new_since(before) == ALWAYS


@pytest.mark.weekly
def test_run_without_a_heartbeat_is_interrupted(installed: Install) -> None:
    """By `list` at once, and by the next Job's run, which keeps partial files of another Job that may be running."""
    there = installed()
    before = there.fill(3)
    there.stop_at("dump")
    there.start()
    there.wait_for_gate()
    there.signal_container(signal.SIGSTOP)
    kubectl("delete", "job", "one", "-n", there.namespace, "--cascade=orphan")
    kubectl("delete", "pod", "--all", "-n", there.namespace, "--grace-period=1")
    there.stop_nowhere()
    left = there.new_since(before)
    assert there.last_run["state"] == "running"
    five_minutes_ago = time.time() - 301
    os.utime(there.volume / f"{NAME}.last-run.json", (five_minutes_ago,) * 2)
    listed = run_in_volume(there.namespace, "exec /bin/sh /opt/postgres-backup/backup.sh list")
    assert json.loads(listed.splitlines()[-1])["last_run"]["state"] == "interrupted"
    result = run_cronjob(there.namespace)
    assert result["attempts"] == 1
    assert "was interrupted before it could write its result" in result["warnings"][0]
    assert there.new_since(before) == left | ALWAYS | KIT | {
        result["backup"],
        *(f"{result['backup']}{suffix}" for suffix in (".sha256", ".json")),
    }


@pytest.mark.weekly
def test_out_of_memory_fails_the_run(installed: Install) -> None:
    """A row that does not fit, read by a real client: the kernel kills it, or (cgroup v2) the entire container."""
    limited = {"resources": {"limits": {"memory": "64Mi"}}}
    there = installed(job={"backoffLimit": 1}, container=limited)
    before = there.fill(10)
    there.stop_at("globals", "exec psql -d postgres -Atc \"SELECT repeat('x', 300000000)\"")
    there.start()
    wait_until(lambda: "OOMKilled" in str(there.container()), "Kubernetes calls it OOMKilled")
    assert failed_because("one", there.namespace) == "BackoffLimitExceeded"
    # If the entire container was killed, the run has no result; after five minutes it counts as interrupted.
    assert there.last_run["state"] in {"running", "failed"}
    assert there.last_run["attempts"] == 2
    assert "out of memory" in there.last_run["reason"]
    assert there.new_since(before) == ALWAYS


# The volume.


@pytest.fixture
def small_volume() -> Iterator[str]:
    """A volume of one megabyte that really fills up."""
    name = f"faults-{uuid.uuid4().hex[:8]}"
    tool = CHECKOUT / "dev" / "cluster" / "volume"
    subprocess.run([tool, name, "1M"], check=True, capture_output=True)
    yield name
    subprocess.run([tool, "--remove", name], check=True, capture_output=True)


NEWEST = "postgres-backup-2026-01-02-020000.sql.gz"
# One megabyte holds two backups; then pg_dump writes four that do not compress.
FILL = f"""cd /backups
for name in postgres-backup-2026-01-01-020000.sql.gz {NEWEST}; do
    echo 'SELECT 1;' | gzip >$name
    sha256sum $name >$name.sha256
done
mkdir gate
echo '{STEPS["dump"]}' >gate/stop
echo 'head -c 3000000 /dev/urandom | base64; exit 0' >gate/order"""
LOOK = """cd /backups
rm -f gate/reached
find . -type f ! -name '*.last-run.json' ! -name '*.history.jsonl' \\
    -exec stat -c '%n %i %s %y %a' {} + -exec sha256sum {} + | sort"""


@pytest.mark.weekly
def test_full_volume_fails_the_run(small_volume: str, installed: Install) -> None:
    request = {"requests": {"storage": "1Mi"}}
    there = installed(
        job={"backoffLimit": 2}, claim={"storageClassName": "", "volumeName": small_volume, "resources": request}
    )
    run_in_volume(there.namespace, FILL)
    before = run_in_volume(there.namespace, LOOK)
    there.start()
    message, log = there.first_failure()
    failed = json.loads(message)
    assert failed["state"] == "failed"
    assert failed["reason"].startswith("the backup volume is full: ")
    assert "No space left on device" in failed["reason"]
    assert_explains(log, NEWEST)
    assert failed_because("one", there.namespace) == "BackoffLimitExceeded"
    assert len(there.pods()) == 3
    record = json.loads(run_in_volume(there.namespace, f"cat /backups/{NAME}.last-run.json"))
    assert (record["state"], record["reason"]) == ("failed", failed["reason"])
    assert run_in_volume(there.namespace, LOOK) == before
    # The volume goes when nobody uses it any more.
    kubectl("delete", "cronjob,job,pvc", "--all", "-n", there.namespace)
