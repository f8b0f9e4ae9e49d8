# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The fault matrix: what table.py expects, run for real on a cluster that may break."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.installed_objects import written_objects
from tests.cluster.support.kube import NAME, apply, job_ends, kubectl, must_get
from tests.cluster.support.live_server import POD, LiveServer
from tests.cluster.support.namespaces import new_namespace, secret
from tests.cluster.support.pod_commands import PodCommands
from tests.cluster.support.servers import bring_server_up
from tests.cluster.support.step_gate import WAIT, Installation, Json, install
from tests.faults.operations import (
    NEW_SECRET,
    SHOP,
    FaultSetup,
    Operation,
    continue_transfers,
    keep_all,
    put_big,
    put_growing,
    put_held,
    told,
)
from tests.faults.own_cluster import FaultCluster, own_cluster, wait_until
from tests.faults.shared_volume import SharedVolume
from tests.faults.table import FAULTS
from tests.faults.watched import Watched, watched
from tests.in_turn import weekly
from tests.script.support.sample import literal
from tests.script.support.volume import snapshot
from tests.watch_program import copy_program


@pytest.fixture(scope="module")
def cluster_of_faults() -> Iterator[FaultCluster]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    with pytest.MonkeyPatch.context() as patch, own_cluster(f"faults{worker}") as found:
        patch.setenv("KUBECONFIG", found.kubeconfig)
        patch.setenv("PATH", f"{found.programs}:{os.environ['PATH']}")
        found.give_a_small_disk()
        yield found


@pytest.fixture(scope="module")
def servers_and_objects(
    cluster_of_faults: FaultCluster, collections: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LiveServer, LiveServer, list[Json]]:
    """The live server, a new one, and the objects of an installation."""
    assert os.environ["KUBECONFIG"] == cluster_of_faults.kubeconfig
    ansible = Ansible(tmp_path_factory.mktemp("written"), collections)
    live, new = (
        LiveServer(bring_server_up(ansible, namespace), PodCommands(namespace, POD), {})
        for namespace in ("faults", "faults-new")
    )
    live.sql(f"DROP DATABASE IF EXISTS {SHOP};")
    live.sql(f"CREATE DATABASE {SHOP};")
    live.sql("CREATE TABLE items AS SELECT g AS id, md5(g::text) AS name FROM generate_series(1, 1000) AS g;", SHOP)
    play = ansible.site(namespace="faults", keep_last=1, keep_daily=1)
    assert play.status == 0, play.output
    return live, new, written_objects(ansible.folder)


def make_setup(
    installation: Installation, live: LiveServer, new: LiveServer, folder: Path, collections: Path
) -> FaultSetup:
    """With ten older backups, a large one, a real one, and one whose restore can be held up."""
    apply(secret(installation.namespace, new.server.password, NEW_SECRET))
    installation.fill(10)
    # A dump would hold the role, and its restore would wait for ever.
    for server in (live, new):
        server.sql("DROP ROLE IF EXISTS hold;")
    put_big(installation.volume)
    keep_all(installation.volume)
    watch_program = copy_program(folder / "watch")
    empty = FaultSetup(installation, live, new, folder, collections, {}, watch_program)
    made = empty.begin("run").end()
    assert not made["failed"], made["msg"]
    held = put_held(installation.volume, made["result"]["backup"])
    growing = put_growing(installation.volume, made["result"]["backup"])
    keep_all(installation.volume)
    # The one that retention keeps, for the first fault.
    good_run(empty)
    fetched = empty.begin("fetch", backup=held, verify=True).end()
    assert not fetched["failed"], fetched["msg"]
    return FaultSetup(installation, live, new, folder, collections, fetched, watch_program, growing)


@pytest.fixture(scope="module", name="setup")
def fault_setup(
    servers_and_objects: tuple[LiveServer, LiveServer, list[Json]],
    tmp_path_factory: pytest.TempPathFactory,
    collections: Path,
) -> FaultSetup:
    live, new, objects = servers_and_objects
    return make_setup(install(objects, "faults"), live, new, tmp_path_factory.mktemp("home"), collections)


@pytest.fixture(scope="module")
def share(cluster_of_faults: FaultCluster) -> SharedVolume:
    found = SharedVolume(cluster_of_faults, "share")
    found.make()
    return found


