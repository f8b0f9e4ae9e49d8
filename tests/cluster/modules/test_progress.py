# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a person sees while a backup, a fetch, a drill, copies and a retrieval run on a real cluster."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from plugins.module_utils._progress.event import parse_event
from tests.cluster.support.ansible_runs import Ansible, warm
from tests.cluster.support.foreign_cronjobs import claim
from tests.cluster.support.installed_objects import create_in
from tests.cluster.support.kube import NAME, create, kubectl, run_in_volume
from tests.cluster.support.tools_image import tools_image

# Each database takes so long to be dumped that a line is due meanwhile.
SLOW = """
mkdir -p "${TMPDIR:-/tmp}/slow" && cd "${TMPDIR:-/tmp}/slow" || exit
printf '#!/bin/sh\\nsleep 10\\nexec %s "$@"\\n' "$(command -v pg_dump)" >pg_dump && chmod 0755 pg_dump
PATH=$PWD:$PATH exec /bin/sh /opt/postgres-backup/backup.sh run
"""


@dataclass
class Seen:
    """The lines of a playbook with the moments at which they appeared."""

    output: list[tuple[str, float]] = field(default_factory=list)
    errors: list[tuple[str, float]] = field(default_factory=list)
    ended: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def progress(self) -> list[str]:
        return [line for line, _ in self.errors]

    def require_pace(self) -> None:
        """First line within 3 s, no gap above 10 s; two seconds more on a busy machine."""
        began = next(moment for line, moment in self.output if line.startswith("TASK ["))
        # The last line of the task, or of what follows it.
        ended = next((moment for line, moment in self.output if line.startswith(("ok:", "changed:"))), self.ended)
        moments = [moment for _, moment in self.errors]
        assert moments[0] - began < 5, self
        assert all(later - earlier < 12 for earlier, later in pairwise([*moments, ended])), self


def watched(ansible: Ansible, module: str, **options: Any) -> Seen:
    """Runs the module as the first task of a playbook; the second one keeps its result."""
    kept = ansible.folder / f"{module}.json"
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "tasks": [
            {f"homelab.postgres_backup.{module}": options, "register": "result"},
            {"ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": str(kept), "mode": "0600"}},
        ],
    }
    path = ansible.folder / f"{module}.yml"
    path.write_text(yaml.safe_dump([play]))
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("ansible-playbook")), str(path), *warm()],
        cwd=ansible.folder,
        env=ansible.environment({"POSTGRES_BACKUP_PROGRESS": "true", "PYTHONUNBUFFERED": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = Seen()

    def read(stream: IO[str], lines: list[tuple[str, float]]) -> None:
        lines.extend((line.rstrip("\n"), time.monotonic()) for line in stream)

    assert process.stdout is not None and process.stderr is not None
    threads = [
        threading.Thread(target=read, args=pair)
        for pair in ((process.stdout, seen.output), (process.stderr, seen.errors))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.ended = time.monotonic()
    assert process.wait() == 0, seen
    seen.result = json.loads(kept.read_text())
    return seen


@pytest.fixture
def installed(site_objects: list[dict[str, Any]], namespace: str) -> dict[str, Any]:
    create_in(site_objects, namespace)
    return {"namespace": namespace, "name": NAME}


def test_a_backup_a_fetch_and_a_drill(ansible: Ansible, installed: dict[str, Any], tmp_path: Path) -> None:
    namespace = installed["namespace"]
    container = "/spec/jobTemplate/spec/template/spec/containers/0"
    change = [
        {"op": "replace", "path": f"{container}/command", "value": ["/bin/sh", "-c", SLOW]},
        {"op": "replace", "path": f"{container}/args", "value": []},
    ]
    kubectl("patch", "cronjob", NAME, "-n", namespace, "--type=json", "-p", json.dumps(change))

    seen = watched(ansible, "backup_job", **installed)
    seen.require_pace()
    text = "\n".join(seen.progress)
    # Which database a line is about depends on when it is due; the log has all of them.
    assert re.search(rf"^{namespace}/{NAME}: dumping\b", text, re.MULTILINE), text
    made = seen.result["result"]["backup"]
    log = kubectl("logs", "-n", namespace, f"job/{seen.result['job']}").splitlines()
    dumped = [event for event in map(parse_event, log) if event and event.activity == "dump" and event.subject]
    assert dumped and all(event.number and event.count for event in dumped), log
    assert seen.result["log"]
    assert not [line for line in seen.result["log"] if "progress" in line]

    fetched = watched(ansible, "backup_fetch", **installed, backup=made, dest=str(tmp_path), verify=True)
    assert fetched.ended - fetched.output[0][1] < 5 or fetched.progress, fetched

    drilled = watched(ansible, "restore_drill", **installed, backup=made)
    drilled.require_pace()
    assert all(line.startswith(f"{namespace}/{NAME}: ") for line in drilled.progress)


@pytest.mark.weekly
def test_a_run_of_somebody_else(ansible: Ansible, installed: dict[str, Any]) -> None:
    """It prints nothing for a module: what it waits for, and for how long, is shown."""
    namespace = installed["namespace"]
    made = json.loads(
        kubectl("create", "job", f"--from=cronjob/{NAME}", "night", "-n", namespace, "--dry-run=client", "-o", "json")
    )
    first = made["spec"]["template"]["spec"]["containers"][0]
    first["command"] = ["/bin/sh", "-c", "sleep 8; exec /bin/sh /opt/postgres-backup/backup.sh run"]
    first["args"] = []
    kubectl("create", "-f", "-", stdin=json.dumps(made))
    seen = watched(ansible, "backup_job", **installed)
    seen.require_pace()
    assert re.search(r"waiting for the end of the Job night, \d+ s so far", "\n".join(seen.progress)), seen
    assert '{"type":"progress"' not in kubectl("logs", "-n", namespace, "job/night")


@pytest.mark.weekly
def test_copies_and_a_retrieval(ansible: Ansible, role_variables: dict[str, Any], namespace: str) -> None:
    """With a limit of the bandwidth; rclone sends the first 4 MiB at once."""
    create(claim(namespace, "usb"))
    place = {"name": "usb", "kind": "claim", "claim_name": "usb", "bandwidth": "2M"}
    variables = {**role_variables, "copy_image": tools_image(), "copy_schedule": "0 0 1 1 *", "copies": [place]}
    installed = ansible.site(**variables)
    assert installed.status == 0, installed.output
    backup = f"{NAME}-2026-11-22-020000.sql.gz"
    make = f"head -c 40000000 /dev/urandom >{backup} && sha256sum {backup} >{backup}.sha256"
    run_in_volume(namespace, f"cd /backups && {make}")

    copied = watched(ansible, "backup_copy", namespace=namespace, name=NAME)
    copied.require_pace()
    amount = r"[\d.]+ of 38\.1 MiB \(\d+ %\), [\d.]+ (MiB|KiB)/s, about \d+ s left"
    assert re.search(rf": copying {backup} \(usb\), {amount}$", "\n".join(copied.progress), re.MULTILINE), copied
    assert not [line for line in copied.result["log"] if "progress" in line]

    run_in_volume(namespace, f"rm /backups/{backup}*")
    retrieved = watched(ansible, "backup_retrieve", namespace=namespace, name=NAME, place="usb")
    retrieved.require_pace()
    assert re.search(rf": retrieving {backup} \(usb\), {amount}$", "\n".join(retrieved.progress), re.MULTILINE), (
        retrieved
    )
