# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A cluster of the fault matrix's own, whose programs are killed and paused, and whose node has a small disk."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.support import kube
from tests.cluster.support.kube import CHECKOUT, kubectl

_COMMANDS = CHECKOUT / "dev" / "cluster"
# What the kubelet's own disk holds: pods' emptyDirs and logs. Eviction begins below 200 MiB free.
_NODE_DISK = "1200M"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """With longer timeouts than other tests, because much runs at once."""
    kube.wait_until(condition, what, 240)


@dataclass(frozen=True)
class FaultCluster:
    """One cluster of dev/cluster; `state` is its folder, `supervisor` its first process."""

    state: Path
    supervisor: int

    @property
    def kubeconfig(self) -> str:
        return str(self.state / "kubeconfig")

    @property
    def programs(self) -> Path:
        """The folder with its kubectl."""
        return self.state / "bin"

    @property
    def root(self) -> Path:
        """The node's file system with the mounts that only the node has."""
        return Path(f"/proc/{self.supervisor}/root")

    def enter(self, *words: str | Path) -> str:
        """The output of a command that runs as on the node."""
        into = ["nsenter", f"--target={self.supervisor}", "--mount", "--net", "--pid", "--ipc", "--"]
        done = subprocess.run([*into, *map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr or done.stdout}"
        return done.stdout

    def pid(self, component: str) -> int:
        """The component's process as this machine sees it; 0 where it does not run."""
        for child in Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text().split():
            words = _command_line(int(child))[:2]
            if component in {Path(word).name for word in words}:
                return int(child)
        return 0

    @contextlib.contextmanager
    def killed(self, component: str) -> Iterator[None]:
        """Killed, and not started again before the end of the block."""
        before = self.pid(component)
        # The supervisor would start it at once.
        os.kill(self.supervisor, signal.SIGSTOP)
        try:
            os.kill(before, signal.SIGKILL)
            yield
        finally:
            os.kill(self.supervisor, signal.SIGCONT)
        wait_until(lambda: self.pid(component) not in {0, before}, f"{component} is started again")
        self.wait_until_ready()

    @contextlib.contextmanager
    def paused(self, component: str) -> Iterator[None]:
        """It keeps its sockets open and does not respond."""
        process = self.pid(component)
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        ready = "jsonpath={.items[0].status.conditions[?(@.type=='Ready')].status}"
        wait_until(lambda: kubectl("get", "--raw", "/readyz", check=False) == "ok", "the API server is ready")
        wait_until(lambda: kubectl("get", "nodes", "-o", ready, check=False) == "True", "the node is ready")
        wait_until(lambda: bool(self.pid("kubelet")), "the kubelet runs")

    def give_a_small_disk(self) -> None:
        """Before there is any pod: the kubelet's files are on a separate disk, which it checks often."""
        image = self.state / "node.img"
        subprocess.run(["truncate", "-s", _NODE_DISK, image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
        configuration = self.state / "etc" / "kubelet.yaml"
        text = configuration.read_text().replace('"volumeStatsAggPeriod": "5m"', '"volumeStatsAggPeriod": "5s"')
        text = text.replace('"syncFrequency"', '"evictionPressureTransitionPeriod": "60s",\n  "syncFrequency"')
        configuration.write_text(text)
        with self.killed("kubelet"):
            self.enter("mount", "-o", "loop", image, "/var/lib/kubelet")

    def node_disk(self) -> Path:
        return self.root / "var/lib/kubelet"


def _command_line(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def processes(*words: str) -> list[int]:
    """Those of this machine whose command line, or title, has all the words."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            line = " ".join(_command_line(int(folder.name)))
            if all(word in line for word in words):
                found.append(int(folder.name))
    return found


@contextlib.contextmanager
def own_cluster(name: str) -> Iterator[FaultCluster]:
    """A cluster of that name, new, and gone afterwards."""
    environment = {**os.environ, "CLUSTER_NAME": name}

    def run(*words: str) -> str:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    up, down = (str(_COMMANDS / word) for word in ("up", "down"))
    run(down)
    run(up)
    try:
        shown = run("bash", "-c", 'eval "$("$0" --print-env)"; printf "%s" "$KUBECONFIG"', up)
        state = Path(shown).parent
        # Its parent, unshare, has the same words behind its own.
        (supervisor,) = (pid for pid in processes("supervisor.py", f"{state}") if "unshare" not in _command_line(pid))
        yield FaultCluster(state, supervisor)
    finally:
        run(down)
