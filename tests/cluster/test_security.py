# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the pods may do, seen from inside them; and that no password is shown by what Ansible and the pods say."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._jobs.drill_job import DrillRequest, drill_work
from plugins.module_utils._jobs.volume_jobs import RESTORE, ReaderRequest, VolumeWork, reader_job, volume_job
from plugins.module_utils._script.drill import FILES as DRILL_FILES
from plugins.module_utils._script.reader import FILES as READER_FILES
from plugins.module_utils._script.restore import FILES as RESTORE_FILES
from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.foreign_cronjobs import install
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import NAME, apply, delete_namespace, job_ends, kubectl, must_get
from tests.cluster.support.namespaces import new_namespace, secret
from tests.cluster.support.servers import Server
from tests.script.support.foreign_files import FOREIGN, OLD

# In place of each container's program. The environment of those with a password is not printed.
PROBE = r"""
cp /etc/passwd /tmp/passwd 2>/dev/null # what the next container of a scheduled drill is given
grep -E '^(Uid|Gid|CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status
echo "Token: $(ls -d /var/run/secrets /run/secrets 2>/dev/null)"
for folder in / /etc /usr/bin /var /root /opt/postgres-backup /postgres-backup-scratch/none; do
    if (: >"$folder/probe") 2>/dev/null; then echo "Written: $folder"; fi
done
if (: >/backups/probe) 2>/dev/null; then rm /backups/probe; echo "Volume: rw"; else echo "Volume: ro"; fi
echo "Password: ${PGPASSWORD:+there}"
for script in $(env | sed -n 's/^\(FILE_[A-Z_]*\)=.*/\1/p'); do unset "$script"; done # theirs are many lines
[ -n "${PGPASSWORD:-}" ] || env | sed 's/^/environment /'
sed 's/^/mounted /' /proc/mounts
"""
# Each container of each Job: whether it writes to the volume, whether it has the password.
EXPECTED = {
    "backup/backup": ("rw", "there"),
    "scheduled-drill/prepare": ("rw", ""),
    "scheduled-drill/drill": ("ro", ""),
    "scheduled-drill/record": ("rw", ""),
    "reader/reader": ("ro", ""),
    "pruner/reader": ("rw", ""),
    "drill/drill": ("ro", ""),
    "restore/restore": ("ro", "there"),
}
NONE = "0000000000000000"


