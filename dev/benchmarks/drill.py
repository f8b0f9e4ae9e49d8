# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""restore_drill and restore_database against `gunzip -c | psql` into a running server; on dev/cluster.

The drill is held against a server with fsync off; restore_database, whose server lives, against one that is durable.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plugins.module_utils._verify.verification import read_backup
from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.foreign_cronjobs import BACKUPS, claim, cronjob
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import CHECKOUT, NAME, apply, kubectl

from .backup import DATA, ROWS
from .figures import Figure
from .role import workplace

ROUNDS = 3
DATABASES = ("one", "two", "three")
NAMESPACE = "bench-drill"
BACKUP = f"{NAME}-2026-11-22-020000.sql.gz"
LEAST_TEXT_BYTES = 1_050_000_000
IMAGES = {"igzip": "localhost/postgresql:18-bitnami-igzip", "gzip": "localhost/postgresql:18-bitnami"}
PASSWORD = "bench"  # noqa: S105 - of a server that lives for minutes

Say = Callable[[str], None]


def _server() -> dict[str, Any]:
    """A running server with fsync off, and the folder of the backups."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "namespace": NAMESPACE, "labels": {"app": "server"}},
        "spec": {
            "containers": [
                {
                    "name": "server",
                    "image": IMAGES["igzip"],
                    "args": ["/opt/bitnami/scripts/postgresql/run.sh", "-c", "fsync=off"],
                    "env": [
                        {"name": "POSTGRES_PASSWORD", "value": PASSWORD},
                        {"name": "PGPASSWORD", "value": PASSWORD},
                        {"name": "PGUSER", "value": "postgres"},
                    ],
                    "volumeMounts": [
                        {"name": "backups", "mountPath": BACKUPS},
                        {"name": "data", "mountPath": "/bitnami/postgresql"},
                    ],
                }
            ],
            "terminationGracePeriodSeconds": 0,
            "volumes": [
                {"name": "backups", "persistentVolumeClaim": {"claimName": NAME}},
                {"name": "data", "emptyDir": {}},
            ],
        },
    }


def _service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 5432}]},
    }


def _cronjob(image: str) -> dict[str, Any]:
    """What the modules need to know of a backup: volume, image, server."""
    made = cronjob(NAMESPACE)
    container = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    values = {"PGHOST": "server", "PGUSER": "postgres", "PGPASSWORD": PASSWORD}
    container |= {"image": image, "env": [{"name": name, "value": value} for name, value in values.items()]}
    return made


def _in_server(command: str) -> str:
    return kubectl("exec", "server", "-n", NAMESPACE, "--", "bash", "-c", command)


def _fill() -> None:
    """Three equal databases, 1.1 GB of text together."""
    data = DATA.replace("UNLOGGED ", "").replace(str(ROWS), str(ROWS // len(DATABASES)))
    for name in DATABASES:
        _in_server(f'createdb {name}; psql -q -d {name} -c "$1"'.replace('"$1"', _quoted(data)))
        _in_server(f"psql -q -d {name} -c 'ALTER TABLE events ADD PRIMARY KEY (id)'")
    _in_server(f"pg_dumpall | igzip -c > {BACKUPS}/{BACKUP}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _drop(*names: str) -> None:
    for name in names:
        _in_server(f"dropdb --if-exists --force {name}")
    _in_server("psql -q -c CHECKPOINT; sync")


def _durable(on: bool) -> None:
    _in_server(f"psql -q -c 'ALTER SYSTEM SET fsync = {'on' if on else 'off'}' -c 'SELECT pg_reload_conf()' >/dev/null")


def measure(say: Say) -> list[Figure]:
    """All figures of restoring."""
    with workplace(NAMESPACE, say) as folder:
        return _measure(folder, say)


def _measure(folder: Path, say: Say) -> list[Figure]:
    apply(claim(NAMESPACE), _server(), _service(), how="create")
    kubectl("wait", "--for=condition=Ready", "pod/server", "-n", NAMESPACE, "--timeout=120s")
    while "accepting" not in kubectl("exec", "server", "-n", NAMESPACE, "--", "pg_isready", check=False):
        time.sleep(0.5)
    say("loading data into the server and dumping it")
    _fill()
    path = volume_folder(NAMESPACE) / BACKUP
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    path.with_name(f"{BACKUP}.sha256").write_text(f"{sha256}  {BACKUP}\n")
    with path.open("rb") as stream:
        contents = read_backup(stream)[1]
    if contents.uncompressed_bytes < LEAST_TEXT_BYTES:
        raise SystemExit(f"expected at least {LEAST_TEXT_BYTES} bytes of text, found {contents.uncompressed_bytes}")
    options = {"backup": BACKUP, "sha256": sha256, "contents": contents.to_dict()}
    ansible = Ansible(folder, CHECKOUT / ".ansible" / "collections")

    def module(name: str, image: str, *arguments: str, **more: Any) -> float:
        apply(_cronjob(IMAGES[image]))
        result = ansible.module(name, *arguments, namespace=NAMESPACE, name=NAME, **{**options, **more})
        if result["failed"]:
            raise SystemExit(f"{name} failed:\n{result['msg']}")
        return float(result["duration_seconds"])

    def whole(durable: bool = False) -> float:
        _drop(*DATABASES)
        _durable(durable)
        began = time.monotonic()
        _in_server(f"gunzip -c {BACKUPS}/{BACKUP} | psql -q -d postgres >/dev/null 2>&1")
        return time.monotonic() - began

    def one() -> float:
        _drop("two_restored")
        _durable(True)
        return module("restore_database", "igzip", database="two", new_name="two_restored")

    def nothing() -> float:
        return module("restore_database", "igzip", "--check", database="two", replace=True)

    works: dict[str, Callable[[], float]] = {
        "gunzip | psql": whole,
        "gunzip | psql, durable": lambda: whole(durable=True),
        "drill, igzip": lambda: module("restore_drill", "igzip"),
        "drill, gzip": lambda: module("restore_drill", "gzip"),
        "drill, igzip, in memory": lambda: module("restore_drill", "igzip", in_memory=True),
        "drill, igzip, without contents": lambda: module("restore_drill", "igzip", contents=None, sha256=None),
        "restore_database": one,
        "restore_database, check mode": nothing,
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS):
        for name, work in works.items():
            taken[name].append(work())
            say(f"round {number + 1} of {ROUNDS}: {name}: {taken[name][-1]:.2f} s")
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}

    def against(name: str, shown: str, bar: float | None, usual: str = "gunzip | psql") -> Figure:
        return Figure(shown, median[name], "s", bar, f"{usual}, all of it, not counted", median[usual])

    return [
        against("drill, igzip", "entire drill, start and counting included, image with igzip", 1.0),
        against("drill, igzip, in memory", "the same with its data in memory (in_memory)", None),
        against("drill, gzip", "the same on the disk, image with gzip only", None),
        against("drill, igzip, without contents", "the same with igzip, one database after the other", None),
        against("restore_database", "restore_database, one of three equal databases", 0.5, "gunzip | psql, durable"),
        Figure("the same in check mode (its floor: pod, hash, questions)", median["restore_database, check mode"], "s"),
    ]
