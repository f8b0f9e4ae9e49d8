# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The objects of the watch: what its pods get, and above all what they do not get."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._role.program_text import without_docstrings
from plugins.module_utils._role.watch_options import SECRET_KEYS
from plugins.module_utils._watch.configuration import parse_configuration

from .rendering import evaluate, objects

UTILS = Path(__file__).resolve().parents[4] / "plugins" / "module_utils"
CHANNELS = [
    {"kind": "ntfy", "secret": "a-phone", "priority": "max"},
    {"name": "post", "kind": "mail", "host": "mail.lan", "from": "a@home.example", "to": ["b@home.example"]},
    {"kind": "ping", "secret": "a-switch"},
]
EGRESS = [{"cidr": "192.168.2.10/32", "port": 443}, {"namespace": "ntfy", "labels": {"app": "ntfy"}, "port": "80"}]
WATCHED = {
    "postgres_backup_watch": True,
    "postgres_backup_watch_image": "tools:1",
    "postgres_backup_watch_channels": CHANNELS,
    "postgres_backup_watch_egress": EGRESS,
}
NAME = "postgres-backup-watch"


def watch(kind: str, **variables: Any) -> dict[str, Any]:
    (made,) = (
        each
        for each in objects(**WATCHED, **variables)
        if each["kind"] == kind and each["metadata"]["name"].endswith("-watch")
    )
    return made


def pod(**variables: Any) -> dict[str, Any]:
    spec: dict[str, Any] = watch("CronJob", **variables)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def test_without_a_watch_nothing_changes() -> None:
    assert not any("watch" in json.dumps(made["metadata"]) for made in objects())
    added = {(made["kind"], made["metadata"]["name"]) for made in objects(**WATCHED)}
    added -= {(made["kind"], made["metadata"]["name"]) for made in objects()}
    assert added == {("CronJob", NAME), ("ConfigMap", NAME), ("NetworkPolicy", NAME)}
    assert [each for each in objects(**WATCHED) if each["metadata"]["name"] != NAME] == objects()


def test_the_pod_has_no_password_and_writes_only_to_its_folder() -> None:
    spec = pod()
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    (container,), (prepare,) = spec["containers"], spec["initContainers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    assert writable == {"/watch", "/tmp"}
    assert mounts["/watch"]["subPath"] == NAME.replace("-watch", ".watch") and mounts["/backups"]["readOnly"] is True
    variables = {entry["name"] for entry in container["env"]}
    assert not variables & {"PGPASSWORD", "POSTGRES_BACKUP_HOST", "POSTGRES_BACKUP_USER"}
    assert "env" not in prepare
    for each in (container, prepare):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_secrets_are_files_that_may_be_missing() -> None:
    assert "a-phone" not in json.dumps(pod()["containers"])
    (projected,) = (volume["projected"]["sources"] for volume in pod()["volumes"] if volume["name"] == "secrets")
    assert [source["secret"]["name"] for source in projected] == ["a-phone", "a-switch"]
    assert all(source["secret"]["optional"] for source in projected)
    paths = [item["path"] for source in projected for item in source["secret"]["items"]]
    assert paths == [f"{number}/{key}" for number in (0, 2) for key in SECRET_KEYS]


def test_the_secret_of_a_key_that_is_not_mounted() -> None:
    assert evaluate("{{ __postgres_backup_watch_keys }}") == list(SECRET_KEYS)


def test_the_program_is_that_of_the_collection() -> None:
    data = watch("ConfigMap")["data"]
    (program,) = (volume["configMap"] for volume in pod()["volumes"] if volume["name"] == "program")
    for item in program["items"]:
        _, _, name = item["path"].partition("/module_utils/")
        assert item["key"] == "watch.json" or data[item["key"]] == without_docstrings((UTILS / name).read_text())
    assert {item["key"] for item in program["items"]} == set(data)
    # An annotation has a copy of the object (script_text.py).
    assert len(json.dumps(watch("ConfigMap"))) < 240 * 1024


def test_the_configuration_is_read_by_the_program() -> None:
    content = json.loads(
        watch("ConfigMap", postgres_backup_drill_schedule="0 4 * * 0", postgres_backup_suspend=True)["data"][
            "watch.json"
        ]
    )
    found = parse_configuration(content, "/secrets", datetime(2026, 11, 22, tzinfo=UTC))
    assert (found.installation, found.max_age, found.digest) == (
        "data/postgres-backup",
        timedelta(hours=26),
        timedelta(days=7),
    )
    assert (found.drill_schedule, found.is_suspended, found.period) == ("0 4 * * 0", True, timedelta(minutes=30))
    assert [(each.name, each.kind, each.secret, each.folder) for each in found.channels] == [
        ("ntfy", "ntfy", "a-phone", "/secrets/0"),
        ("post", "mail", "", "/secrets/1"),
        ("ping", "ping", "a-switch", "/secrets/2"),
    ]
    assert found.channels[0].options == {"priority": "max"}
    assert found.channels[1].options == {"host": "mail.lan", "from": "a@home.example", "to": ["b@home.example"]}


def test_the_network_policy_allows_the_hosts_and_dns() -> None:
    spec = watch("NetworkPolicy")["spec"]
    assert spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "watch"
    assert spec["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in spec
    ports = [(rule["ports"][-1]["port"], rule.get("to")) for rule in spec["egress"]]
    assert ports == [
        (53, None),
        (5353, [{"namespaceSelector": {}}]),
        (443, [{"ipBlock": {"cidr": "192.168.2.10/32"}}]),
        (
            80,
            [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ntfy"}},
                    "podSelector": {"matchLabels": {"app": "ntfy"}},
                }
            ],
        ),
    ]


def test_a_suspended_installation_is_watched() -> None:
    assert "suspend" not in watch("CronJob", postgres_backup_suspend=True)["spec"]


def test_what_is_removed_belongs_to_this_watch() -> None:
    """An installation may have the name of the CronJob of another one's watch."""
    unwanted = evaluate("{{ __postgres_backup_unwanted }}")
    found = [each for each in unwanted if each["metadata"]["name"] == NAME]
    assert [each["kind"] for each in found] == ["CronJob", "ConfigMap", "NetworkPolicy"]
    for each in found:
        assert each["metadata"]["labels"]["app.kubernetes.io/component"] == "watch"
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "postgres-backup"
    assert not any(each["metadata"]["name"] == NAME for each in evaluate("{{ __postgres_backup_unwanted }}", **WATCHED))


@pytest.mark.parametrize("share", [{}, {"server": "nas.lan", "path": "/volume1/x"}])
def test_the_watch_expects_the_mount_of_the_backups(share: dict[str, str]) -> None:
    (container,) = pod(postgres_backup_nfs=share)["containers"]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert values["POSTGRES_BACKUP_EXPECTED_MOUNT"] == ("nas.lan:/volume1/x" if share else "any")