@pytest.fixture(scope="module")
def installed(server: Server, collections: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A namespace that enforces `restricted`, with backups and scheduled drills."""
    namespace = new_namespace("security")
    apply(secret(namespace, server.password))
    ansible = Ansible(tmp_path_factory.mktemp("security"), collections)
    play = ansible.site(namespace=namespace, host=server.host, drill_schedule="@yearly", suspend=True)
    assert play.status == 0, play.output
    yield namespace
    delete_namespace(namespace)


def from_cronjob(namespace: str, cronjob: str, job: str) -> dict[str, Any]:
    command = ("create", "job", f"--from=cronjob/{cronjob}", job, "-n", namespace, "--dry-run=client", "-o", "json")
    made: dict[str, Any] = json.loads(kubectl(*command))
    return made


def jobs(namespace: str) -> list[dict[str, Any]]:
    """All that this collection starts, made as the modules make it."""
    cronjob = must_get("cronjob", NAME, namespace)
    restore = VolumeWork(RESTORE, ("_restore",), 600, credentials=True, variables={"RESTORE_CHECK": "yes"})
    return [
        from_cronjob(namespace, NAME, "backup"),
        from_cronjob(namespace, f"{NAME}-drill", "scheduled-drill"),
        reader_job(cronjob, "reader", READER_FILES, ReaderRequest()),
        reader_job(cronjob, "pruner", READER_FILES, ReaderRequest(("prune",), writes=True)),
        volume_job(cronjob, "drill", DRILL_FILES, drill_work(DrillRequest(), "drill")),
        volume_job(cronjob, "restore", RESTORE_FILES, restore),
    ]


def test_pods_are_confined(installed: str, server: Server) -> None:
    made = jobs(installed)
    for job in made:
        spec = job["spec"]["template"]["spec"]
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            container["command"], container["args"] = ["/bin/sh", "-c", PROBE], []
    apply(*made, how="create")
    seen = {}
    for job in made:
        name, spec = job["metadata"]["name"], job["spec"]["template"]["spec"]
        assert job_ends(name, installed) == "Complete", name
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            log = kubectl("logs", f"job/{name}", "-c", container["name"], "-n", installed)
            said = dict(re.findall(r"^(\w+):[ \t]*(.*)$", log, re.MULTILINE))
            seen[f"{name}/{container['name']}"] = (said["Volume"], said["Password"])
            assert {said[each] for each in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {NONE}, name
            assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2"), name
            assert set(said["Uid"].split()) == {"1001"}, name
            assert (said["Token"], said.get("Written")) == ("", None), name
            assert re.search(r"^mounted \S+ / \S+ ro[,\s]", log, re.MULTILINE), name
            assert not re.search("^mounted .*(serviceaccount|docker.sock|containerd.sock)", log, re.MULTILINE), name
            # The probe saw an environment, and no password in it.
            assert ("environment POSTGRES_BACKUP_NAME=" in log) is (said["Password"] == ""), (name, log)
            assert server.password not in log
            if not said["Password"]:
                assert not re.search(r"^environment (\w*(PASS|SECRET|TOKEN)\w*|PGHOST|PGUSER)=", log, re.MULTILINE), (
                    name
                )
    assert seen == EXPECTED


@contextmanager
def watched(word: str) -> Iterator[list[str]]:
    """The command lines of all processes of this machine, the pods' too, that show the word."""
    shown: list[str] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.02):
            for entry in os.scandir("/proc"):
                with suppress(OSError):
                    if entry.name.isdigit() and word.encode() in (found := Path(entry, "cmdline").read_bytes()):
                        shown.append(found.replace(word.encode(), b"<the password>").decode(errors="replace"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield shown
    finally:
        is_over.set()
        thread.join()


def test_password_is_never_shown(ansible: Ansible, installed: str, server: Server) -> None:
    """By as much as Ansible can say, by the pods, and by what they leave."""
    encoded = base64.b64encode(server.password.encode()).decode()
    loud = ("-vvv", "--diff")
    here = ansible.folder / "here"
    here.mkdir()
    manifests = ansible.folder / "manifests"
    with watched(server.password) as shown:
        play = ansible.site(
            *loud, namespace=installed, host=server.host, drill_schedule="@weekly", suspend=True,
            manifest_dir=str(manifests), runbook_dir=str(manifests),
        )  # fmt: skip
        assert play.status == 0, play.output
        said = [play.output]
        calls: tuple[tuple[str, dict[str, Any]], ...] = (
            ("backup_job", {}),
            ("backup_info", {}),
            ("backup_fetch", {"dest": f"{here}/", "verify": True}),
            ("restore_drill", {}),
        )
        for module, options in calls:
            result = ansible.module(module, *loud, namespace=installed, **options)
            assert not result["failed"], result["msg"]
            said.append(json.dumps(result))
    assert not shown
    volume = volume_folder(installed)
    records = [*volume.glob("*.json"), *volume.glob("*.jsonl")]
    assert len(records) == 3  # of the backup and the last run; the history
    said += [path.read_text() for path in records]
    said += [path.read_text() for path in manifests.iterdir()]
    said.append(kubectl("get", "job,pod,event,configmap,cronjob", "-n", installed, "-o", "json"))
    (backup,) = (job for job in kubectl("get", "job", "-n", installed, "-o", "name").split() if "-manual-" in job)
    said.append(kubectl("logs", backup, "-n", installed))
    for text in said:
        assert len(text) > 100
        assert server.password not in text and encoded not in text
    # And the fetched files are not readable by others.
    assert {path.stat().st_mode & 0o007 for folder in (here, volume) for path in folder.glob("*.*")} == {0}
    assert {path.stat().st_mode & 0o777 for path in here.iterdir()} == {0o640}


@pytest.mark.weekly
def test_hostile_entries_on_the_volume(ansible: Ansible, namespace: str) -> None:
    """In modules too, what is not a backup is neither listed, fetched nor followed."""
    install(namespace)
    folder = volume_folder(namespace)
    for name in FOREIGN:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(b"foreign")
    newest, other = f"{NAME}-2026-11-20-020000.sql.gz", f"{NAME}-2026-11-19-020000.sql.gz"
    for backup in (OLD, other):
        (folder / backup).write_bytes(b"a backup")
    (folder / newest).symlink_to("/etc/passwd")
    (folder / f"{newest}.sha256").write_text(f"{'0' * 64}  {newest}\n")
    (folder / f"{other}.sha256").write_text(f"{'0' * 64}  ../../etc/passwd\n")
    (folder / f"{NAME}.last-run.json").symlink_to("/etc/passwd")
    before = sorted(os.listdir(os.fsencode(folder)))
    info = ansible.module("backup_info", namespace=namespace)
    assert [each["name"] for each in info["backups"]] == [other, OLD], info["msg"]
    assert {each["state"] for each in info["backups"]} == {"unchecked"}
    assert info["last_run"] is None
    here = ansible.folder / "here"
    here.mkdir()
    fetched = ansible.module("backup_fetch", namespace=namespace, dest=str(here), backup=newest)
    assert fetched["failed"] and "is not on the volume" in fetched["msg"]
    fetched = ansible.module("backup_fetch", namespace=namespace, dest=str(here))
    assert fetched["backup"] == other
    assert sorted(path.name for path in here.iterdir()) == [other, f"{other}.sha256"]
    assert "root:" not in json.dumps([info, fetched])
    assert sorted(os.listdir(os.fsencode(folder))) == before
