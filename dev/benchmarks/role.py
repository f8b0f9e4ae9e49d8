# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A run of site.yml that changes nothing against a play with six bare kubernetes.core.k8s tasks, on dev/cluster.

In 1.0 the role called six, one for each object that it read. The number is kept so that figures remain comparable.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.support.ansible_runs import Ansible, Play
from tests.cluster.support.kube import CHECKOUT, kubectl

from .figures import Figure

ROUNDS = 7
BARE_TASKS = 6
NAMESPACE = "bench-role"
Say = Callable[[str], None]


def use_cluster(say: Say) -> None:
    """Brings dev/cluster up and lets this process use it, whatever KUBECONFIG was before."""
    say("starting the cluster")
    up = str(CHECKOUT / "dev" / "cluster" / "up")
    subprocess.run([up], stdout=subprocess.DEVNULL, check=True)
    script = 'eval "$("$0" --print-env)"; printf "%s\\n%s" "$KUBECONFIG" "$PATH"'
    found = subprocess.run(["bash", "-c", script, up], capture_output=True, text=True, check=True).stdout
    os.environ["KUBECONFIG"], os.environ["PATH"] = found.split("\n")
    os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(CHECKOUT / ".ansible" / "collections")


@contextmanager
def workplace(namespace: str, say: Say) -> Iterator[Path]:
    """An empty namespace of dev/cluster and a folder, both of which go at the end."""
    use_cluster(say)
    kubectl("delete", "namespace", namespace, "--ignore-not-found")
    kubectl("create", "namespace", namespace)
    try:
        with tempfile.TemporaryDirectory(prefix="postgres-backup-bench.") as folder:
            yield Path(folder)
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


def _bare(folder: Path) -> Path:
    task: dict[str, Any] = {
        "kubernetes.core.k8s": {
            "apply": True,
            "definition": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "bare", "namespace": NAMESPACE},
                "data": {"key": "value"},
            },
        }
    }
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task] * BARE_TASKS}
    path = folder / "bare.yml"
    path.write_text(yaml.dump([play], Dumper=_NoAliases))
    return path


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML calls it so
        return True


def measure(say: Say) -> list[Figure]:
    """The figures of the role: with a Python that loads its libraries for each module, as users have, and without."""
    use_cluster(say)
    with tempfile.TemporaryDirectory(prefix="postgres-backup-bench.") as made:
        folder = Path(made)
        ansible = Ansible(folder, CHECKOUT / ".ansible" / "collections")
        bare = str(_bare(folder))
        plain = ("-e", f"ansible_python_interpreter={sys.executable}")
        works: dict[str, Callable[[], Play]] = {
            "site.yml": lambda: ansible.site(*plain, namespace=NAMESPACE),
            "bare tasks": lambda: ansible(bare, *plain),
            "site.yml, libraries loaded": lambda: ansible.site(namespace=NAMESPACE),
            "bare tasks, libraries loaded": lambda: ansible(bare),
        }
        try:
            say("starting a PostgreSQL server")
            server = ansible(str(CHECKOUT / "dev" / "postgresql.yml"), postgresql_namespace=NAMESPACE)
            if server.status != 0:
                raise SystemExit(server.output)
            for work in works.values():
                work()
            taken: dict[str, list[float]] = {name: [] for name in works}
            for number in range(ROUNDS):
                for name, work in works.items():
                    began = time.monotonic()
                    play = work()
                    taken[name].append(time.monotonic() - began)
                    if play.status != 0 or play.changed != 0:
                        raise SystemExit(f"{name}: expected a run that changes nothing, found:\n{play.output}")
                    say(f"round {number + 1} of {ROUNDS}: {name}: {taken[name][-1]:.2f} s")
        finally:
            kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
    site, tasks, site_loaded, tasks_loaded = (statistics.median(taken[name]) for name in works)
    reference = f"{BARE_TASKS} bare k8s tasks"
    return [
        Figure("site.yml, nothing to change", site, "s", 1.0, reference, tasks),
        Figure(
            "site.yml, nothing to change, modules with loaded libraries", site_loaded, "s", 1.0, reference, tasks_loaded
        ),
    ]
