# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The objects of the restore drills: what their pods get, and above all what they do not get."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from .rendering import cronjob, evaluate, objects

SCHEDULED = {"postgres_backup_drill_schedule": "0 4 * * 0"}
DRILL = "postgres-backup-drill"


def drill(**variables: Any) -> dict[str, Any]:
    (made,) = (
        each
        for each in objects(**SCHEDULED, **variables)
        if each["kind"] == "CronJob" and each["metadata"]["labels"]["app.kubernetes.io/component"] == "drill"
    )
    return made


def pod(**variables: Any) -> dict[str, Any]:
    spec: dict[str, Any] = drill(**variables)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def containers(**variables: Any) -> dict[str, dict[str, Any]]:
    spec = pod(**variables)
    return {each["name"]: each for each in (*spec["initContainers"], *spec["containers"])}


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


@pytest.mark.parametrize("scheduled", [{}, SCHEDULED])
def test_drill_network_policy_is_always_made(scheduled: dict[str, Any]) -> None:
    (policy,) = (made for made in objects(**scheduled) if made["kind"] == "NetworkPolicy")
    assert policy["metadata"]["name"] == DRILL
    assert policy["spec"] == {
        "podSelector": {
            "matchLabels": {
                "app.kubernetes.io/instance": "postgres-backup",
                "app.kubernetes.io/component": "drill",
            }
        },
        "policyTypes": ["Ingress", "Egress"],
    }


def test_drill_without_a_schedule_is_not_installed() -> None:
    assert [made["metadata"]["name"] for made in objects() if made["kind"] == "CronJob"] == ["postgres-backup"]


def test_drill_schedule() -> None:
    made = drill(postgres_backup_suspend=True, postgres_backup_time_zone="Europe/Berlin")
    backup = cronjob(postgres_backup_suspend=True, postgres_backup_time_zone="Europe/Berlin")
    spec, job = made["spec"], made["spec"].pop("jobTemplate")["spec"]
    others = backup["spec"]
    del others["jobTemplate"]
    assert spec == {**others, "schedule": "0 4 * * 0"}
    assert (spec["suspend"], spec["timeZone"], spec["concurrencyPolicy"]) == (True, "Europe/Berlin", "Forbid")
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (1, "Never")
    assert [rule["action"] for rule in job["podFailurePolicy"]["rules"]] == ["Ignore", "FailJob", "FailJob"]
    assert (job["activeDeadlineSeconds"], job["ttlSecondsAfterFinished"]) == (85800, 86400)


def test_drill_pod_is_like_the_backup_pod() -> None:
    given = {
        "postgres_backup_node_selector": {"nas": "true"},
        "postgres_backup_tolerations": [{"key": "nas", "operator": "Exists"}],
        "postgres_backup_affinity": {"nodeAffinity": {}},
        "postgres_backup_image_pull_secrets": ["pull"],
        "postgres_backup_image": "other:1",
        "postgres_backup_resources": {"limits": {"cpu": 0.5}},
        "postgres_backup_pod_annotations": {"a": "b"},
        "postgres_backup_pod_labels": {"client": "true"},
    }
    backup = cronjob(**given)["spec"]["jobTemplate"]["spec"]["template"]
    made = drill(**given)["spec"]["jobTemplate"]["spec"]["template"]
    own = {"initContainers", "containers", "volumes", "restartPolicy"}
    assert {key: value for key, value in made["spec"].items() if key not in own} == {
        key: value for key, value in backup["spec"].items() if key not in own
    }
    component = {"app.kubernetes.io/component": "drill"}
    assert made["metadata"] == {**backup["metadata"], "labels": {**backup["metadata"]["labels"], **component}}
    (theirs,) = backup["spec"]["containers"]
    for container in (*made["spec"]["initContainers"], *made["spec"]["containers"]):
        for key in ("image", "imagePullPolicy", "command", "securityContext", "resources"):
            assert container[key] == theirs[key], key


def test_drill_pod_has_no_credential_and_no_server() -> None:
    spec = pod(postgres_backup_ssl_ca={"secret": "ca"}, postgres_backup_sslmode="require")
    text = json.dumps(spec)
    assert not any(word in text for word in ("secret", "PGPASSWORD", "postgres-postgresql", "PASSWORD"))
    for container in (*spec["initContainers"], *spec["containers"]):
        assert "envFrom" not in container
        sources = [entry["valueFrom"].keys() for entry in container["env"] if "valueFrom" in entry]
        assert all(keys == {"fieldRef"} for keys in sources)
        assert not {"POSTGRES_BACKUP_HOST", "POSTGRES_BACKUP_USER"} & set(environment(container))
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert [volume["name"] for volume in spec["volumes"]] == ["backups", "script", "tmp", "drill"]


def test_drill_container_cannot_write_to_the_volume() -> None:
    made = containers()
    assert {name: container["args"] for name, container in made.items()} == {
        "prepare": ["_drill_prepare"],
        "drill": ["drill"],
        "record": ["_drill_record"],
    }
    mounts = {name: {each["mountPath"]: each for each in container["volumeMounts"]} for name, container in made.items()}
    assert [mounts[name]["/backups"].get("readOnly", False) for name in made] == [False, True, False]
    assert mounts["drill"]["/etc/passwd"] == {
        "name": "tmp",
        "mountPath": "/etc/passwd",
        "subPath": "passwd",
        "readOnly": True,
    }
    for name in ("prepare", "record"):
        assert not {"/etc/passwd", "/drill"} & mounts[name].keys()


