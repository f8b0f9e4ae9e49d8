# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Backups come from a real volume, whatever happens to pods, connections and disks meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible, signal_all, warm
from tests.cluster.support.backup_files import noise
from tests.cluster.support.foreign_cronjobs import install
from tests.cluster.support.installed_objects import create_in, volume_folder
from tests.cluster.support.kube import CHECKOUT, NAME, apply, delete_namespace, kubectl, names, run_cronjob, wait_until
from tests.cluster.support.namespaces import new_namespace
from tests.in_turn import weekly

DUMP = CHECKOUT / "tests" / "unit" / "plugins" / "module_utils" / "dumps" / "18-all.sql"
BACKUP = gzip.compress(DUMP.read_bytes(), mtime=0)
# Far more than what all buffers between the volume and here hold.
BIG_BYTES = 100_000_000
STARTED_BYTES = 5_000_000


def of_day(day: int) -> str:
    return f"{NAME}-2026-11-{day:02d}-020000.sql.gz"


def put(folder: Path, name: str, data: bytes = BACKUP, sidecar: bool = True) -> str:
    """A backup on the volume; returns its sha256."""
    (folder / name).write_bytes(data)
    (folder / name).chmod(0o644)
    sha256 = hashlib.sha256(data).hexdigest()
    if sidecar:
        (folder / f"{name}.sha256").write_text(f"{sha256}  {name}\n")
    return sha256


@dataclass
class Running:
    """A run of the module that may still go on."""

    process: subprocess.Popen[str]
    tree: Path
    dest: Path

    def result(self) -> dict[str, Any]:
        if self.process.poll() is None:
            signal_all(self.process, signal.SIGCONT)
        output, _ = self.process.communicate(timeout=240)
        assert (self.tree / "localhost").exists(), output
        result: dict[str, Any] = json.loads((self.tree / "localhost").read_text())
        assert "Traceback" not in output + json.dumps(result), output
        return {**result, "failed": self.process.returncode != 0, "shown": output}

    def hold_when_it_comes(self, name: str) -> None:
        """Stops it once some of the bytes are here, and far from all; `result` lets it go on."""
        partial = self.dest / f".{name}.partial"
        deadline = time.monotonic() + 60
        while not (partial.exists() and partial.stat().st_size > STARTED_BYTES):
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.005)
        signal_all(self.process, signal.SIGSTOP)
        assert partial.stat().st_size < BIG_BYTES * 0.8

    def kill(self) -> None:
        """Ansible and all that it started, at once: its workers are in sessions of their own."""
        signal_all(self.process, signal.SIGKILL)
        self.process.communicate()


@dataclass
class Fetch:
    """Runs the module for one namespace, into one directory."""

    namespace: str
    folder: Path
    collections: Path

    @property
    def dest(self) -> Path:
        return self.folder / "here"

    @property
    def here(self) -> set[str]:
        return {path.name for path in self.dest.iterdir()}

    def start(self, *extra: str, within: str = "", **options: Any) -> Running:
        """`within` is a shell command that comes first, in a mount namespace of its own."""
        tree = self.folder / "tree"
        if (tree / "localhost").exists():
            (tree / "localhost").unlink()
        given = {"namespace": self.namespace, "name": NAME, "dest": str(self.dest), **options}
        ansible = Ansible(self.folder, self.collections)
        command = ansible.command("backup_fetch", "--tree", str(tree), *extra, **given)
        if within:
            command = ["unshare", "--mount", "sh", "-ec", f"{within}\nexec {shlex.join(command)}"]
        environment = ansible.environment({"ANSIBLE_HOME": str(self.folder / "home")})
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder
        )
        return Running(process, tree, self.dest)

    def __call__(self, *extra: str, within: str = "", **options: Any) -> dict[str, Any]:
        if extra or within:
            return self.start(*extra, *(() if within else warm()), within=within, **options).result()
        given = {"namespace": self.namespace, "name": NAME, "dest": str(self.dest), **options}
        return Ansible(self.folder, self.collections).module("backup_fetch", **given)


@pytest.fixture
def fetch(tmp_path: Path, collections: Path) -> Iterator[Fetch]:
    """A namespace with a CronJob and a volume made by hand."""
    namespace = new_namespace("fetch")
    install(namespace)
    (tmp_path / "here").mkdir()
    yield Fetch(namespace, tmp_path, collections)
    delete_namespace(namespace)