@pytest.fixture(scope="module", name="setup_on_share")
def fault_setup_on_share(
    servers_and_objects: tuple[LiveServer, LiveServer, list[Json]],
    share: SharedVolume,
    tmp_path_factory: pytest.TempPathFactory,
    collections: Path,
) -> FaultSetup:
    """Another installation, whose volume is the share; a run is tried twice."""
    live, new, objects = servers_and_objects
    namespace = new_namespace("share")
    apply(secret(namespace, live.server.password), share.volume())
    claim = {
        "storageClassName": "",
        "volumeName": share.name,
        "resources": {"requests": {"storage": "800Mi"}},
    }
    install(objects, namespace, job={"backoffLimit": 1}, claim=claim)
    installation = Installation(namespace, share.folder)
    return make_setup(installation, live, new, tmp_path_factory.mktemp("share"), collections)


class Observations:
    """What is seen of a fault's cells, held against what table.py expects."""

    def __init__(self, setup: FaultSetup, fault: str, watch: Watched) -> None:
        self._setup = setup
        self.fault = fault
        self.watch = watch
        self.texts: dict[str, str] = {}

    def add(self, operation: Operation) -> Json:
        """Waits for its end."""
        result = operation.end()
        self.texts[operation.kind] = told(operation.kind, result)
        print(self.fault, operation.kind, round(time.monotonic() - operation.began, 1), "|", self.texts[operation.kind])
        return result

    def recover(self) -> None:
        """What the watch reports about what the fault has left, and after a successful run."""
        self.watch.look()
        if self.watch.kinds[-1:] == ["alarm"]:
            good_run(self._setup)
            self.watch.look()
        self.texts["watch"] = self.watch.told()
        print(self.fault, "watch |", self.texts["watch"])

    def judge(self) -> None:
        expected = {operation: cell.seen for operation, cell in FAULTS[self.fault].cells.items() if cell.seen}
        assert self.texts.keys() == expected.keys()
        wrong = {kind: text for kind, text in self.texts.items() if not re.search(expected[kind], text)}
        assert not wrong, wrong
        if path := os.environ.get("FAULTS_SEEN"):
            record = Path(path)
            known = json.loads(record.read_text()) if record.exists() else {}
            known[self.fault] = self.texts
            record.write_text(json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def meets(setup: FaultSetup, fault: str, leaves_partial: bool = False) -> Iterator[Observations]:
    """A fault: nothing is lost or left over, what was seen is what is expected, and the watch reports it once."""
    before = setup.older()
    with watched(setup.installation.volume, setup.watch_program, setup.namespace) as watch:
        watch.look(1)
        assert not watch.messages
        seen = Observations(setup, fault, watch)
        yield seen
        if "watch" not in seen.texts:
            seen.recover()
    setup.assert_as_it_was(before, leaves_partial)
    seen.judge()


def good_run(setup: FaultSetup) -> None:
    made = setup.begin("run").end()
    assert not made["failed"], made["msg"]


OUTAGE_SECONDS = 6
# All that takes long, in addition to a run.
_OTHERS = ("drill", "restore", "table", "cluster", "fetch", "upload")


@pytest.mark.parametrize(
    ("component", "how"),
    [
        weekly("kube-apiserver", "killed"),
        weekly("kube-apiserver", "paused"),
        weekly("kubelet", "killed"),
        ("kubelet", "paused"),
        weekly("etcd", "killed"),
        weekly("etcd", "paused"),
        weekly("containerd", "killed"),
        weekly("containerd", "paused"),
    ],
)
def test_cluster_component_killed_or_paused(
    cluster_of_faults: FaultCluster, setup: FaultSetup, component: str, how: str
) -> None:
    fault: Callable[[str], AbstractContextManager[None]] = getattr(cluster_of_faults, how)
    with (
        meets(setup, f"{component} {how}") as seen,
        setup.in_the_middle("run", *_OTHERS) as begun,
    ):
        with fault(component):
            since = time.monotonic()
            short = [setup.begin(kind) for kind in ("list", "prune")]
            if component == "kube-apiserver":
                wait_until(lambda: all(each.process.poll() is not None for each in short), "they give up")
            time.sleep(max(0, since + OUTAGE_SECONDS - time.monotonic()))
        for operation in short:
            seen.add(operation)
        setup.release_restores()
        for kind in _OTHERS:
            seen.add(begun[kind])
        setup.release()
        seen.add(begun["run"])


def server_processes(*servers: LiveServer) -> list[int]:
    """Those of the servers' containers."""
    pods = [must_get("pod", POD, server.server.namespace) for server in servers]
    ids = [pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2] for pod in pods]
    processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [int(process.name) for process in processes if any(one in _cgroup(process) for one in ids)]


