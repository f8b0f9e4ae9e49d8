# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Restore drills on a real cluster: what is restored, what is refused, and that nothing remains."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.support.ansible_runs import Ansible, signal_all
from tests.cluster.support.backup_files import BACKUP, DUMP, put, with_statement
from tests.cluster.support.foreign_cronjobs import install
from tests.cluster.support.installed_objects import create_in, volume_folder
from tests.cluster.support.kube import CHECKOUT, NAME, job_ends, kubectl, listed, must_get, names, run_cronjob
from tests.cluster.support.namespaces import credentials
from tests.cluster.support.servers import Server
from tests.in_turn import weekly, weekly_but

DRILL = f"{NAME}-drill"
DEBIAN = ("localhost/postgresql:18-debian", 54321)
IMAGES = [
    weekly(("localhost/postgresql:18-bitnami", 1001)),
    weekly(("localhost/postgresql:18-bitnami-igzip", 1001)),
    DEBIAN,
]
HEADER = """-- Backup made by homelab.postgres_backup 0.1.0
-- started: 2026-11-20T02:00:00Z
-- server: "db:5432"
-- server version: "{version}"
-- pg_dumpall version: "{version}"
-- bootstrap superuser: {superuser}
-- databases skipped: []
--

"""


def owned_by(superuser: str) -> str:
    """The dump as from a server whose bootstrap superuser has that name."""
    text = HEADER.format(version="18.6", superuser=json.dumps(superuser)) + DUMP
    for before in ("ROLE ", "OWNER TO "):
        text = text.replace(f"{before}postgres", f'{before}"{superuser}"')
    return text


@pytest.fixture
def folder(namespace: str) -> Path:
    """The folder behind the volume of a CronJob made by hand, which has one backup."""
    install(namespace)
    path = volume_folder(namespace)
    put(path)
    return path


@pytest.fixture
def drill(ansible: Ansible, namespace: str) -> Callable[..., dict[str, Any]]:
    """Runs the module, and sees to it that it leaves nothing behind."""

    def run(*arguments: str, **options: Any) -> dict[str, Any]:
        before = names("configmap", namespace)
        result = ansible.module("restore_drill", *arguments, namespace=namespace, **options)
        assert "Traceback" not in result["shown"], result["shown"]
        nothing_stays(namespace)
        assert names("configmap", namespace) == before
        return result

    return run


def nothing_stays(namespace: str) -> None:
    for kind in ("job", "pod"):
        kubectl("wait", "--for=delete", kind, "-l", "app.kubernetes.io/component", "-n", namespace, "--timeout=60s")
        assert not names(kind, namespace)


def contents_of(ansible: Ansible, namespace: str) -> dict[str, Any]:
    here = ansible.folder / "here"
    here.mkdir(exist_ok=True)
    found = ansible.module("backup_fetch", namespace=namespace, dest=f"{here}/", verify=True)
    assert not found["failed"], found["msg"]
    contents: dict[str, Any] = found["contents"]
    return contents


def template(namespace: str, image: str, user: int) -> None:
    base = "/spec/jobTemplate/spec/template/spec"
    steps = [
        {"op": "replace", "path": f"{base}/containers/0/image", "value": image},
        {"op": "replace", "path": f"{base}/securityContext/runAsUser", "value": user},
    ]
    kubectl("patch", "cronjob", NAME, "-n", namespace, "--type=json", "-p", json.dumps(steps))


Drill = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("image_and_user", IMAGES)
def test_restored_counts_equal_the_contents(
    ansible: Ansible, namespace: str, folder: Path, drill: Drill, image_and_user: tuple[str, int]
) -> None:
    sha256 = put(folder, owned_by("the boss"))
    template(namespace, *image_and_user)
    found = drill(contents=contents_of(ansible, namespace), sha256=sha256.upper())
    assert not found["failed"], found["msg"]
    assert (found["changed"], found["compared"], found["failures"]) == (False, True, [])
    assert (found["backup"], found["sha256"]) == (BACKUP, sha256)
    assert found["server_version"].startswith("18.")
    databases = {each["name"]: each for each in found["databases"]}
    assert databases["app"] == {"name": "app", "tables": 3, "rows": 4, "copied_rows": 4}
    assert "Mixed-Name's" in databases
    assert (found["tables"], found["rows"]) == (3, 4)
    assert found["seconds"].keys() >= {"restore", "count"}
    assert not any(line.startswith("{") for line in found["log"])


