# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The API, kubectl and ansible-playbook, for tests on a real cluster."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kubernetes import client, config

from .warm_python import warm_python

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "postgres-backup"
RUN_MODULE = Path(__file__).with_name("run_module.py")


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
    "secrets": "api/v1",
    "serviceaccounts": "api/v1",
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


class PodShell:
    """Commands in a pod by one `kubectl exec`: to begin one for each takes longer than most commands."""

    _LOOP = """
while read -r input command; do
    printf %s "$input" | base64 -d | eval "$(printf %s "$command" | base64 -d)" >/tmp/shell.out 2>/tmp/shell.error
    echo "$? $(wc -c </tmp/shell.out) $(wc -c </tmp/shell.error)"
    cat /tmp/shell.out /tmp/shell.error
done
"""

    def __init__(self, namespace: str, pod: str) -> None:
        self._process = subprocess.Popen(
            ["kubectl", "exec", "-i", pod, "-n", namespace, "--", "sh", "-c", self._LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Exit status, standard output and standard error."""
        assert self._process.stdin is not None and self._process.stdout is not None
        # Never an empty word: `read` would take the next one for it. A newline more is nothing to psql.
        request = [base64.b64encode(part) for part in (stdin + b"\n", shlex.join(words).encode())]
        self._process.stdin.write(b" ".join(request) + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().split()
        assert len(answer) == 3, f"the shell in the pod ended: {answer!r}"
        status, out, error = map(int, answer)
        return status, self._process.stdout.read(out), self._process.stdout.read(error)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class PodCommands:
    """As PodShell, by an exec for each command: it works again after the API server or the container was gone.

    A kubelet that was just started knows its pods only after a moment.
    """

    namespace: str
    pod: str

    def run(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        command = ["kubectl", "exec", "-i", self.pod, "-n", self.namespace, "--", *words]
        for _ in range(60):
            done = subprocess.run(command, input=stdin, capture_output=True, check=False)
            if b"unable to upgrade connection" not in done.stderr:
                break
            time.sleep(0.5)
        return done.returncode, done.stdout, done.stderr


def signal_all(process: subprocess.Popen[str], sent: signal.Signals, children_first: bool = False) -> None:
    """A signal to a process and all that it started: Ansible's workers are in sessions of their own."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    family = [process.pid]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    for pid in reversed(family) if children_first else family:
        with suppress(ProcessLookupError):  # ended meanwhile
            os.kill(pid, sent)


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@dataclass(frozen=True)
class Play:
    """A playbook's run, as a person sees it."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        return self._recap("changed")

    @property
    def failed(self) -> int:
        return self._recap("failed")

    @property
    def summary(self) -> list[str]:
        """The lines that the play ends with."""
        _, _, rest = self.output.rpartition('"msg": [')
        text, _, _ = rest.partition("\n    ]")
        lines: list[str] = json.loads(f"[{text}]")
        return lines

    def _recap(self, name: str) -> int:
        match = re.search(rf"^localhost .*\b{name}=(\d+)", self.output, re.MULTILINE)
        assert match, self.output
        return int(match[1])


def warm() -> tuple[str, str]:
    """Arguments by which modules need not load their libraries."""
    return "-e", f"ansible_python_interpreter={warm_python()}"


@dataclass(frozen=True)
class Ansible:
    """Runs this collection's playbooks in a folder of its own."""

    folder: Path
    collections: Path

    def __call__(self, playbook: str, *arguments: str, env: Mapping[str, str] | None = None, **variables: Any) -> Play:
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [program, playbook, "-e", json.dumps(variables), *warm(), *arguments],
            cwd=self.folder,
            env=self.environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Play(done.returncode, done.stdout)

    def module(
        self, module: str, /, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> dict[str, Any]:
        """A module's result with `failed`.

        With arguments it is run by `ansible`, and `shown` is what a person sees. Without, the module runs by itself,
        in half of the time.
        """
        if not arguments:
            return self._module_alone(module, env, options)
        tree = self.folder / f"tree-{uuid.uuid4().hex[:8]}"
        done = self.start(module, *arguments, *warm(), "--tree", str(tree), env=env, **options)
        output, _ = done.communicate()
        found = tree / "localhost"
        assert found.exists(), output
        result: dict[str, Any] = json.loads(found.read_text())
        return {"failed": done.returncode != 0, "msg": "", "shown": output, **result}

    def _module_alone(self, module: str, env: Mapping[str, str] | None, options: Mapping[str, Any]) -> dict[str, Any]:
        given = self.folder / f"{module}-{uuid.uuid4().hex[:8]}.json"
        given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}))
        done = subprocess.run(
            [warm_python(), RUN_MODULE, self.collections, module, given],
            cwd=self.folder,
            env=self.environment(env),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.startswith('\n{"'), done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return {"failed": done.returncode != 0, "msg": "", "shown": done.stderr, **result}

    def start(
        self, module: str, /, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """The same, begun: a process group of its own."""
        return subprocess.Popen(
            self.command(module, *arguments, **options),
            cwd=self.folder,
            env=self.environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def command(module: str, /, *arguments: str, **options: Any) -> list[str]:
        """The program and its arguments that run a module."""
        program = str(Path(sys.executable).with_name("ansible"))
        name = f"homelab.postgres_backup.{module}"
        return [program, "localhost", "-c", "local", "-m", name, "-a", json.dumps(options), *arguments]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        there = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
        return os.environ | {
            "ANSIBLE_COLLECTIONS_PATH": f"{self.collections}:{there}".rstrip(":"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
            # What is unpacked a moment later on the same machine.
            "ANSIBLE_MODULE_COMPRESSION": "ZIP_STORED",
            **(more or {}),
        }

    def site(self, *arguments: str, env: Mapping[str, str] | None = None, **variables: Any) -> Play:
        """Runs site.yml, variables without their prefix."""
        given = {f"postgres_backup_{name}": value for name, value in variables.items()}
        return self("homelab.postgres_backup.site", *arguments, env=env, **given)