def is_ready(server: LiveServer) -> bool:
    path = "jsonpath={.status.containerStatuses[0].ready}"
    return "true" in kubectl("get", "pod", POD, "-n", server.server.namespace, "-o", path)


def _cgroup(process: Path) -> str:
    try:
        return (process / "cgroup").read_text()
    except OSError:
        return ""


@pytest.mark.weekly
@pytest.mark.parametrize("how", ["killed", weekly("paused")])
def test_live_server_killed_or_paused(setup: FaultSetup, how: str) -> None:
    with meets(setup, f"PostgreSQL {how}") as seen, contextlib.ExitStack() as stack:
        begun = stack.enter_context(setup.in_the_middle(*_OTHERS))
        lock = stack.enter_context(contextlib.ExitStack())
        lock.enter_context(setup.locked())
        begun["run"] = setup.begin("run")
        setup.wait_until_the_dump_waits()
        servers = (setup.live, setup.new)
        group = server_processes(*servers)
        if how == "killed":
            for process in group:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            short = [setup.begin(kind) for kind in ("list",)]
            wait_until(lambda: set(server_processes(*servers)).isdisjoint(group), "they are gone")
            wait_until(lambda: all(is_ready(server) for server in servers), "the servers are back")
        else:
            for process in group:
                os.kill(process, signal.SIGSTOP)
            short = [setup.begin(kind) for kind in ("list",)]
            time.sleep(OUTAGE_SECONDS)
            for process in group:
                os.kill(process, signal.SIGCONT)
        for operation in short:
            seen.add(operation)
        # First of all: a restore's end would rename a database that it is about to dump.
        lock.close()
        seen.add(begun["run"])
        setup.release_restores()
        for kind in _OTHERS:
            seen.add(begun[kind])


@pytest.mark.weekly
def test_node_disk_full(cluster_of_faults: FaultCluster, setup: FaultSetup) -> None:
    with meets(setup, "node out of disk") as seen:
        filler = cluster_of_faults.node_disk() / "filler"
        with setup.in_the_middle("run", "restore", "table", "cluster") as begun:
            (setup.installation.volume / "gate" / "hold").touch()
            free = shutil.disk_usage(cluster_of_faults.node_disk()).free
            subprocess.run(["fallocate", "-l", str(free - (420 << 20)), filler], check=True)
            seen.add(setup.begin("drill", backup=setup.growing))
            wait_until(lambda: "disk-pressure" in taints(), "the node takes no pods")
            for operation in [setup.begin(kind, startup_timeout="4s") for kind in ("list", "prune", "fetch", "upload")]:
                seen.add(operation)
            filler.unlink()
            with cluster_of_faults.killed("kubelet"):
                pass
            setup.release_restores()
            for kind in ("restore", "table", "cluster", "run"):
                if kind == "run":
                    setup.release()
                seen.add(begun[kind])
    wait_until(lambda: "disk-pressure" not in taints(), "the node takes pods again")


def taints() -> str:
    return kubectl("get", "nodes", "-o", "jsonpath={.items[0].spec.taints}")


@pytest.mark.weekly
def test_volume_slow(share: SharedVolume, setup_on_share: FaultSetup) -> None:
    with meets(setup_on_share, "volume slow") as seen, share.slow():
        # To write 300 MB would take minutes.
        small = {"upload": {"src": str(setup_on_share.to_upload(1_000_000))}}
        begun = [setup_on_share.begin(kind, **small.get(kind, {})) for kind in ("list", "prune", *_OTHERS)]
        for operation in begun:
            seen.add(operation)
        seen.add(setup_on_share.begin("run"))


@pytest.mark.weekly
def test_volume_silent(share: SharedVolume, setup_on_share: FaultSetup) -> None:
    begin = setup_on_share.in_the_middle("run", *_OTHERS)
    with meets(setup_on_share, "volume silent") as seen, begin as begun:
        with share.silent():
            short = [setup_on_share.begin(kind) for kind in ("list", "prune")]
            setup_on_share.release_servers()
            time.sleep(OUTAGE_SECONDS + 6)
        for operation in short:
            seen.add(operation)
        setup_on_share.release_restores()
        for kind in _OTHERS:
            seen.add(begun[kind])
        setup_on_share.release()
        seen.add(begun["run"])