@pytest.fixture
def volume(fetch: Fetch) -> Path:
    return volume_folder(fetch.namespace)


def require_no_reader(namespace: str) -> None:
    """Deleted at the end; the pods go with it."""
    wait_until(lambda: not names("jobs", namespace) and not names("pods", namespace), "no Job and no pod is there", 30)


# -------------------------------------------------------------------------------------------------------- what it does


def test_newest_complete_backup_is_fetched(fetch: Fetch, volume: Path) -> None:
    put(volume, of_day(1))
    data = BACKUP + b"\0" * 100
    sha256 = put(volume, of_day(2), data)
    put(volume, of_day(3), sidecar=False)

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


def test_unchecked_backup_is_fetched_with_a_warning(fetch: Fetch, volume: Path) -> None:
    """From somebody's own CronJob."""
    sha256 = put(volume, of_day(1), sidecar=False)
    done = fetch(verify=True)
    assert (done["failed"], done["backup_state"], done["sha256"]) == (False, "unchecked", sha256), done
    assert "no backup on the volume is complete" in json.dumps(done["warnings"])
    assert fetch.here == {of_day(1), f"{of_day(1)}.sha256"}
    assert fetch(verify=True)["changed"] is False


def test_named_backup_is_fetched_to_a_named_file(fetch: Fetch, volume: Path) -> None:
    put(volume, of_day(1), b"first")
    put(volume, of_day(2), b"second")
    dest = fetch.dest / "to restore.gz"
    done = fetch(backup=of_day(1), dest=str(dest), mode="0600")
    assert (done["changed"], dest.read_bytes()) == (True, b"first"), done
    assert dest.stat().st_mode & 0o777 == 0o600
    assert Path(f"{dest}.sha256").read_text() == f"{hashlib.sha256(b'first').hexdigest()}  to restore.gz\n"
    assert fetch(backup=of_day(1), dest=str(dest), mode="0600")["changed"] is False


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


def test_checksum_file_contradicts_the_volume(fetch: Fetch, volume: Path) -> None:
    put(volume, of_day(1))
    (volume / of_day(1)).write_bytes(b"x" * len(BACKUP))
    done = fetch()
    assert done["failed"] and "is not what its sidecar says" in done["msg"], done
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
    assert refused["failed"] and "Expected the right to get and create pods/exec" in refused["msg"], refused
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
    wait_until(left.exists, "the partial is gone", 10)
    assert left.read_text() == "other\n"


# -------------------------------------------------------------------------------------------------------- what happens


@pytest.fixture
def big(volume: Path) -> bytes:
    data = noise(BIG_BYTES)
    put(volume, of_day(1), data)
    return data


def kill_readers(namespace: str) -> None:
    kubectl("delete", "pods", "--all", "-n", namespace, "--grace-period=0", "--force", "--wait=false")


def test_reader_pod_deleted_is_resumed(fetch: Fetch, big: bytes) -> None:
    running = fetch.start()
    running.hold_when_it_comes(of_day(1))
    kill_readers(fetch.namespace)
    done = running.result()
    assert (done["failed"], done["resumed_bytes"]) == (False, 0), done
    assert done["interruptions"] >= 1
    assert (fetch.dest / of_day(1)).read_bytes() == big
    require_no_reader(fetch.namespace)


def test_ansible_killed_then_run_again_resumes(fetch: Fetch, big: bytes) -> None:
    for verify in (False, True):
        running = fetch.start(verify=verify)
        running.hold_when_it_comes(of_day(1))
        running.kill()
        there = (fetch.dest / f".{of_day(1)}.partial").stat().st_size
        assert of_day(1) not in fetch.here
        checked = fetch("--check")
        assert checked["changed"] and of_day(1) not in fetch.here
        done = fetch()
        assert (done["failed"], done["resumed_bytes"]) == (False, there), done
        assert (fetch.dest / of_day(1)).read_bytes() == big
        assert fetch.here == {of_day(1), f"{of_day(1)}.sha256"}
        (fetch.dest / of_day(1)).unlink()


def test_partial_file_of_something_else_is_not_trusted(fetch: Fetch, big: bytes) -> None:
    (fetch.dest / f".{of_day(1)}.partial").write_bytes(big[:1000] + b"?")
    done = fetch()
    assert (done["failed"], done["resumed_bytes"]) == (False, 0), done
    assert (fetch.dest / of_day(1)).read_bytes() == big