@pytest.mark.weekly
@pytest.mark.parametrize(
    "options", [weekly({}), {"in_memory": True, "size_limit": "256Mi"}, weekly({"settings": {"jit": False}})]
)
def test_rows_are_compared_with_copy_when_contents_are_unknown(
    folder: Path, drill: Drill, options: dict[str, Any]
) -> None:
    assert (folder / BACKUP).exists()
    found = drill(backup=BACKUP, **options)
    assert not found["failed"], found["msg"]
    assert (found["compared"], found["rows"]) == (False, 4)


@pytest.mark.weekly
def test_difference_from_the_contents_fails(ansible: Ansible, namespace: str, folder: Path, drill: Drill) -> None:
    assert (folder / BACKUP).exists()
    contents = contents_of(ansible, namespace)
    app = next(database for database in contents["databases"] if database["name"] == "app")
    app["tables"][0]["rows"] += 1
    del app["tables"][1]
    contents["databases"].append({"name": "gone", "tables": []})
    found = drill(contents=contents)
    assert found["failed"]
    assert sorted(failure["check"] for failure in found["failures"]) == ["databases", "rows", "tables"]
    assert "the database 'gone': expected it, found none" in found["msg"]


@pytest.mark.weekly
def test_check_mode_restores_nothing(folder: Path, drill: Drill) -> None:
    sha256 = put(folder, name=f"{NAME}-2026-11-21-020000.sql.gz")
    found = drill("--check")
    assert (found["failed"], found["changed"], found["rows"]) == (False, False, 0)
    assert (found["backup"], found["sha256"]) == (f"{NAME}-2026-11-21-020000.sql.gz", sha256)


def test_pod_has_no_credentials(
    ansible: Ansible, site_objects: list[dict[str, Any]], namespace: str, server: Server
) -> None:
    """Not even where the backup's own pod has them."""
    create_in(site_objects, namespace)
    put(volume_folder(namespace), with_statement("SELECT pg_sleep(600);"))
    running = ansible.start("restore_drill", namespace=namespace, timeout="20m")
    try:
        pod = drill_pod(namespace)
        containers = pod["spec"]["containers"]
        assert not pod["spec"].get("initContainers")
        entries = [entry for container in containers for entry in container["env"]]
        assert all("valueFrom" not in entry and "PASSWORD" not in entry["name"] for entry in entries)
        assert not any("envFrom" in container for container in containers)
        assert not any("secret" in volume for volume in pod["spec"]["volumes"])
        environment = kubectl("exec", pod["metadata"]["name"], "-c", "drill", "-n", namespace, "--", "env")
        assert server.password not in environment
        mounts = kubectl("exec", pod["metadata"]["name"], "-c", "drill", "-n", namespace, "--", "cat", "/proc/mounts")
        backups = next(line for line in mounts.splitlines() if " /backups " in line)
        assert backups.split()[3].split(",")[0] == "ro"
        assert "serviceaccount" not in mounts
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    nothing_stays(namespace)


def drill_pod(namespace: str, component: str = "drill") -> dict[str, Any]:
    """The drill's pod once its container runs."""
    deadline = time.monotonic() + 60
    selector = f"app.kubernetes.io/component={component}"
    while time.monotonic() < deadline:
        for pod in listed("pod", namespace, selector):
            statuses = pod["status"].get("containerStatuses", [])
            if any(status["name"] == "drill" and "running" in status["state"] for status in statuses):
                found: dict[str, Any] = pod
                return found
        time.sleep(0.3)
    raise AssertionError(kubectl("describe", "pod", "-n", namespace))


