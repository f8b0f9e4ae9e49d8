# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""backup_job, backup_info and backup_prune on a real cluster: what they do, what they leave, and how they fail."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import credentials
from .kube import CHECKOUT, NAME, Ansible, apply, create, kubectl, must_get, names, run_in_volume, wait_until
from .test_role_takeover import plain_script
from .written import create_in

CLAIM = "pgdump-data"


def readers(namespace: str) -> set[str]:
    return {name for name in names("job", namespace) if "-reader-" in name}


def patch(namespace: str, *operations: tuple[str, str, Any]) -> None:
    """Changes the CronJob's pod template."""
    base = "/spec/jobTemplate/spec/template/spec"
    steps = [{"op": op, "path": base + path, "value": value} for op, path, value in operations]
    kubectl("patch", "cronjob", NAME, "-n", namespace, "--type=json", "-p", json.dumps(steps))


def slow_job(namespace: str, name: str, seconds: int) -> None:
    """A Job by hand whose pod waits before it does what the CronJob's does."""
    made = json.loads(
        kubectl("create", "job", f"--from=cronjob/{NAME}", name, "-n", namespace, "--dry-run=client", "-o", "json")
    )
    container = made["spec"]["template"]["spec"]["containers"][0]
    command = f"sleep {seconds}; exec /bin/sh /opt/postgres-backup/backup.sh run"
    container["command"], container["args"] = ["/bin/sh", "-c", command], []
    create(made)


@pytest.fixture
def installed(written: list[dict[str, Any]], namespace: str) -> dict[str, Any]:
    """The options that name an installation."""
    create_in(written, namespace)
    return {"namespace": namespace, "name": NAME}