def prune(volume: Path) -> None:
    (volume / of_day(1)).unlink()
    (volume / f"{of_day(1)}.sha256").unlink()


def replace(volume: Path) -> None:
    (volume / "new").write_bytes(bytes(BIG_BYTES))
    (volume / "new").chmod(0o644)
    (volume / "new").rename(volume / of_day(1))


def shorten(volume: Path) -> None:
    os.truncate(volume / of_day(1), 1000)


@pytest.mark.parametrize(
    ("happens", "message"),
    [
        weekly(prune, f"{of_day(1)} is no longer on the volume", id="pruned"),
        pytest.param(replace, f"{of_day(1)} changed on the volume while it was fetched", id="replaced"),
        weekly(shorten, f"{of_day(1)} is changing on the volume: expected {BIG_BYTES} bytes as listed", id="shortened"),
    ],
)
@pytest.mark.usefixtures("big")
def test_backup_replaced_during_the_fetch(
    fetch: Fetch, volume: Path, happens: Callable[[Path], None], message: str
) -> None:
    running = fetch.start()
    running.hold_when_it_comes(of_day(1))
    happens(volume)
    kill_readers(fetch.namespace)  # what reads an open file to its end need not see that it was removed
    done = running.result()
    assert done["failed"] and message in done["msg"], done
    assert fetch.here == set()
    require_no_reader(fetch.namespace)


def test_pruned_backup_is_read_to_its_end(fetch: Fetch, volume: Path, big: bytes) -> None:
    running = fetch.start()
    running.hold_when_it_comes(of_day(1))
    prune(volume)
    done = running.result()
    assert done["failed"] is False, done
    assert (fetch.dest / of_day(1)).read_bytes() == big


def test_two_fetches_at_once(fetch: Fetch, big: bytes) -> None:
    running = fetch.start()
    running.hold_when_it_comes(of_day(1))
    second = Fetch(fetch.namespace, fetch.folder / "second", fetch.collections)
    second.folder.mkdir()
    refused = second(dest=str(fetch.dest))
    done = running.result()
    assert done["failed"] is False, done
    assert (fetch.dest / of_day(1)).read_bytes() == big
    assert refused["failed"] and "another fetch to" in refused["msg"], refused


def component(name: str) -> int:
    """Its process id in the cluster."""
    shown = subprocess.run(
        [CHECKOUT / "dev" / "cluster" / "enter", "ps", "-wweo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout
    words = [line.split()[:3] for line in shown.splitlines()]
    found = [pid for pid, *command in words if name in {Path(word).name for word in command}]
    assert len(found) == 1, shown
    return int(found[0])


@pytest.fixture
def own_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second cluster, since other tests need the first one all the time."""
    monkeypatch.setenv("CLUSTER_NAME", "fetch-faults")
    up, down = (str(CHECKOUT / "dev" / "cluster" / word) for word in ("up", "down"))
    subprocess.run([up], stdout=subprocess.DEVNULL, check=True)
    try:
        script = 'eval "$("$0" --print-env)"; printf "%s" "$KUBECONFIG"'
        done = subprocess.run(["bash", "-c", script, up], capture_output=True, text=True, check=True)
        monkeypatch.setenv("KUBECONFIG", done.stdout)
        yield
    finally:
        subprocess.run([down], stdout=subprocess.DEVNULL, check=True)


@pytest.mark.usefixtures("own_cluster")
def test_api_server_and_kubelet_restarted_during_a_fetch(tmp_path: Path, collections: Path) -> None:
    namespace = new_namespace("fetch")
    install(namespace)
    data = noise(BIG_BYTES)
    put(volume_folder(namespace), of_day(1), data)
    fetch = Fetch(namespace, tmp_path, collections)
    fetch.dest.mkdir()
    for name in ("kubelet", "kube-apiserver", "containerd"):
        running = fetch.start()
        running.hold_when_it_comes(of_day(1))
        pid = component(name)
        subprocess.run([CHECKOUT / "dev" / "cluster" / "enter", "kill", "-9", str(pid)], check=True)
        done = running.result()
        assert (done["failed"], done["resumed_bytes"]) == (False, 0), (name, done)
        assert done["interruptions"] >= 1, name
        assert (fetch.dest / of_day(1)).read_bytes() == data
        (fetch.dest / of_day(1)).unlink()
        assert component(name) != pid
    require_no_reader(namespace)