@pytest.mark.weekly
def test_volume_gone(share: SharedVolume, setup_on_share: FaultSetup) -> None:
    with meets(setup_on_share, "volume vanished", leaves_partial=True) as seen:
        options: dict[str, dict[str, Any]] = {
            "fetch": {"retries": 1},
            "upload": {"retries": 1},
            "run": {"startup_timeout": "4s"},
        }
        middle = setup_on_share.in_the_middle("run", *_OTHERS, transfers_wait=True, **options)
        with middle as begun, share.gone():
            continue_transfers(begun)
            short = [setup_on_share.begin(kind, startup_timeout="4s") for kind in ("list", "prune")]
            # What the gate waits for is gone with the mount.
            setup_on_share.release()
            for operation in [*short, *begun.values()]:
                seen.add(operation)
        seen.recover()


@pytest.mark.weekly
def test_volume_read_only(share: SharedVolume, setup_on_share: FaultSetup) -> None:
    with meets(setup_on_share, "volume read-only", leaves_partial=True) as seen:
        setup_on_share.installation.stop_at("read_back")
        # A share that somebody writes to cannot be made read-only.
        with setup_on_share.in_the_middle(*(kind for kind in _OTHERS if kind != "upload")) as begun:
            setup_on_share.installation.stop_at("read_back")
            begun["run"] = setup_on_share.begin("run")
            setup_on_share.installation.wait_for_gate()
            (setup_on_share.installation.volume / "gate" / "stop").unlink()
            (setup_on_share.installation.volume / "gate" / "hold").unlink()
            with share.read_only():
                setup_on_share.release_servers()
                short = [setup_on_share.begin(kind) for kind in ("list", "prune", "upload")]
                for operation in [*short, *begun.values()]:
                    seen.add(operation)
        seen.recover()


def test_volume_full(share: SharedVolume, setup_on_share: FaultSetup) -> None:
    with meets(setup_on_share, "volume full") as seen:
        middle = setup_on_share.in_the_middle("run", *_OTHERS, transfers_wait=True)
        with middle as begun, share.full():
            setup_on_share.release()
            # An upload that fails frees what it had taken.
            seen.add(begun["run"])
            continue_transfers(begun)
            for kind in _OTHERS:
                seen.add(begun[kind])
            for operation in [setup_on_share.begin(kind) for kind in ("list", "prune")]:
                seen.add(operation)
        seen.recover()


@pytest.mark.weekly
def test_two_controllers_at_once(setup: FaultSetup) -> None:
    with meets(setup, "two controllers") as seen:
        twice = [setup.begin(kind) for kind in ("prune", "list", "drill", "run") for _ in range(2)]
        results = [seen.add(operation) for operation in twice]
        assert not any(result["failed"] for result in results)
        with setup.in_the_middle("restore") as begun, contextlib.ExitStack() as lock:
            lock.enter_context(setup.locked())
            begun["run"] = setup.begin("run")
            setup.wait_until_the_dump_waits()
            setup.release_restores()
            seen.add(begun["restore"])
            lock.close()
            seen.add(begun["run"])


# What each night's run meets, at which step, and the reason that it gives.
NIGHTS = [
    ("prepare", "echo 'psql: error: FATAL:  the database system is starting up' >&2; exit 2", "server does not answer"),
    ("globals", "echo 'pg_dumpall: error: query failed' >&2; exit 1", "pg_dumpall failed"),
    ("dump", "exit 0", "the dump is not complete"),
    ("dump", "kill -9 $PPID; exit 1", "it was killed"),
    ("read_back", 'echo damage >>"${1#if=}"', "does not hold what was written|cannot be read back"),
    ("publish", "rm -f /backups/.*.partial; exit 1", "the backup volume failed"),
    ("dump", WAIT, ""),
]


def test_seven_nights_with_a_fault(setup: FaultSetup) -> None:
    installation, namespace = setup.installation, setup.namespace
    # The last night's run was killed.
    with meets(setup, "seven bad nights", leaves_partial=True) as seen:
        older = {os.fsdecode(name) for name in snapshot(installation.volume) if name.endswith(b".sql.gz")}
        tries = '{"spec": {"jobTemplate": {"spec": {"backoffLimit": %d}}}}'
        kubectl("patch", "cronjob", NAME, "-n", namespace, "-p", tries % 0)
        try:
            for night, (step, order, reason) in enumerate(NIGHTS):
                job = f"night-{night}"
                installation.stop_at(step, order)
                installation.start(job)
                if order == WAIT:
                    installation.wait_for_gate()
                    installation.signal_container(signal.SIGKILL, job)
                assert job_ends(job, namespace, 240) == "Failed"
                record = installation.last_run
                print("night", night, record["state"], record["reason"])
                # A killed run has no result; Kubernetes may have started another attempt, which has one.
                assert record["state"] in ({"running", "failed"} if order == WAIT else {"failed"})
                assert re.search(reason, str(record["reason"])), record
                assert {path.name for path in installation.volume.glob("*.sql.gz")} == older
                seen.watch.look()
                assert seen.watch.kinds == ["alarm"]
        finally:
            installation.stop_nowhere()
            kubectl("patch", "cronjob", NAME, "-n", namespace, "-p", tries % 3)
        begun = [setup.begin(kind) for kind in ("list", "prune", *_OTHERS)]
        for operation in begun:
            seen.add(operation)
        seen.add(setup.begin("run"))


