# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""restore_drill, restore_database and restore_table against `gunzip -c | psql` into a running server; on dev/cluster.

The drill is compared with a server with fsync off; restore_database, whose server lives, with one that is durable. The
backups are those of a run, and everything is read from the volume.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.foreign_cronjobs import BACKUPS, claim, cronjob
from tests.cluster.support.installed_objects import volume_folder
from tests.cluster.support.kube import CHECKOUT, NAME, apply, kubectl

from .backup import DATA, ROWS
from .databases import PARTS, TABLE
from .figures import Figure
from .role import workplace

ROUNDS = 3
DATABASES = ("one", "two", "three")
NAMESPACE = "bench-drill"
SCRIPT = CHECKOUT / "roles" / "postgres_backup" / "files"
LEAST_TEXT_BYTES = 1_050_000_000
IMAGES = {"igzip": "localhost/postgresql:18-bitnami-igzip", "gzip": "localhost/postgresql:18-bitnami"}
PASSWORD = "bench"  # noqa: S105 - of a server that lives for minutes

Say = Callable[[str], None]


def _server() -> dict[str, Any]:
    """A running server with fsync off, a container for the script, and the folder of the backups."""
    environment = [{"name": "PGPASSWORD", "value": PASSWORD}, {"name": "PGUSER", "value": "postgres"}]
    backups = {"name": "backups", "mountPath": BACKUPS}
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
                    "env": [{"name": "POSTGRES_PASSWORD", "value": PASSWORD}, *environment],
                    "volumeMounts": [backups, {"name": "data", "mountPath": "/bitnami/postgresql"}],
                },
                # PostgreSQL takes a process that it inherits from the script, and that is killed, for a crash.
                {
                    "name": "script",
                    "image": IMAGES["igzip"],
                    "command": ["sleep", "infinity"],
                    "env": environment,
                    "volumeMounts": [backups],
                },
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
    return kubectl("exec", "server", "-c", "server", "-n", NAMESPACE, "--", "bash", "-c", command)