def test_from_nothing_to_healthy(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    empty = ansible.module("backup_info", **installed)
    assert [problem["check"] for problem in empty["problems"]] == ["backup"]
    assert (empty["healthy"], empty["newest"], empty["last_run"]) == (False, None, None)

    would = ansible.module("backup_job", "--check", max_age="1h", **installed)
    assert (would["changed"], would["result"]) == (True, None)
    assert not names("job", namespace) - readers(namespace)

    made = ansible.module("backup_job", max_age="1h", **installed)
    assert (made["changed"], made["attached"], made["result"]["state"]) == (True, False, "succeeded")
    assert any("dumping every database" in line for line in made["log"])
    job = must_get("job", made["job"], namespace)
    assert job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"] == "manual"
    assert job["metadata"]["ownerReferences"][0]["name"] == NAME

    again = ansible.module("backup_job", max_age="1h", **installed)
    assert (again["changed"], again["job"], again["newest"]["name"]) == (False, None, made["result"]["backup"])
    assert not ansible.module("backup_job", "--check", max_age="1h", **installed)["changed"]

    info = ansible.module("backup_info", **installed)
    assert info["healthy"], info["problems"]
    assert info["newest"]["sha256"] == made["result"]["sha256"]
    assert info["last_run"]["job"] == made["job"]
    assert info["schedule"]["cron"] == "0 2 * * *"
    assert info["volume"]["claim"] == NAME
    assert info["volume"]["capacity_bytes"] == 10 * 2**30
    assert info["policy"]["keep_daily"] == 7
    assert not info["notes"]

    pruned = ansible.module("backup_prune", **installed)
    assert (pruned["changed"], pruned["deleted"], len(pruned["backups"])) == (False, [], 1)
    kubectl("wait", "--for=delete", "job", "-l", "app.kubernetes.io/component=reader", "-n", namespace, "--timeout=20s")
    assert names("job", namespace) == {made["job"]}


def test_retention_is_shown_and_applied(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    made = """
    for day in 01 02 03; do
        f=postgres-backup-2026-10-$day-020000.sql.gz; echo x | gzip > $f; sha256sum $f > $f.sha256
    done; echo y > notes.txt; echo z > postgres-backup-2026-10-04-020000.sql.gz"""
    run_in_volume(namespace, f"cd /backups; {made}")
    kubectl("patch", "cronjob", NAME, "-n", namespace, "-p", '{"spec":{"suspend":true}}')
    _keep_one(namespace)

    plan = ansible.module("backup_prune", "--check", "--diff", **installed)
    gone = [f"postgres-backup-2026-10-0{day}-020000.sql.gz" for day in (1, 2)]
    assert (plan["changed"], plan["deleted"]) == (True, gone)
    removed = [line.split()[0] for line in plan["shown"].splitlines() if line.startswith("-postgres-backup-")]
    assert removed == [f"-{name}" for name in reversed(gone)]
    assert len(ansible.module("backup_info", **installed)["backups"]) == 4

    applied = ansible.module("backup_prune", **installed)
    assert (applied["changed"], applied["deleted"]) == (True, gone)
    assert not ansible.module("backup_prune", **installed)["changed"]

    info = ansible.module("backup_info", **installed)
    assert [backup["state"] for backup in info["backups"]] == ["unchecked", "complete"]
    assert {problem["check"] for problem in info["problems"]} == {"age", "schedule", "unchecked"}
    assert "notes.txt" in run_in_volume(namespace, "ls /backups")


def _keep_one(namespace: str) -> None:
    container = must_get("cronjob", NAME, namespace)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    for number, entry in enumerate(container["env"]):
        if entry["name"] in {"POSTGRES_BACKUP_KEEP_LAST", "POSTGRES_BACKUP_KEEP_DAILY"}:
            value = "1" if entry["name"].endswith("LAST") else "0"
            patch(namespace, ("replace", f"/containers/0/env/{number}/value", value))


def test_attaches_to_a_run_in_progress(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    slow_job(namespace, "by-hand", 6)
    found = ansible.module("backup_job", **installed)
    assert (found["job"], found["attached"], found["result"]["job"]) == ("by-hand", True, "by-hand")
    assert names("job", namespace) == {"by-hand"}

    started = ansible.module("backup_job", wait=False, **installed)
    assert (started["attached"], started["result"]) == (False, None)
    assert started["job"] in names("job", namespace)


def test_a_failed_run_says_why(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "postgres-postgresql", "namespace": namespace},
            "stringData": {"postgres-password": "another"},
        }
    )
    kubectl("patch", "cronjob", NAME, "-n", namespace, "-p", '{"spec":{"jobTemplate":{"spec":{"backoffLimit":1}}}}')
    failed = ansible.module("backup_job", **installed)
    assert failed["failed"]
    assert "password authentication failed" in failed["msg"]
    assert failed["result"]["state"] == "failed"
    assert "password authentication failed" in failed["result"]["reason"]
    assert any("what to do" in line for line in failed["log"])
    assert "another" not in json.dumps(failed)
    info = ansible.module("backup_info", **installed)
    assert {"backup", "last_run"} <= {problem["check"] for problem in info["problems"]}


def test_a_job_that_is_deleted_meanwhile(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    slow_job(namespace, "by-hand", 60)
    waiting = ansible.start("backup_job", **installed)
    time.sleep(10)
    kubectl("delete", "job", "by-hand", "-n", namespace)
    output, _ = waiting.communicate(timeout=60)
    assert waiting.returncode != 0
    assert "was deleted before its end was seen" in output


def _named(name: str, namespace: str) -> dict[str, str]:
    return {"name": name, "namespace": namespace}


STUCK: dict[str, tuple[list[tuple[str, str, Any]], tuple[str, ...]]] = {
    "image": ([("replace", "/containers/0/image", "localhost/none:1")], ("Image", "postgres_backup_image")),
    "secret": (
        [("add", "/containers/0/env/0", {"name": "X", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}})],
        ('secret "none" not found',),
    ),
    "node": ([("add", "/nodeSelector", {"disk": "none"})], ("Unschedulable", "node selector")),
    "claim": ([("replace", "/volumes/0/persistentVolumeClaim/claimName", "none")], ('"none" not found',)),
    "unbound": (
        [("replace", "/volumes/0/persistentVolumeClaim/claimName", "unbound")],
        ("unbound", "PersistentVolumeClaim"),
    ),
    "account": ([("replace", "/serviceAccountName", "none")], ("FailedCreate", 'serviceaccount "none" not found')),
}


@pytest.mark.parametrize("fault", STUCK)
def test_a_pod_that_will_not_start(ansible: Ansible, installed: dict[str, Any], fault: str) -> None:
    namespace = installed["namespace"]
    operations, words = STUCK[fault]
    if fault == "unbound":
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "none",
        }
        apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": _named("unbound", namespace),
                "spec": spec,
            }
        )
    patch(namespace, *operations)
    began = time.monotonic()
    found = ansible.module("backup_job", stuck_timeout="8s", **installed)
    assert found["failed"]
    assert all(word in found["msg"] for word in words), found["msg"]
    assert time.monotonic() - began < 45
    kubectl("wait", "--for=delete", "job", "--all", "-n", namespace, "--timeout=30s")
    if fault != "secret":  # a reader has no use for secrets
        found = ansible.module("backup_info", stuck_timeout="8s", **installed)
        assert all(word in found["msg"] for word in words), found["msg"]