@contextlib.contextmanager
def database(live: LiveServer, name: str) -> Iterator[None]:
    """Another database with a table `items`."""
    live.sql(f"CREATE DATABASE {name};")
    live.sql("CREATE TABLE items AS SELECT 1 AS id;", name)
    try:
        yield
    finally:
        live.sql(f"DROP DATABASE {name} WITH (FORCE);")


def test_sick_database(setup: FaultSetup) -> None:
    live = setup.live
    with meets(setup, "sick database") as seen:
        with database(live, "sick"):
            folder = live.sql("SHOW data_directory;")
            # A checkpoint would fail if it had to write to the missing file.
            file = live.sql("CHECKPOINT; SELECT pg_relation_filepath('items');", "sick").split()[-1]
            live.run("mv", f"{folder}/{file}", f"{folder}/{file}.away")
            made = seen.add(setup.begin("run"))
            incomplete = setup.installation.last_run["backup"]
            assert made["failed"] and incomplete
            begun = [setup.begin(kind) for kind in ("list", "prune", "fetch", "restore")]
            begun.append(setup.begin("drill", backup=incomplete))
            results = {operation.kind: seen.add(operation) for operation in begun}
            assert results["fetch"]["backup"] != incomplete
        seen.recover()


@pytest.mark.weekly
def test_table_without_a_right(setup: FaultSetup) -> None:
    live = setup.live
    cronjob = ("env", f"cronjob/{NAME}", "-n", setup.namespace)
    (before,) = must_get("cronjob", NAME, setup.namespace)["spec"]["jobTemplate"]["spec"]["template"]["spec"][
        "containers"
    ]
    user = next(entry["value"] for entry in before["env"] if entry["name"] == "POSTGRES_BACKUP_USER")
    with meets(setup, "table without a right") as seen, database(live, "private"):
        live.sql(f"CREATE ROLE bk LOGIN PASSWORD {literal(live.server.password)};")
        live.sql("GRANT SELECT ON items TO bk;", SHOP)
        kubectl("set", *cronjob, "POSTGRES_BACKUP_USER=bk")
        try:
            seen.add(setup.begin("run"))
            seen.add(setup.begin("list"))
        finally:
            kubectl("set", *cronjob, f"POSTGRES_BACKUP_USER={user}")
            live.sql("DROP OWNED BY bk;", SHOP)
            live.sql("DROP ROLE bk;")
        seen.recover()


@pytest.mark.weekly
def test_typo_in_the_policy(setup: FaultSetup) -> None:
    volume = setup.installation.volume
    with meets(setup, "typo in the policy") as seen:
        nights = setup.put_nights(30)
        for kind in ("run", "list", "prune", "fetch"):
            seen.add(setup.begin(kind))
        assert all((volume / name).exists() for name in nights)
        kubectl("set", "env", f"cronjob/{NAME}", "-n", setup.namespace, f"POSTGRES_BACKUP_ALLOW_DELETIONS={today()}")
        try:
            allowed = setup.begin("prune").end()
        finally:
            kubectl("set", "env", f"cronjob/{NAME}", "-n", setup.namespace, "POSTGRES_BACKUP_ALLOW_DELETIONS-")
        assert set(nights) <= set(allowed["deleted"]), allowed


def today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")


@pytest.mark.weekly
@pytest.mark.parametrize("days", [weekly("+3d"), "-3d"])
def test_controller_clock_wrong(setup: FaultSetup, days: str) -> None:
    with meets(setup, f"controller's clock {'forward' if days[0] == '+' else 'back'}") as seen:
        for operation in [
            setup.begin("list", clock=days),
            setup.begin("fetch", clock=days),
            setup.begin("prune", clock=days),
            setup.begin("drill", clock=days),
            setup.begin("restore", clock=days),
            setup.begin("table", clock=days),
            setup.begin("cluster", clock=days),
            setup.begin("upload", clock=days),
        ]:
            seen.add(operation)
        seen.add(setup.begin("run", clock=days, max_age="26h"))
