# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The API, kubectl and ansible-playbook, for tests on a real cluster."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kubernetes import client, config

CHECKOUT = Path(__file__).resolve().parents[3]
NAME = "postgres-backup"


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout


# A request on an open connection takes a tenth of what a kubectl does.
_PATHS = {
    "configmaps": "api/v1",
    "cronjobs": "apis/batch/v1",
    "jobs": "apis/batch/v1",
    "namespaces": "api/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "persistentvolumeclaims": "api/v1",
    "persistentvolumes": "api/v1",
    "pods": "api/v1",
    "prometheusrules": "apis/monitoring.coreos.com/v1",
    "secrets": "api/v1",
    "serviceaccounts": "api/v1",
    "services": "api/v1",
}
_PLURALS = {"networkpolicy": "networkpolicies", "pv": "persistentvolumes", "pvc": "persistentvolumeclaims"}


@cache
def _connection(kubeconfig: str) -> client.ApiClient:
    connection: client.ApiClient = config.new_client_from_config(kubeconfig)  # type: ignore[no-untyped-call]
    return connection


def _request(
    method: str,
    kind: str,
    namespace: str | None,
    name: str = "",
    body: Mapping[str, Any] | None = None,
    **query: str,
) -> dict[str, Any] | None:
    """The API's answer, or None where there is no such object."""
    plural = _PLURALS.get(kind.lower(), f"{kind.lower().removesuffix('s')}s")
    where = ["namespaces", namespace] if namespace and plural != "persistentvolumes" else []
    path = "/".join(["", _PATHS[plural], *where, plural, *([name] if name else [])])
    api = _connection(os.environ["KUBECONFIG"])
    request = api.param_serialize(
        method,
        path,
        query_params=[*query.items()],
        header_params={"Content-Type": "application/json"},
        body=body,
        auth_settings=["BearerToken"],
    )
    answer = api.call_api(*request)
    if answer.status == 404:
        return None
    found: dict[str, Any] = json.loads(answer.read())  # type: ignore[no-untyped-call]
    assert answer.status < 300, found
    return found


def get(kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
    """The object, or None where there is none."""
    return _request("GET", kind, namespace, name)


def must_get(kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    found = get(kind, name, namespace)
    assert found is not None, f"expected {kind} {namespace}/{name}, found none"
    return found


def listed(kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
    """The objects with these labels."""
    found = _request("GET", kind, namespace, labelSelector=selector)
    assert found is not None
    items: list[dict[str, Any]] = found["items"]
    return items


def names(kind: str, namespace: str) -> set[str]:
    return {item["metadata"]["name"] for item in listed(kind, namespace)}


def create(*objects: Mapping[str, Any]) -> None:
    """Objects that are not there yet."""
    for made in objects:
        about = made["metadata"]
        assert _request("POST", made["kind"], about.get("namespace"), body=made), f"no namespace {about['namespace']}"


def delete_namespace(name: str) -> None:
    """It goes with all that is in it, some time later."""
    _request("DELETE", "namespace", None, name)


def apply(*objects: Mapping[str, Any], how: str = "apply") -> None:
    """By kubectl: also kinds that are seldom here, and objects that are there already."""
    kubectl(how, "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    pause = 0.1
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for: {what}"
        time.sleep(pause)
        pause = min(0.5, pause * 1.2)


def job_ends(job: str, namespace: str, seconds: int = 90) -> str:
    """`Complete` or `Failed`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        conditions = must_get("job", job, namespace).get("status", {}).get("conditions", [])
        for condition in conditions:
            if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
                return str(condition["type"])
        time.sleep(0.5)
    description = kubectl("describe", "pod", "-n", namespace, "-l", f"batch.kubernetes.io/job-name={job}")
    raise AssertionError(f"the Job {job} did not end within {seconds} s:\n{description}")


def run_cronjob(namespace: str, cronjob: str = NAME, job: str = "manual-backup") -> dict[str, Any]:
    """Runs the CronJob once by hand, and returns the result in its log."""
    kubectl("create", "job", f"--from=cronjob/{cronjob}", job, "-n", namespace)
    state = job_ends(job, namespace)
    log = kubectl("logs", f"job/{job}", "-n", namespace)
    assert state == "Complete", log
    # Its log and its result are two streams, which Kubernetes mixes.
    result: dict[str, Any] = json.loads(next(line for line in log.splitlines() if line.startswith("{")))
    return result


def run_in_volume(namespace: str, command: str, cronjob: str = NAME, job: str = "look") -> str:
    """What a shell command prints in a pod like the backup's own."""
    made = json.loads(
        kubectl("create", "job", f"--from=cronjob/{cronjob}", job, "-n", namespace, "--dry-run=client", "-o", "json")
    )
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["command"], container["args"] = ["/bin/sh", "-ec"], [command]
    create(made)
    state = job_ends(job, namespace)
    log = kubectl("logs", f"job/{job}", "-n", namespace)
    kubectl("delete", "job", job, "-n", namespace)
    assert state == "Complete", log
    return log