def test_a_plain_scripts_cronjob(ansible: Ansible, namespace: str, home: dict[str, Any]) -> None:
    apply(*plain_script(namespace, home["host"], CLAIM))
    options: dict[str, Any] = {"namespace": namespace, "name": NAME}
    made = ansible.module("backup_job", **options)
    assert not made["failed"], made["msg"]
    assert (made["changed"], made["result"]) == (True, None)
    info = ansible.module("backup_info", **options)
    assert [backup["state"] for backup in info["backups"]] == ["unchecked"]
    assert {"backup", "unchecked"} <= {problem["check"] for problem in info["problems"]}
    assert info["volume"]["claim"] == CLAIM


@pytest.fixture
def minimal(namespace: str, tmp_path: Path) -> dict[str, str]:
    """Credentials of a user with the documented Role and no more."""
    role = yaml.safe_load((CHECKOUT / "docs" / "examples" / "rbac" / "operate.yaml").read_text())
    role["metadata"]["namespace"] = namespace
    return credentials("operator", role, tmp_path)


def test_the_documented_role_is_enough(ansible: Ansible, installed: dict[str, Any], minimal: dict[str, str]) -> None:
    made = ansible.module("backup_job", env=minimal, **installed)
    assert not made["failed"], made["msg"]
    assert not ansible.module("backup_job", env=minimal, max_age="1h", **installed)["changed"]
    info = ansible.module("backup_info", env=minimal, **installed)
    assert info["healthy"], info
    assert (info["volume"]["claim"], info["volume"]["nfs_server"]) == (NAME, None)
    notes = "\n".join(info["notes"])
    assert all(word in notes for word in ("the volume 'pvc-", "the service '", "the ConfigMap '")), notes
    assert not ansible.module("backup_prune", env=minimal, **installed)["failed"]
    elsewhere = ansible.module("backup_info", env=minimal, **{**installed, "namespace": "default"})
    assert "this user may not use the CronJob 'default/postgres-backup'" in elsewhere["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "other"}, ("is not there", "CronJobs in that namespace: none")),
        ({"namespace": "no-such"}, ("There is no namespace 'no-such'",)),
        ({"context": "no-such"}, ("no-such", "`context`")),
        ({"host": "https://127.0.0.1:1", "api_key": "some-key"}, ("cannot be reached", "refused")),
        ({"max_age": "soon"}, ("expected a duration such as", "'soon'")),
    ],
)
@pytest.mark.parametrize("module", ["backup_info", "backup_job"])
def test_what_is_not_there(
    ansible: Ansible, namespace: str, module: str, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    if "max_age" in options:
        apply(*plain_script(namespace, "host", CLAIM))
    found = ansible.module(module, **{"namespace": namespace, **options})
    assert found["failed"]
    assert all(word in found["msg"] for word in words), found["msg"]
    assert not names("job", namespace)


def test_a_module_that_is_killed_leaves_nothing_for_long(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    patch(namespace, ("add", "/nodeSelector", {"disk": "none"}))  # the reader waits for ever
    running = ansible.start("backup_info", stuck_timeout="10m", **installed)
    wait_until(lambda: bool(readers(namespace)), "its Job is there", 30)
    os.killpg(running.pid, signal.SIGKILL)
    (left,) = readers(namespace)
    spec = must_get("job", left, namespace)["spec"]
    assert spec["activeDeadlineSeconds"] <= 600
    assert spec["ttlSecondsAfterFinished"] <= 300
    # What Kubernetes does at the deadline, sooner.
    kubectl(
        "patch", "job", left, "-n", namespace, "-p", '{"spec":{"activeDeadlineSeconds":1,"ttlSecondsAfterFinished":1}}'
    )
    kubectl("wait", "--for=delete", f"job/{left}", "-n", namespace, "--timeout=30s")
    kubectl(
        "wait", "--for=delete", "pod", "-l", f"batch.kubernetes.io/job-name={left}", "-n", namespace, "--timeout=30s"
    )
