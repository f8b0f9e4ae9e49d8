# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""backup_job, backup_info and backup_prune on a real cluster: what they do, what they leave, and how they fail."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.foreign_cronjobs import plain_script
from tests.cluster.support.installed_objects import create_in
from tests.cluster.support.kube import (
    CHECKOUT,
    NAME,
    apply,
    create,
    kubectl,
    must_get,
    names,
    run_in_volume,
    wait_until,
)
from tests.cluster.support.namespaces import credentials
from tests.docs.claims import CLAIMS, FUTURE
from tests.in_turn import weekly_but

CLAIM = "pgdump-data"


def readers(namespace: str) -> set[str]:
    return {name for name in names("job", namespace) if "-reader-" in name}


def patch(namespace: str, *operations: tuple[str, str, Any]) -> None:
    """Changes the CronJob's pod template."""
    base = "/spec/jobTemplate/spec/template/spec"
    steps = [{"op": op, "path": base + path, "value": value} for op, path, value in operations]
    kubectl("patch", "cronjob", NAME, "-n", namespace, "--type=json", "-p", json.dumps(steps))


def slow_job(namespace: str, name: str, seconds: int, before: str = ":") -> None:
    """A Job by hand whose pod waits, and does something else, before it does what the CronJob's does."""
    made = json.loads(
        kubectl("create", "job", f"--from=cronjob/{NAME}", name, "-n", namespace, "--dry-run=client", "-o", "json")
    )
    container = made["spec"]["template"]["spec"]["containers"][0]
    command = f"sleep {seconds}; {before}; exec /bin/sh /opt/postgres-backup/backup.sh run"
    container["command"], container["args"] = ["/bin/sh", "-c", command], []
    create(made)


@pytest.fixture
def installed(site_objects: list[dict[str, Any]], namespace: str) -> dict[str, Any]:
    """The options that name an installation."""
    create_in(site_objects, namespace)
    return {"namespace": namespace, "name": NAME}