def _fill() -> None:
    """Three equal databases, 1.1 GB of text together."""
    data = DATA.replace("UNLOGGED ", "").replace(str(ROWS), str(ROWS // len(DATABASES)))
    for name in DATABASES:
        _in_server(f"createdb {name}; psql -q -d {name} -c {_quoted(data)}")
        _in_server(f"psql -q -d {name} -c 'ALTER TABLE events ADD PRIMARY KEY (id)'")


def _fill_many() -> list[str]:
    """PARTS databases of 50 MB of text each; returns their names."""
    names = [f"part_{number:02}" for number in range(PARTS)]
    table = TABLE.replace("UNLOGGED ", "")
    for name in names:
        _in_server(f"createdb {name}; psql -q -d {name} -c {_quoted(table)}")
    return names


def _back_up() -> tuple[str, int]:
    """The name of the backup of a run, and the bytes of its text."""
    variables = f"POSTGRES_BACKUP_DIR={BACKUPS} POSTGRES_BACKUP_HOST=localhost POSTGRES_BACKUP_COMPRESSOR=igzip"
    run = f"{variables} POSTGRES_BACKUP_NAME={NAME} sh {BACKUPS}/script/backup.sh run"
    kubectl("exec", "server", "-c", "script", "-n", NAMESPACE, "--", "bash", "-c", run)
    path = max(volume_folder(NAMESPACE).glob("*.sql.gz"))
    return path.name, json.loads(path.with_name(f"{path.name}.json").read_text())["uncompressed_bytes"]


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
    while "accepting" not in kubectl(
        "exec", "server", "-c", "server", "-n", NAMESPACE, "--", "pg_isready", check=False
    ):
        time.sleep(0.5)
    say("loading data into the server and backing it up")
    shutil.copytree(SCRIPT, volume_folder(NAMESPACE) / "script")
    _fill()
    backup, text_bytes = _back_up()
    if text_bytes < LEAST_TEXT_BYTES:
        raise SystemExit(f"expected at least {LEAST_TEXT_BYTES} bytes of text, found {text_bytes}")
    options: dict[str, Any] = {"backup": backup}
    ansible = Ansible(folder, CHECKOUT / ".ansible" / "collections")

    def module(name: str, image: str, *arguments: str, **more: Any) -> float:
        apply(_cronjob(IMAGES[image]))
        result = ansible.module(name, *arguments, namespace=NAMESPACE, name=NAME, **{**options, **more})
        if result["failed"]:
            raise SystemExit(f"{name} failed:\n{result['msg']}")
        return float(result["duration_seconds"])

    def everything(durable: bool = False, databases: Sequence[str] = DATABASES) -> float:
        _drop(*databases)
        _durable(durable)
        began = time.monotonic()
        _in_server(f"gunzip -c {BACKUPS}/{options['backup']} | psql -q -d postgres >/dev/null 2>&1")
        return time.monotonic() - began

    def one() -> float:
        _drop("two_restored")
        _durable(True)
        return module("restore_database", "igzip", database="two", new_name="two_restored")

    def table() -> float:
        """Its largest table, which has nearly all of its rows, compared with the live one."""
        schemas = "SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace WHERE nspname ~ '^restored_'"
        _in_server(f"psql -q -A -t -d two -c {_quoted(schemas)} | psql -q -d two; psql -q -c CHECKPOINT; sync")
        _durable(True)
        return module("restore_table", "igzip", database="two", tables=["events"])

    def nothing() -> float:
        return module("restore_database", "igzip", "--check", database="two", replace=True)

    def last_of_many() -> float:
        _drop("part_restored")
        _durable(True)
        return module("restore_database", "igzip", database=f"part_{PARTS - 1:02}", new_name="part_restored")

    def medians(works: dict[str, Callable[[], float]]) -> dict[str, float]:
        taken: dict[str, list[float]] = {name: [] for name in works}
        for number in range(ROUNDS):
            for name, work in works.items():
                taken[name].append(work())
                say(f"round {number + 1} of {ROUNDS}: {name}: {taken[name][-1]:.2f} s")
        return {name: statistics.median(seconds) for name, seconds in taken.items()}

    median = medians(
        {
            "gunzip | psql": everything,
            "gunzip | psql, durable": lambda: everything(durable=True),
            "drill, igzip": lambda: module("restore_drill", "igzip"),
            "drill, gzip": lambda: module("restore_drill", "gzip"),
            "restore_database": one,
            "restore_table": table,
            "restore_database, check mode": nothing,
        }
    )
    _drop(*DATABASES, "two_restored")
    names = _fill_many()
    options["backup"], text_bytes = _back_up()
    say(f"the last of {PARTS} databases of a backup with {text_bytes / 1e6:.0f} MB of text")
    median |= medians(
        {
            "all of many": lambda: everything(durable=True, databases=names),
            "last of many": last_of_many,
        }
    )

    def against(name: str, title: str, bar: float | None, usual: str = "gunzip | psql") -> Figure:
        return Figure(title, median[name], "s", bar, f"{usual}, all of it, not counted", median[usual])

    return [
        against("drill, igzip", "entire drill from the volume, start and counting included, image with igzip", 1.0),
        against("drill, gzip", "the same, image with gzip only", 1.15),
        against("restore_database", "restore_database, one of three equal databases", 0.45, "gunzip | psql, durable"),
        Figure(
            "restore_table, the largest table of the same database, compared with the live one",
            median["restore_table"],
            "s",
            1.2,
            "restore_database of its database",
            median["restore_database"],
        ),
        Figure("the same in check mode (its floor: pod, hash, queries)", median["restore_database, check mode"], "s"),
        against(
            "last of many", f"restore_database, the last of {PARTS} databases of 50 MB of text", 0.1, "all of many"
        ),
    ]
