# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""postgres_backup_state=rendered: the manifests, without a cluster."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.module_utils._role.script_text import ANNOTATIONS_LIMIT_BYTES
from tests.kubectl_copy import copy_bytes

from .rendering import evaluate, objects, render

VARIABLES = {
    "postgres_backup_server": "none",
    "postgres_backup_image": "registry.example/postgresql:18",
    "postgres_backup_storage_class": "nfs-client",
}
MANIFESTS = Path("applications/postgres")
PRUNE, SUBSTITUTE = "kustomize.toolkit.fluxcd.io/prune", "kustomize.toolkit.fluxcd.io/substitute"
SYNC = "argocd.argoproj.io/sync-options"
VOLUMES = {"PersistentVolume", "PersistentVolumeClaim"}


def written(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def api_server(tmp_path: Path) -> Any:
    """A port that a kubeconfig names as the API server, and that nobody may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.01)
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{listener.getsockname()[1]}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [cluster],
                    "contexts": [context],
                    "current-context": "c",
                    "users": [{"name": "u", "user": {}}],
                }
            )
        )
        yield {"KUBECONFIG": str(kubeconfig)}
        with pytest.raises(TimeoutError):
            listener.accept()


def test_same_bytes_twice_without_a_cluster(site: Any, api_server: dict[str, str], tmp_path: Path) -> None:
    variables = VARIABLES | {
        "postgres_backup_state": "rendered",
        "postgres_backup_applied_by": "flux",
        "postgres_backup_drill_schedule": "@weekly",
        "postgres_backup_pod_labels": {"b": "1", "a": "2", "c": "3"},
        "postgres_backup_drill_settings": {"z": 1, "a": 2},
    }
    before = set(written(tmp_path))
    first = site(env=api_server | {"PYTHONHASHSEED": "1"}, **variables)
    assert first.returncode == 0, first.stdout + first.stderr
    files = written(tmp_path)
    names = {"backup-pvc.yaml", "backup-cronjob.yaml", "kustomization.yaml", "README.md"}
    runbooks = Path("docs/runbooks")
    expected = {MANIFESTS / name for name in names} | {runbooks / "postgres-backup.md", runbooks / "restore-kit.sh"}
    assert set(files) - before == expected
    kustomization = yaml.safe_load(files[MANIFESTS / "kustomization.yaml"])
    assert set(kustomization["resources"]) == {"backup-pvc.yaml", "backup-cronjob.yaml"}
    assert b"without access to the cluster" in files[runbooks / "postgres-backup.md"]
    for name in kustomization["resources"]:
        for made in yaml.safe_load_all(files[MANIFESTS / name]):
            assert made["kind"] != "Secret"

    for path in expected:
        (tmp_path / path).unlink()
    second = site(env=api_server | {"PYTHONHASHSEED": "2"}, **variables)
    assert second.returncode == 0, second.stdout + second.stderr
    assert written(tmp_path) == files


def test_the_manifests_have_what_the_role_applies() -> None:
    """With each part that has a ConfigMap: a program and its configuration, which has no line break at its end."""
    variables = VARIABLES | {
        "postgres_backup_tools_image": "tools:1",
        "postgres_backup_drill_schedule": "@weekly",
        "postgres_backup_metrics": True,
        "postgres_backup_dashboard": True,
        "postgres_backup_watch": True,
        "postgres_backup_watch_channels": [{"name": "phone", "kind": "ntfy", "secret": "ntfy"}],
        "postgres_backup_copies": [
            {"name": "usb", "kind": "claim", "claim_name": "usb"},
            {"name": "nas", "kind": "sftp", "secret": "ssh", "host": "nas", "user": "backup"},
        ],
    }
    applied = objects(**variables)
    made = {each["metadata"]["name"]: set(each["data"]) for each in applied if each["kind"] == "ConfigMap"}
    assert (
        made["postgres-backup-copy"] >= {"copy.json", "copy-usb.json"} and "watch.json" in made["postgres-backup-watch"]
    )
    written_objects = [
        each
        for name in ("backup-pvc.yaml.j2", "backup-cronjob.yaml.j2")
        for each in yaml.safe_load_all(render(name, **variables, __postgres_backup_objects=applied))
        if each
    ]
    assert written_objects == applied
    sizes = {each["metadata"]["name"]: copy_bytes(each) for each in applied}
    assert max(sizes.values()) < ANNOTATIONS_LIMIT_BYTES - 2048, sizes


def test_one_failure_names_each_variable_that_is_missing(site: Any, api_server: dict[str, str], tmp_path: Path) -> None:
    done = site(env=api_server, postgres_backup_state="rendered", postgres_backup_server_network_policy=True)
    assert done.returncode != 0
    message = done.stdout + done.stderr
    for name in ("applied_by", "image", "server_pods", "storage_class"):
        assert f"postgres_backup_{name}: expected " in message
    assert "postgres_backup_host, postgres_backup_port, postgres_backup_user, " in message
    assert "Set postgres_backup_server to none if their defaults are right." in message
    assert not (tmp_path / MANIFESTS).exists()


@pytest.mark.weekly
def test_somebody_elses_kustomization_stays(site: Any, api_server: dict[str, str], tmp_path: Path) -> None:
    variables = VARIABLES | {"postgres_backup_state": "rendered", "postgres_backup_applied_by": "kubectl"}
    (tmp_path / MANIFESTS).mkdir(parents=True)
    own = tmp_path / MANIFESTS / "kustomization.yml"
    own.write_text("resources: [server.yaml]\n")
    refused = site(env=api_server, **variables)
    assert refused.returncode != 0
    assert f"somebody else, found {own}" in refused.stdout + refused.stderr
    own.write_text("resources: [server.yaml, backup-pvc.yaml, backup-cronjob.yaml]\n")
    done = site(env=api_server, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Not changed: {own}" in done.stdout
    assert not (tmp_path / MANIFESTS / "kustomization.yaml").exists()
    assert own.read_text() == "resources: [server.yaml, backup-pvc.yaml, backup-cronjob.yaml]\n"


@pytest.mark.parametrize(
    ("text", "is_ours"),
    [("# Written by the Ansible role homelab.postgres_backup.postgres_backup.\n", True), ("", False)],
)
def test_kustomization_is_deleted_with_the_other_files_if_the_role_wrote_it(
    tmp_path: Path, text: str, is_ours: bool
) -> None:
    path = tmp_path / "kustomization.yaml"
    paths = evaluate("{{ __postgres_backup_file_paths }}", postgres_backup_manifest_dir=str(tmp_path))
    assert str(path) not in paths
    path.write_text(text)
    paths = evaluate("{{ __postgres_backup_file_paths }}", postgres_backup_manifest_dir=str(tmp_path))
    assert (str(path) in paths) == is_ours


def annotations_of(made: dict[str, Any]) -> dict[str, str]:
    return made["metadata"].get("annotations") or {}


@pytest.mark.parametrize("applied_by", ["", "kubectl"])
def test_kubectl_needs_no_annotations(applied_by: str) -> None:
    made = objects(postgres_backup_applied_by=applied_by, postgres_backup_drill_schedule="@weekly")
    assert all(annotations_of(each) == {} for each in made)
    assert [each["spec"]["suspend"] for each in made if each["kind"] == "CronJob"] == [False, False]


@pytest.mark.parametrize("applied_by", ["argocd", "flux"])
def test_volume_is_not_pruned(applied_by: str) -> None:
    expected = {"argocd": {SYNC: "Prune=false,Delete=false"}, "flux": {PRUNE: "disabled"}}[applied_by]
    share = {"server": "nas", "path": "/backups"}
    made = objects(postgres_backup_applied_by=applied_by, postgres_backup_nfs=share)
    assert {each["kind"]: annotations_of(each) for each in made if each["kind"] in VOLUMES} == dict.fromkeys(
        VOLUMES, expected
    )
    assert not any(expected.keys() & annotations_of(each).keys() for each in made if each["kind"] not in VOLUMES)


def test_flux_does_not_replace_text() -> None:
    made = objects(postgres_backup_applied_by="flux", postgres_backup_drill_schedule="@weekly", **VARIABLES)
    texts = [each for each in made if each["kind"] in {"ConfigMap", "CronJob"}]
    assert len(texts) == 5
    assert all(annotations_of(each)[SUBSTITUTE] == "disabled" for each in texts)
    assert annotations_of(made[-1])["postgres-backup.homelab/image"] == "chosen"


@pytest.mark.parametrize("applied_by", ["argocd", "flux"])
def test_schedule_that_somebody_suspends_is_not_reverted(applied_by: str) -> None:
    variables: dict[str, Any] = {
        "postgres_backup_applied_by": applied_by,
        "postgres_backup_drill_schedule": "@weekly",
    }
    for made in objects(**variables):
        assert "suspend" not in made.get("spec", {})
    suspended = [each for each in objects(postgres_backup_suspend=True, **variables) if each["kind"] == "CronJob"]
    assert [each["spec"]["suspend"] for each in suspended] == [True, True]


@pytest.mark.parametrize(
    ("applied_by", "command"),
    [
        ("", "kubectl patch"),
        ("argocd", "kubectl patch"),
        # A change by kubectl under its usual name is reverted.
        ("flux", "kubectl patch --field-manager=flux-client-side-apply"),
    ],
)
def test_runbook_suspends_in_a_way_that_stays(applied_by: str, command: str) -> None:
    assert evaluate("{{ __postgres_backup_kubectl_patch }}", postgres_backup_applied_by=applied_by) == command
    (kit,) = (
        each for each in objects(postgres_backup_applied_by=applied_by) if each["metadata"]["name"].endswith("-kit")
    )
    assert kit["data"]["RESTORE.md"].count(f"\n{command} cronjob ") == 2


def test_policies_select_the_pods_that_are_set() -> None:
    variables = {
        "postgres_backup_network_policy": True,
        "postgres_backup_server_network_policy": True,
        "postgres_backup_server_pods": {"labels": {"role": "primary"}, "port": 6432},
    }
    made = {each["metadata"]["name"]: each for each in objects(**variables) if each["kind"] == "NetworkPolicy"}
    rule = made["postgres-backup"]["spec"]["egress"][-1]
    assert rule["ports"] == [{"protocol": "TCP", "port": 6432}]
    assert rule["to"][0]["podSelector"] == {"matchLabels": {"role": "primary"}}
    server = made["postgres-backup-server"]["spec"]
    assert server["podSelector"] == {"matchLabels": {"role": "primary"}}
    assert server["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 6432}]