def test_drill_environment() -> None:
    settings = {"shared_preload_libraries": "a,$(b)", "jit": False, "x.y": 3}
    for container in containers(
        postgres_backup_drill_settings=settings,
        postgres_backup_drill_size_limit="1.5Gi",
        postgres_backup_time_limit="90m",
    ).values():
        told = environment(container)
        assert told["POSTGRES_BACKUP_DRILL_SETTINGS"].splitlines() == [
            "shared_preload_libraries = a,$$(b)",
            "jit = off",
            "x.y = 3",
        ]
        assert told["POSTGRES_BACKUP_DRILL_SIZE_LIMIT"] == str(3 * 2**29)
        assert (told["TMPDIR"], told["POSTGRES_BACKUP_TIME_LIMIT"]) == ("/tmp", "90m")
        assert told["POSTGRES_BACKUP_DRILL_RESULT"].startswith("/tmp/")


def test_only_the_drill_has_another_image() -> None:
    images = {name: container["image"] for name, container in containers(postgres_backup_drill_image="b:19").items()}
    assert images["drill"] == "b:19" and images["prepare"] == images["record"] != "b:19"
    assert {container["image"] for container in containers().values()} == {images["record"]}


def test_texts_for_databases() -> None:
    """Any character, for `printf %b` in a shell, which is not Kubernetes' $(NAME)."""
    texts = {'"ü"\n': 'public, "$user"', "$(b) c": "SELECT '\\';\n"}
    variables = {f"postgres_backup_drill_{name}": texts for name in ("search_path", "before_sql", "after_sql")}
    pod_containers = containers(postgres_backup_drill_image="b:19", **variables)
    values = environment(pod_containers["drill"])
    assert values["POSTGRES_BACKUP_DRILL_UPGRADE"] == "yes"
    for name in ("SEARCH_PATH", "BEFORE_SQL", "AFTER_SQL"):
        lines = values[f"POSTGRES_BACKUP_DRILL_{name}"].split("\n")
        script = r'for text; do printf "%b\n" "$text."; done'
        words = [word for line in lines for word in line.split(" ")]
        done = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, text=True, check=True)
        assert done.stdout == "".join(f"{text}.\n" for pair in texts.items() for text in pair)
    # Of another installation's version, which does not know them.
    names = {name for name in environment(pod_containers["record"]) if "DRILL" in name}
    assert names == {"POSTGRES_BACKUP_DRILL_RESULT", "POSTGRES_BACKUP_DRILL_DATA", "POSTGRES_BACKUP_DRILL_SIZE_LIMIT"}
    assert not {name for name in environment(containers()["drill"]) if "SQL" in name or "UPGRADE" in name}


@pytest.mark.parametrize(
    ("size", "size_bytes"),
    [("10Gi", 10 * 2**30), ("500M", 500_000_000), (1024, 1024), ("0.5Ki", 512), ("1.001", 2)],
)
def test_drill_size_limit_in_bytes(size: str | int, size_bytes: int) -> None:
    told = environment(containers(postgres_backup_drill_size_limit=size)["drill"])
    assert told["POSTGRES_BACKUP_DRILL_SIZE_LIMIT"] == str(size_bytes)


@pytest.mark.parametrize(("in_memory", "medium"), [(False, {}), ("true", {"medium": "Memory"})])
def test_drill_data_volume(in_memory: bool | str, medium: dict[str, str]) -> None:
    volume = pod(postgres_backup_drill_in_memory=in_memory)["volumes"][-1]
    assert volume == {"name": "drill", "emptyDir": {"sizeLimit": "10Gi", **medium}}


def names(unwanted: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Without those of the watch and of the copies (test_watch.py, test_copy.py)."""
    found = [(each["kind"], each["metadata"]["name"]) for each in unwanted]
    return [(kind, name) for kind, name in found if not name.endswith(("-watch", "-copy", "-copy-mounted"))]


def test_drill_is_removed_when_not_asked_for() -> None:
    expression = "{{ __postgres_backup_unwanted }}"
    policy = ("NetworkPolicy", "postgres-backup")
    server = ("NetworkPolicy", "postgres-backup-server")
    script = ("ConfigMap", f"{DRILL}-script")
    monitoring = [("PrometheusRule", "postgres-backup"), ("ConfigMap", "postgres-backup-dashboard")]
    assert names(evaluate(expression)) == [("CronJob", DRILL), script, policy, server, *monitoring]
    assert names(evaluate(expression, postgres_backup_network_policy=True, **SCHEDULED)) == [server, *monitoring]


def refused(*errors: str | None) -> list[str]:
    made = objects(**SCHEDULED)
    checked: list[dict[str, Any]] = [{"error": {"msg": text}} if text else {"result": {}} for text in errors]
    padding: list[dict[str, Any]] = [{"result": {}}] * (len(made) - len(checked))
    nothing: dict[str, Any] = {}
    messages = evaluate(
        "{{ __postgres_backup_rejections }}",
        __postgres_backup_objects=made,
        __postgres_backup_check={"result": {"results": [*padding, *checked]}},
        __postgres_backup_replacement=nothing,
        __postgres_backup_claim_info=nothing,
        __postgres_backup_class_info=nothing,
        **SCHEDULED,
    )
    return [str(message) for message in messages]


def test_api_rejection_of_the_drill_names_its_variable() -> None:
    (line,) = refused("spec.schedule: Invalid value", None)
    assert line.startswith("postgres_backup_drill_schedule: the API server refuses it")
    (line,) = refused("spec.volumes[3].emptyDir.sizeLimit: Invalid value", None)
    assert line.startswith("postgres_backup_drill_size_limit: ")


def test_api_rejection_of_both_cronjobs_is_printed_once() -> None:
    (line,) = refused("spec.tolerations: Invalid value", "spec.tolerations: Invalid value")
    assert line.startswith("postgres_backup_tolerations: the API server refuses it")
