# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Install, check, run, run again, remove: what site.yml does to a cluster, and what it prints."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.installed_objects import CRONJOB, PVC, written_objects
from tests.cluster.support.kube import NAME, apply, get, kubectl, must_get, names, run_cronjob, run_in_volume
from tests.cluster.support.namespaces import secret
from tests.cluster.support.servers import Server
from tests.in_turn import weekly

DRILL = f"{NAME}-drill"
README, RUNBOOK = Path("applications/postgres/README.md"), Path("docs/runbooks/postgres-backup.md")


def everything_in(namespace: str) -> set[str]:
    kinds = "persistentvolumeclaims,configmaps,serviceaccounts,cronjobs,jobs,networkpolicies"
    return set(kubectl("get", kinds, "-n", namespace, "-o", "name").split())


def is_part(part: Any, whole: Any) -> bool:
    """Whether everything in `part` is in `whole`, which may have more keys: the API server fills in defaults."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(is_part(value, whole.get(key)) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) == len(whole) and all(map(is_part, part, whole))
    return bool(part == whole)


def tries(namespace: str) -> tuple[str, list[str]]:
    job = must_get("cronjob", NAME, namespace)["spec"]["jobTemplate"]["spec"]
    rules = job.get("podFailurePolicy", {}).get("rules", [])
    return job["template"]["spec"]["restartPolicy"], [rule["action"] for rule in rules]


def as_version_1_0_made_it(folder: Path, namespace: str) -> None:
    """The CronJob of a version whose attempts did not have separate pods."""
    made = next(made for made in written_objects(folder) if made["kind"] == "CronJob")
    job = made["spec"]["jobTemplate"]["spec"]
    del job["podFailurePolicy"]
    job["template"]["spec"]["restartPolicy"] = "OnFailure"
    apply(made)
    assert tries(namespace) == ("OnFailure", [])


def check_volume(namespace: str, runbooks: Path, backup: str) -> None:
    """The backup can be read, and a run leaves both files next to it; the program there works."""
    assert "OK" in run_in_volume(namespace, f"cd /backups && gzip -t {backup} && sha256sum -c *.sha256")
    page = run_in_volume(namespace, "cat /backups/RESTORE.md")
    assert f"{namespace}/{NAME}" in page.splitlines()[0] and f"-n {namespace}" in page
    assert run_in_volume(namespace, "cat /backups/restore-kit.sh") == (runbooks / "restore-kit.sh").read_text()
    checked = run_in_volume(namespace, f"cd / && TMPDIR=/tmp sh /backups/restore-kit.sh check /backups/{backup}")
    assert f"{backup}: complete, " in checked and checked.strip().endswith(" as in its checksum file")


def test_installation_is_created_then_removed(
    ansible: Ansible, role_variables_with_files: dict[str, Any], namespace: str, server: Server
) -> None:
    before = everything_in(namespace)

    checked = ansible.site("--check", "--diff", "-vvv", **role_variables_with_files)
    assert checked.status == 0, checked.output
    assert checked.changed > 0
    assert '+        "name": "postgres-backup",' in checked.output
    assert "backup-cronjob.yaml" in checked.output
    assert everything_in(namespace) == before
    assert list(ansible.folder.iterdir()) == []

    first = ansible.site("--diff", "-vvv", **role_variables_with_files)
    assert first.status == 0, first.output
    assert must_get("pvc", NAME, namespace)["status"]["phase"] == "Bound"
    assert any(line.startswith("WARNING: deleting the claim") for line in first.summary)
    assert any("kubectl create job --from=cronjob/postgres-backup" in line for line in first.summary)
    live = {path: (ansible.folder / path).read_text() for path in (PVC, CRONJOB, README, RUNBOOK)}

    second = ansible.site("-vvv", **role_variables_with_files)
    assert (second.status, second.changed) == (0, 0), second.output
    assert {path: (ansible.folder / path).read_text() for path in live} == live

    for made in written_objects(ansible.folder):
        assert is_part(made, must_get(made["kind"], made["metadata"]["name"], namespace)), made["kind"]
    manifests = ansible.folder / "applications" / "postgres"
    assert (
        subprocess.run(["kubectl", "diff", "-f", manifests], capture_output=True, text=True, check=False).stdout == ""
    )

    result = run_cronjob(namespace)
    assert result["state"] == "succeeded"
    check_volume(namespace, ansible.folder / RUNBOOK.parent, result["backup"])
    folder = must_get("pv", must_get("pvc", NAME, namespace)["spec"]["volumeName"])["spec"]["hostPath"]["path"]
    assert folder in live[RUNBOOK]

    encoded = base64.b64encode(server.password.encode()).decode()
    events = kubectl("get", "events", "-n", namespace, "-o", "yaml")
    logs = kubectl("logs", "job/manual-backup", "-n", namespace)
    for text in (checked.output, first.output, second.output, events, logs, *live.values()):
        assert server.password not in text
        assert encoded not in text

    as_version_1_0_made_it(ansible.folder, namespace)
    assert ansible.site(drill_schedule="@weekly", **role_variables_with_files).status == 0
    assert tries(namespace) == ("Never", ["Ignore", "FailJob"])
    assert names("cronjob", namespace) == {NAME, DRILL}
    gone = ansible.site(state="absent", **role_variables_with_files)
    assert gone.status == 0, gone.output
    assert gone.changed > 0
    assert everything_in(namespace) == before | {f"persistentvolumeclaim/{NAME}"}
    assert all((ansible.folder / path).exists() for path in live)
    assert any(line.startswith("Kept: the claim") for line in gone.summary)

    again = ansible.site("--diff", **role_variables_with_files)
    assert again.status == 0, again.output
    assert run_in_volume(namespace, "ls /backups").split().count(result["backup"]) == 1

    deleted = ansible.site(state="absent", delete_data=True, **role_variables_with_files)
    assert deleted.status == 0, deleted.output
    assert everything_in(namespace) == before
    assert not any((ansible.folder / path).exists() for path in (PVC, CRONJOB, RUNBOOK))
    assert "Backup & Recovery" not in (ansible.folder / README).read_text()
    nothing = ansible.site(state="absent", delete_data=True, **role_variables_with_files)
    assert (nothing.status, nothing.changed) == (0, 0), nothing.output


def environment(namespace: str, cronjob: str = NAME) -> dict[str, Any]:
    spec = must_get("cronjob", cronjob, namespace)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}


def test_changed_variables_change_the_objects(
    ansible: Ansible, role_variables_with_files: dict[str, Any], namespace: str
) -> None:
    with_more: dict[str, Any] = {
        "extra_args": ["--no-comments"],
        "exclude_table_data": [{"database": "shop*", "table": "public.log"}, {"database": "$(HOME)", "table": "*.*"}],
        "network_policy": True,
        "node_selector": {"kubernetes.io/os": "linux"},
        "pod_annotations": {"note": "one"},
        "keep_within": "14d",
        "drill_schedule": "0 4 * * 0",
    }
    assert ansible.site(**role_variables_with_files, **with_more).status == 0
    assert names("networkpolicy", namespace) == {NAME, DRILL}
    assert must_get("cronjob", DRILL, namespace)["spec"]["schedule"] == "0 4 * * 0"
    again = ansible.site(**role_variables_with_files, **with_more)
    assert (again.status, again.changed) == (0, 0), again.output
    assert any(line.startswith("Restore drills: schedule 0 4 * * 0") for line in again.summary)
    left_out = 'postgres_backup_exclude_table_data: [{"database": "shop*", "table": "public.log"}, '
    assert any(line.startswith(f"Dumped with {left_out}") for line in again.summary)
    assert left_out in (ansible.folder / RUNBOOK).read_text()
    kubectl("create", "job", f"--from=cronjob/{DRILL}", "a-drill", "-n", namespace)
    assert environment(namespace)["POSTGRES_BACKUP_EXTRA_ARGS"] == "--no-comments"
    patterns = environment(namespace)["POSTGRES_BACKUP_EXCLUDE_TABLE_DATA"]
    assert patterns == "shop*\tpublic.log\n$$(HOME)\t*.*"
    assert f"name: {DRILL}" in (ansible.folder / CRONJOB).read_text()

    files = {path: (ansible.folder / path).read_text() for path in (PVC, CRONJOB, README, RUNBOOK)}
    checked = ansible.site("--check", "--diff", schedule="30 3 * * *", **role_variables_with_files)
    assert checked.status == 0, checked.output
    assert checked.changed > 0
    assert '+        "schedule": "30 3 * * *"' in checked.output
    assert "POSTGRES_BACKUP_EXTRA_ARGS" in checked.output
    assert names("networkpolicy", namespace) == {NAME, DRILL}
    assert names("cronjob", namespace) == {NAME, DRILL}
    assert environment(namespace)["POSTGRES_BACKUP_EXTRA_ARGS"] == "--no-comments"
    assert {path: (ansible.folder / path).read_text() for path in files} == files

    assert ansible.site(schedule="30 3 * * *", **role_variables_with_files).status == 0
    assert not {"POSTGRES_BACKUP_EXTRA_ARGS", "POSTGRES_BACKUP_KEEP_WITHIN"} & set(environment(namespace))
    assert names("networkpolicy", namespace) == {DRILL}
    assert names("cronjob", namespace) == {NAME}
    kubectl("wait", "--for=delete", "job/a-drill", "-n", namespace, "--timeout=60s")
    cronjob = must_get("cronjob", NAME, namespace)
    assert cronjob["spec"]["schedule"] == "30 3 * * *"
    template = cronjob["spec"]["jobTemplate"]["spec"]["template"]
    assert "nodeSelector" not in template["spec"]
    assert "annotations" not in template["metadata"]
    site_objects = [(made["kind"], made["metadata"]["name"]) for made in written_objects(ansible.folder)]
    assert ("NetworkPolicy", DRILL) in site_objects
    assert not {("NetworkPolicy", NAME), ("CronJob", DRILL)} & set(site_objects)
    assert ansible.site(schedule="30 3 * * *", **role_variables_with_files).changed == 0


@pytest.mark.weekly
def test_manual_changes_are_reverted(
    ansible: Ansible, role_variables_with_files: dict[str, Any], namespace: str
) -> None:
    assert ansible.site(**role_variables_with_files).status == 0
    pod = '{"spec":{"jobTemplate":{"spec":{"template":{"spec":{%s}}}}}}'
    init = '"initContainers":[{"name":"init","image":"other:1"}]'
    kubectl("patch", "cronjob", NAME, "-n", namespace, "--type=merge", "-p", pod % init)
    kubectl("delete", "configmap", f"{NAME}-script", "-n", namespace)
    kubectl("label", "cronjob", NAME, "-n", namespace, "somebody=else")

    assert ansible.site(**role_variables_with_files).changed > 0
    cronjob = must_get("cronjob", NAME, namespace)
    assert "initContainers" not in cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert cronjob["metadata"]["labels"]["somebody"] == "else"
    assert get("configmap", f"{NAME}-script", namespace) is not None
    assert ansible.site(**role_variables_with_files).changed == 0


@pytest.mark.weekly
def test_installation_under_another_name(ansible: Ansible, namespace: str, server: Server) -> None:
    name = "b" * 52
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"db-{namespace}", "namespace": server.namespace},
        "spec": {
            "selector": {"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/component": "primary"},
            "ports": [{"name": "db", "port": 15432, "targetPort": "tcp-postgresql"}],
        },
    }
    apply(service, secret(namespace, server.password, name="db-login", key="pass.word"))
    try:
        play = ansible.site(
            name=name,
            namespace=namespace,
            host=f"db-{namespace}.{server.namespace}.svc",
            port=15432,
            secret_name="db-login",  # noqa: S106 - a name, no password
            secret_key="pass.word",  # noqa: S106 - a name, no password
            claim_name="dumps.nas",
            manifest_dir="k8s/db",
            runbook_dir="",
        )
        assert play.status == 0, play.output
        result = run_cronjob(namespace, name, "by-hand")
        assert result["backup"].startswith(f"{name}-20")
    finally:
        kubectl("delete", "service", f"db-{namespace}", "-n", server.namespace)
    assert (ansible.folder / "k8s" / "db" / "backup-cronjob.yaml").exists()
    assert not (ansible.folder / "docs").exists()
    for made in everything_in(namespace):
        assert not made.endswith("/postgres-backup")


@pytest.mark.weekly
def test_two_installations_in_one_play(ansible: Ansible, namespace: str, server: Server) -> None:
    """The second must not take what the first found for its own."""
    playbook = ansible.folder / "two.yml"
    role = "homelab.postgres_backup.postgres_backup"
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "roles": [
            {"role": role, "vars": {"postgres_backup_name": name, "postgres_backup_runbook_dir": name}}
            for name in ("one", "two")
        ],
    }
    playbook.write_text(json.dumps([play]))
    given: dict[str, Any] = {"postgres_backup_namespace": namespace, "postgres_backup_host": server.host}
    assert ansible(str(playbook), **given).status == 0
    again = ansible(str(playbook), **given)
    assert (again.status, again.changed) == (0, 0), again.output
    for name in ("one", "two"):
        volume = must_get("pvc", name, namespace)["spec"]["volumeName"]
        assert f"PersistentVolume `{volume}`" in (ansible.folder / name / "postgres-backup.md").read_text()


IMAGES = [
    weekly("localhost/postgresql:18-bitnami", None),
    ("localhost/postgresql:18-debian", 54321),
]


@pytest.mark.weekly
@pytest.mark.parametrize(("image", "user"), IMAGES)
def test_pods_run_as_any_user(
    ansible: Ansible, role_variables_with_files: dict[str, Any], namespace: str, image: str, user: int | None
) -> None:
    play = ansible.site(image=image, run_as_user=user, suspend=True, **role_variables_with_files)
    assert play.status == 0, play.output
    assert any(line.startswith("Next run: none") for line in play.summary)
    assert run_cronjob(namespace)["state"] == "succeeded"