def test_first_run_makes_the_installation_healthy(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    empty = ansible.module("backup_info", **installed)
    assert [problem["check"] for problem in empty["problems"]] == ["backup"]
    assert (empty["healthy"], empty["newest"], empty["last_run"]) == (False, None, None)

    would = ansible.module("backup_job", "--check", max_age="1h", **installed)
    assert (would["changed"], would["result"]) == (True, None)
    assert not names("job", namespace) - readers(namespace)

    made = ansible.module("backup_job", max_age="1h", **installed)
    assert (made["changed"], made["attached"], made["result"]["state"]) == (True, False, "succeeded")
    assert any("databases to .postgres-backup-" in line for line in made["log"])
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
    size_bytes = info["newest"]["size_bytes"]
    assert made["result"]["size_bytes"] == made["result"]["bytes"] == info["last_run"]["size_bytes"] == size_bytes
    assert info["schedule"]["cron"] == "0 2 * * *"
    assert info["volume"]["claim"] == NAME
    assert info["volume"]["capacity_bytes"] == 10 * 2**30
    assert info["policy"]["keep_daily"] == 7
    assert not info["notes"]

    pruned = ansible.module("backup_prune", **installed)
    assert (pruned["changed"], pruned["deleted"], len(pruned["backups"])) == (False, [], 1)
    kubectl("wait", "--for=delete", "job", "-l", "app.kubernetes.io/component=reader", "-n", namespace, "--timeout=20s")
    assert names("job", namespace) == {made["job"]}


def test_prune_shows_then_applies_retention(ansible: Ansible, installed: dict[str, Any]) -> None:
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


@pytest.mark.weekly
def test_run_in_progress_is_attached_to(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    slow_job(namespace, "by-hand", 6)
    found = ansible.module("backup_job", **installed)
    assert (found["job"], found["attached"], found["result"]["job"]) == ("by-hand", True, "by-hand")
    assert names("job", namespace) == {"by-hand"}

    started = ansible.module("backup_job", wait=False, **installed)
    assert (started["attached"], started["result"]) == (False, None)
    assert started["job"] in names("job", namespace)


def waiting_job(namespace: str, name: str, container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A Job by hand of the CronJob, changed, whose pod gets no node."""
    made: dict[str, Any] = json.loads(
        kubectl("create", "job", f"--from=cronjob/{NAME}", name, "-n", namespace, "--dry-run=client", "-o", "json")
    )
    made["spec"].update(spec)
    pod = made["spec"]["template"]["spec"]
    pod["nodeSelector"] = {"disk": "none"}
    pod["containers"][0].update(container or {})
    return made


def runbooks_job(name: str, namespace: str) -> dict[str, Any]:
    """The Job that the runbook's own line makes, which is not created here; as the CronJob's, as it once was."""
    templates = CHECKOUT / "roles" / "postgres_backup" / "templates"
    lines = "".join(
        (templates / file).read_text() for file in ("postgres-backup.md.j2", "reader-job.sh.j2")
    ).splitlines()
    (line,) = [line for line in lines if f"cronjob/{{{{ cronjob }}}} {name}" in line and " sed " in line]
    line = line.replace("{{ cronjob }}", NAME).replace("{{ namespace }}", namespace)
    line = re.sub(r"{% if __postgres_backup_has_restore_credentials %}.*?{% endif %}", "", line)
    command = f"job=list; {line[line.index('kubectl create job') : line.index(' | kubectl create -f -')]}"
    made = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=True)
    found: dict[str, Any] = yaml.safe_load(made.stdout)
    assert "ownerReferences" not in found["metadata"]
    found["metadata"]["ownerReferences"] = waiting_job(namespace, "owned")["metadata"]["ownerReferences"]
    return found


@pytest.mark.weekly
def test_other_jobs_are_not_attached_to(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    reader, listing = runbooks_job("backup-reader", namespace), runbooks_job('"$job"', namespace)
    assert listing["spec"]["template"]["spec"]["containers"][0]["args"] == ["list"]
    create(reader)
    listing["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "none"}
    deleted = waiting_job(namespace, "deleted")
    deleted["metadata"]["finalizers"] = ["tests.homelab/kept"]
    create(
        listing,
        waiting_job(namespace, "prune", {"args": ["prune"]}),
        waiting_job(namespace, "sleeps", {"command": ["sleep", "3600"], "args": []}),
        waiting_job(namespace, "suspended", suspend=True),
        deleted,
    )
    kubectl("delete", "job", "deleted", "-n", namespace, "--wait=false")
    try:
        made = ansible.module("backup_job", wait_timeout="90s", **installed)
    finally:
        kubectl("patch", "job", "deleted", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    assert not made["failed"], made["msg"]
    assert (made["attached"], made["proven"], made["result"]["job"]) == (False, True, made["job"])
    # A run of an earlier version is one.
    create(waiting_job(namespace, "earlier", {"image": "localhost/postgresql:1"}))
    would = ansible.module("backup_job", "--check", **installed)
    assert (would["job"], would["attached"]) == ("earlier", True)


@pytest.mark.weekly
def test_job_without_a_result_is_a_failure(ansible: Ansible, installed: dict[str, Any]) -> None:
    """It is complete, and what it printed is another run's."""
    namespace = installed["namespace"]
    slow_job(namespace, "by-hand", 6, 'echo \'{"state":"succeeded","job":"another"}\'; exit 0')
    found = ansible.module("backup_job", **installed)
    assert (found["failed"], found["job"], found["result"], found["proven"]) == (True, "by-hand", None, False)
    assert (
        "is complete, but its result is missing" in found["msg"] and "the volume has no record of a run" in found["msg"]
    )


@pytest.mark.weekly
def test_second_container_that_does_not_end(ansible: Ansible, installed: dict[str, Any]) -> None:
    """One that does not end, as a mesh's proxy does not."""
    template = must_get("cronjob", NAME, installed["namespace"])["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    proxy = {key: template["containers"][0][key] for key in ("image", "securityContext")}
    patch(installed["namespace"], ("add", "/containers/-", {**proxy, "name": "proxy", "command": ["sleep", "600"]}))
    jobs = set()
    for _ in range(2):
        made = ansible.module("backup_job", **installed)
        assert not made["failed"], made["msg"]
        assert (made["attached"], made["result"]["job"], made["proven"]) == (False, made["job"], True)
        assert "the container proxy of its pod does not end" in str(made["warnings"])
        jobs.add(made["job"])
    assert len(jobs) == 2
    # As if the schedule had started the second one, which takes a minute.
    namespace, ref = installed["namespace"], {"kind": "Job", "name": made["job"], "namespace": installed["namespace"]}
    status = json.dumps({"status": {"active": [ref]}})
    kubectl("patch", "cronjob", NAME, "-n", namespace, "--subresource=status", "--type=merge", "-p", status)
    info = ansible.module("backup_info", **installed)
    (note,) = [note for note in info["notes"] if made["job"] in note]
    assert "UTC, its deadline: the container proxy of its pod does not end. Keep it out of the CronJob's pods" in note
    # Kubernetes does not start another attempt while the pod runs, so a failure is the end too.
    patch(namespace, ("replace", "/containers/0/args", ["run", "--no-such-option"]))
    failed = ansible.module("backup_job", **installed)
    assert failed["failed"]
    assert "is not tried again, since the container proxy of its pod continues" in failed["msg"]
    # Its Job continues, but is not the run that the next call waits for.
    patch(namespace, ("replace", "/containers/0/args", ["run"]))
    made = ansible.module("backup_job", **installed)
    assert not made["failed"], made["msg"]
    assert (made["attached"], made["result"]["job"]) == (False, made["job"])


@pytest.mark.weekly
def test_node_available_late(ansible: Ansible, installed: dict[str, Any]) -> None:
    """As one does that is uncordoned, or added by an autoscaler; long after startup_timeout."""
    namespace, label = installed["namespace"], f"homelab-tests-late-{installed['namespace']}"
    patch(namespace, ("add", "/nodeSelector", {label: "yes"}))
    begun = [ansible.start(module, startup_timeout="2s", **installed) for module in ("backup_job", "backup_info")]
    try:
        wait_until(lambda: len(names("pod", namespace)) == 2, "their pods are there", 60)
        time.sleep(6)
        assert [each.poll() for each in begun] == [None, None]
        kubectl("label", "node", "--all", f"{label}=yes")
        outputs = [each.communicate(timeout=120)[0] for each in begun]
    finally:
        kubectl("label", "node", "--all", f"{label}-")
    assert [each.returncode for each in begun] == [0, 0], outputs


@pytest.mark.weekly
def test_volume_available_late(ansible: Ansible, installed: dict[str, Any], tmp_path: Path) -> None:
    """As one does whose server starts again: the kubelet tries the mount once more."""
    namespace = installed["namespace"]
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=privileged", "--overwrite")
    late = tmp_path / "late"
    patch(
        namespace,
        ("add", "/volumes/-", {"name": "late", "hostPath": {"path": str(late), "type": "Directory"}}),
        ("add", "/containers/0/volumeMounts/-", {"name": "late", "mountPath": "/late"}),
    )
    begun = ansible.start("backup_job", stuck_timeout="1s", **installed)
    events = ("get", "events", "-n", namespace, "--field-selector", "reason=FailedMount", "-o", "name")
    wait_until(lambda: bool(kubectl(*events)), "the mount fails", 60)
    time.sleep(4)
    assert begun.poll() is None
    late.mkdir()
    output, _ = begun.communicate(timeout=120)
    assert begun.returncode == 0, output


def test_failed_run_is_explained(ansible: Ansible, installed: dict[str, Any]) -> None:
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


@pytest.mark.weekly
def test_job_deleted_during_the_run(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    slow_job(namespace, "by-hand", 120)
    waiting = ansible.start("backup_job", **installed)
    # Nothing outside of the module shows that it waits.
    time.sleep(30)
    kubectl("delete", "job", "by-hand", "-n", namespace)
    output, _ = waiting.communicate(timeout=60)
    assert waiting.returncode != 0
    assert "was deleted before its end was seen" in output


@pytest.mark.weekly
def test_backups_dated_in_the_future_are_cleared(ansible: Ansible, installed: dict[str, Any]) -> None:
    """By the page's own commands, in the runbook's own pod."""
    namespace = installed["namespace"]
    good = ansible.module("backup_job", **installed)["result"]["backup"]
    removed, renamed = (f"{NAME}-2099-01-0{day}-020000" for day in (1, 2))
    copies = "".join(
        f"cp -p {good} {name}.sql.gz; touch -d '2 hours ago' {name}.sql.gz; "
        f"sed 's/{good}/{name}.sql.gz/' {good}.sha256 >{name}.sql.gz.sha256; "
        for name in (removed, renamed)
    )
    run_in_volume(namespace, f"cd /backups; {copies}")
    (problem,) = ansible.module("backup_info", **installed)["problems"]
    assert problem["check"] == "future" and removed in problem["message"], problem
    create(runbooks_job("backup-reader", namespace))
    kubectl("wait", "--for=jsonpath={.status.ready}=1", "job/backup-reader", "-n", namespace, "--timeout=2m")
    remove, rename = (command for command, claim in CLAIMS["docs/troubleshooting.md"].items() if claim == FUTURE)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")
    for command, name in ((remove, removed), (rename, renamed)):
        here = command.replace("NAME", name).replace("TRUE", f"{NAME}-{yesterday}-020000")
        subprocess.run(["bash", "-c", here.replace("-n data", f"-n {namespace}")], check=True)
    again = ansible.module("backup_job", **installed)
    assert not again["attached"] and not again["failed"], again["msg"]
    info = ansible.module("backup_info", **installed)
    assert info["healthy"], info["problems"]
    assert f"{NAME}-{yesterday}-020000.sql.gz" in {backup["name"] for backup in info["backups"]}


def _named(name: str, namespace: str) -> dict[str, str]:
    return {"name": name, "namespace": namespace}


# What time may mend is waited for: the Job that was asked for is not deleted then.
MAY_PASS = {"image", "node", "unbound"}
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
    "quota": ([], ("FailedCreate", "quota", "postgres_backup_resources")),
    "account": ([("replace", "/serviceAccountName", "none")], ("FailedCreate", 'serviceaccount "none" not found')),
}


@pytest.mark.parametrize("fault", weekly_but(STUCK, "node"))
def test_pod_that_cannot_start(ansible: Ansible, installed: dict[str, Any], fault: str) -> None:
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
    if fault == "quota":
        spec = {"hard": {"limits.cpu": "1m"}}
        apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": _named("quota", namespace), "spec": spec})
        kubectl("wait", "--for=jsonpath={.status.hard}", "resourcequota/quota", "-n", namespace, "--timeout=20s")
    patch(namespace, *operations)
    began = time.monotonic()
    found = ansible.module("backup_job", startup_timeout="8s", wait_timeout="14s", **installed)
    assert found["failed"]
    assert all(word in found["msg"] for word in words), found["msg"]
    assert time.monotonic() - began < 45
    if fault in MAY_PASS:
        assert "It continues: kubectl get pods" in found["msg"] and found["check"] == "timeout", found["msg"]
        (job,) = names("job", namespace)
        assert f"kubectl delete job {job} -n {namespace}" in found["msg"]
        kubectl("delete", "job", job, "-n", namespace)
    else:
        assert found["check"] == "pod"
    kubectl("wait", "--for=delete", "job", "--all", "-n", namespace, "--timeout=30s")
    if fault != "secret":  # a reader has no use for secrets
        # For a node it waits ten times as long.
        found = ansible.module(
            "backup_info", startup_timeout="1s" if fault in {"node", "unbound"} else "8s", **installed
        )
        assert all(word in found["msg"] for word in words), found["msg"]
        assert not readers(namespace)


@pytest.mark.weekly
def test_foreign_cronjob(ansible: Ansible, namespace: str, role_variables: dict[str, Any]) -> None:
    apply(*plain_script(namespace, role_variables["host"], CLAIM))
    options: dict[str, Any] = {"namespace": namespace, "name": NAME}
    create(waiting_job(namespace, "sleeps", {"command": ["sleep", "3600"]}))
    made = ansible.module("backup_job", **options)
    assert not made["failed"], made["msg"]
    assert (made["changed"], made["attached"], made["result"], made["proven"]) == (True, False, None, False)
    assert "but nothing else is known" in str(made["warnings"])
    info = ansible.module("backup_info", **options)
    assert [backup["state"] for backup in info["backups"]] == ["unchecked"]
    assert {"backup", "unchecked"} <= {problem["check"] for problem in info["problems"]}
    assert "This CronJob does not run this collection's script" in str(info["problems"])
    assert info["volume"]["claim"] == CLAIM


@pytest.fixture
def minimal(namespace: str, tmp_path: Path) -> dict[str, str]:
    """Credentials of a user with the documented Role and no more."""
    role = yaml.safe_load((CHECKOUT / "docs" / "examples" / "rbac" / "operate.yaml").read_text())
    role["metadata"]["namespace"] = namespace
    return credentials("operator", role, tmp_path)


def test_documented_rights_are_enough(ansible: Ansible, installed: dict[str, Any], minimal: dict[str, str]) -> None:
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
        ({"name": "other"}, ("does not exist", "CronJobs in that namespace: none")),
        ({"namespace": "no-such"}, ("There is no namespace 'no-such'",)),
        ({"context": "no-such"}, ("no-such", "`context`")),
        ({"host": "https://127.0.0.1:1", "api_key": "some-key"}, ("cannot be reached", "refused")),
        ({"max_age": "soon"}, ("expected a duration such as", "'soon'")),
    ],
)
@pytest.mark.parametrize("module", ["backup_info", "backup_job"])
def test_missing_cronjob_is_named(
    ansible: Ansible, namespace: str, module: str, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    if "max_age" in options:
        apply(*plain_script(namespace, "host", CLAIM))
    found = ansible.module(module, **{"namespace": namespace, **options})
    assert found["failed"]
    assert all(word in found["msg"] for word in words), found["msg"]
    assert not names("job", namespace)


@pytest.mark.weekly
def test_module_killed_leaves_no_reader(ansible: Ansible, installed: dict[str, Any]) -> None:
    namespace = installed["namespace"]
    patch(namespace, ("add", "/nodeSelector", {"disk": "none"}))  # the reader waits for ever
    running = ansible.start("backup_info", startup_timeout="10m", **installed)
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