@pytest.mark.weekly
def test_documented_rights_are_enough(ansible: Ansible, namespace: str, folder: Path, tmp_path: Path) -> None:
    assert (folder / BACKUP).exists()
    role = yaml.safe_load((CHECKOUT / "docs" / "examples" / "rbac" / "operate.yaml").read_text())
    role["metadata"]["namespace"] = namespace
    operator = credentials("operator", role, tmp_path)
    found = ansible.module("restore_drill", env=operator, namespace=namespace, backup=BACKUP)
    assert not found["failed"], found["msg"]
    nothing_stays(namespace)


@pytest.mark.weekly
def test_ansible_terminated_leaves_nothing(ansible: Ansible, namespace: str, folder: Path) -> None:
    put(folder, with_statement("SELECT pg_sleep(600);"))
    running = ansible.start("restore_drill", namespace=namespace)
    drill_pod(namespace)
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)
    nothing_stays(namespace)


@pytest.mark.weekly
def test_ansible_killed_lets_the_job_finish(ansible: Ansible, namespace: str, folder: Path) -> None:
    put(folder, with_statement("SELECT pg_sleep(8);"))
    running = ansible.start("restore_drill", namespace=namespace)
    drill_pod(namespace)
    signal_all(running, signal.SIGKILL)
    running.communicate()
    (job,) = names("job", namespace)
    assert job_ends(job, namespace) == "Complete"
    spec = must_get("job", job, namespace)["spec"]
    assert spec["activeDeadlineSeconds"] <= 6 * 3600 + 600
    assert spec["ttlSecondsAfterFinished"] <= 300
    # What Kubernetes does then, sooner.
    kubectl("patch", "job", job, "-n", namespace, "-p", '{"spec":{"ttlSecondsAfterFinished":1}}')
    nothing_stays(namespace)


def newer_version(text: str) -> str:
    header = HEADER.format(version="19.1", superuser='"postgres"')
    return header + text.replace("Dumped from database version 18.6", "Dumped from database version 19.1")


FAULTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "sql": (with_statement("SELECT no_such_function();"), ("no_such_function",)),
    "extension": (with_statement("CREATE EXTENSION no_such_extension;"), ("no_such_extension",)),
    "version": (newer_version(DUMP), ("19", "18")),
    "cut": (DUMP[: len(DUMP) // 2], ("end",)),
    "foreign": ("CREATE TABLE t (x integer);\n", ("dump",)),
}


@pytest.mark.parametrize("fault", weekly_but(FAULTS, "sql"))
def test_backup_that_cannot_be_restored_fails(folder: Path, drill: Drill, fault: str) -> None:
    text, words = FAULTS[fault]
    put(folder, text)
    found = drill()
    assert found["failed"]
    assert all(word in found["msg"] for word in words), found["msg"]
    assert found["changed"] is False


@pytest.mark.weekly
def test_all_errors_are_returned(folder: Path, drill: Drill) -> None:
    statements = (
        "SELECT no_such_function(); CREATE VIEW public.v AS SELECT * FROM public.nothing; SELECT * FROM public.v;"
    )
    put(folder, with_statement(statements))
    found = drill()
    errors = [(error["database"], error["object"], error["sqlstate"], error["follows"]) for error in found["errors"]]
    assert errors == [
        ("app", None, "42883", None),
        ("app", "view public.v", "42P01", None),
        ("app", None, "42P01", 2),
    ]
    assert "All causes:" in found["msg"] and "view public.v" in found["msg"]


@pytest.mark.weekly
def test_another_image_and_sql_for_a_database(namespace: str, folder: Path, drill: Drill) -> None:
    put(folder, with_statement("SELECT public.made_before();"))
    image, user = DEBIAN
    template(namespace, "localhost/none:1", user)
    sql = "CREATE FUNCTION public.made_before() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    found = drill(image=image, before_sql={"app": sql}, after_sql={"app": "DROP FUNCTION public.made_before();"})
    assert not found["failed"], found["msg"]
    assert (found["errors"], found["needs"], found["left_out"]) == ([], [], [])


@pytest.mark.weekly
def test_rows_lost_during_the_restore_fail(folder: Path, drill: Drill) -> None:
    begin = DUMP.index("COPY public.z")
    put(folder, DUMP[:begin] + "TRUNCATE public.b;\n\n" + DUMP[begin:])
    found = drill()
    assert found["failed"]
    assert "rows" in found["msg"], found["msg"]


def test_damaged_backup_fails(folder: Path, drill: Drill) -> None:
    sha256 = put(folder)
    data = bytearray((folder / BACKUP).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / BACKUP).write_bytes(data)
    found = drill(sha256=sha256)
    assert found["failed"]
    assert BACKUP in found["msg"], found["msg"]


@pytest.mark.weekly
def test_tampered_backup_and_checksum_file_fail(folder: Path, drill: Drill) -> None:
    sha256 = put(folder)
    other = put(folder, with_statement("SELECT 1;"))
    found = drill(sha256=sha256)
    assert found["failed"]
    assert sha256 in found["msg"] and other in found["msg"]
    assert "Nothing was restored" in found["msg"]


@pytest.mark.weekly
def test_data_larger_than_the_size_limit_fails(folder: Path, drill: Drill) -> None:
    put(folder, with_statement("CREATE TABLE public.big AS SELECT repeat('x', 100) FROM generate_series(1, 3000000);"))
    found = drill(size_limit="80Mi")
    assert found["failed"]
    assert "limit" in found["msg"].lower(), found["msg"]


@pytest.mark.weekly
def test_too_little_memory_fails(namespace: str, folder: Path, drill: Drill) -> None:
    put(folder, with_statement("SET work_mem = '2GB'; SELECT count(DISTINCT g) FROM generate_series(1, 9000000) AS g;"))
    limits = {"limits": {"memory": "256Mi"}}
    path = "/spec/jobTemplate/spec/template/spec/containers/0/resources"
    steps = [{"op": "add", "path": path, "value": limits}]
    kubectl("patch", "cronjob", NAME, "-n", namespace, "--type=json", "-p", json.dumps(steps))
    found = drill()
    assert found["failed"]
    # The kernel kills the server's process or the entire container: the script or Kubernetes reports it.
    assert "memory" in found["msg"] and "postgres_backup_resources" in found["msg"], found["msg"]


@pytest.mark.weekly
def test_timeout_ends_the_drill(folder: Path, drill: Drill) -> None:
    put(folder, with_statement("SELECT pg_sleep(600);"))
    found = drill(timeout="8s")
    assert found["failed"]
    assert "8s" in found["msg"] or "time" in found["msg"], found["msg"]


@pytest.mark.weekly
def test_missing_cronjob_or_backup_is_named(namespace: str, folder: Path, drill: Drill) -> None:
    name = f"{NAME}-2020-01-01-000000.sql.gz"
    assert name in drill(backup=name)["msg"]
    for path in folder.iterdir():
        path.unlink()
    assert "complete" in drill()["msg"]
    kubectl("patch", "cronjob", NAME, "-n", namespace, "--type=json", "-p", NO_IMAGE)
    began = time.monotonic()
    # Long enough that a mount which fails at first (the node's rights lag behind a new pod) is tried again.
    assert "Image" in drill(startup_timeout="20s")["msg"]
    assert time.monotonic() - began < 72


NO_IMAGE = json.dumps(
    [{"op": "replace", "path": "/spec/jobTemplate/spec/template/spec/containers/0/image", "value": "localhost/none:1"}]
)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size_limit": "ten"}, "size_limit: expected a size"),
        ({"timeout": "soon"}, "timeout: expected a duration"),
        ({"settings": {"a b": 1}}, "settings: expected names"),
        ({"contents": {"x": 1}}, "contents: expected those that backup_fetch"),
        ({"stuck_timeout": "x"}, "startup_timeout: expected a duration"),
        ({"backup": "../x"}, "backup: expected the name"),
        ({"image": "a b"}, "image: expected the name of an image"),
        ({"search_path": {"app": ["public"]}}, "search_path: expected a text for the database 'app'"),
    ],
)
def test_invalid_options_start_nothing(ansible: Ansible, namespace: str, options: dict[str, Any], words: str) -> None:
    found = ansible.module("restore_drill", namespace=namespace, **options)
    assert found["failed"]
    assert words in found["msg"]
    assert not names("job", namespace)


def test_scheduled_drill_good_and_bad(ansible: Ansible, role_variables: dict[str, Any], namespace: str) -> None:
    assert ansible.site(drill_schedule="0 4 * * 0", **role_variables).status == 0
    options: dict[str, Any] = {"namespace": namespace, "name": NAME}
    backup = run_cronjob(namespace)["backup"]
    before = ansible.module("backup_info", **options)
    assert (before["healthy"], before["last_drill"]) == (True, None), before["problems"]
    assert before["drill_schedule"]["cron"] == "0 4 * * 0"

    kubectl("create", "job", f"--from=cronjob/{DRILL}", "by-hand", "-n", namespace)
    assert job_ends("by-hand", namespace, 120) == "Complete", kubectl("logs", "job/by-hand", "-n", namespace)
    folder = volume_folder(namespace)
    site_objects = json.loads((folder / f"{NAME}.last-drill.json").read_text())
    assert (site_objects["state"], site_objects["backup"]) == ("succeeded", backup)
    after = ansible.module("backup_info", **options)
    assert (after["healthy"], after["last_drill"]["state"]) == (True, "succeeded"), after["problems"]
    assert after["last_drill"]["databases"] >= 1

    put(folder, with_statement("SELECT no_such_function();"), name=f"{NAME}-{time.strftime('%Y-%m-%d-%H%M%S')}.sql.gz")
    kubectl("create", "job", f"--from=cronjob/{DRILL}", "bad", "-n", namespace)
    assert job_ends("bad", namespace, 180) == "Failed"
    # Another drill of it would end in the same way: it is not tried again.
    pods = kubectl("get", "pods", "-n", namespace, "-l", "batch.kubernetes.io/job-name=bad", "-o", "name")
    assert len(pods.split()) == 1
    bad = ansible.module("backup_info", **options)
    (problem,) = (problem for problem in bad["problems"] if problem["check"] == "drill")
    assert "no_such_function" in problem["message"]
    assert bad["healthy"] is False


@pytest.mark.weekly
def test_playbook_drills_and_prints_a_table(ansible: Ansible, namespace: str, folder: Path) -> None:
    assert (folder / BACKUP).exists()
    given: dict[str, Any] = {"postgres_backup_namespace": namespace}
    play = ansible("homelab.postgres_backup.drill", **given)
    assert play.status == 0, play.output
    assert play.changed == 0
    assert '"result   passed: every table has the rows that COPY reported"' in play.output
    nothing_stays(namespace)
    assert list(ansible.folder.iterdir()) == []

    # Before 1.1, it decided whether the backup was read on this machine.
    quick = ansible("homelab.postgres_backup.drill", postgres_backup_drill_compare=False, **given)
    assert quick.status == 0, quick.output

    checked = ansible("homelab.postgres_backup.drill", "--check", **given)
    assert checked.status == 0, checked.output
    assert f"{BACKUP} would be restored" in checked.output

    put(folder, with_statement("SELECT no_such_function();"))
    bad = ansible("homelab.postgres_backup.drill", **given)
    assert bad.status != 0
    assert "no_such_function" in bad.output


@pytest.mark.weekly
def test_playbook_compares_with_kept_contents(ansible: Ansible, namespace: str, folder: Path) -> None:
    assert (folder / BACKUP).exists()
    contents = contents_of(ansible, namespace)
    kept = ansible.folder / "contents.json"
    kept.write_text(json.dumps(contents))
    given: dict[str, Any] = {"postgres_backup_namespace": namespace, "postgres_backup_drill_contents": "contents.json"}
    play = ansible("homelab.postgres_backup.drill", **given)
    assert play.status == 0, play.output
    assert "every table has the rows that the backup contains" in play.output

    contents["databases"][-1]["tables"].append({"schema": "public", "name": "gone", "rows": 1})
    kept.write_text(json.dumps(contents))
    play = ansible("homelab.postgres_backup.drill", **given)
    assert play.status != 0
    assert "failed: 1 difference" in play.output
    assert "the table public.gone" in play.output
