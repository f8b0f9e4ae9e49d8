# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The objects that the role makes of its variables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plugins.module_utils._role.script_text import deployed_text, restore_kit
from tests.script.support.script_files import files_of

from .rendering import ROLE, cronjob, environment, evaluate, objects, render

QUANTITIES = [
    ("10Gi", "10Gi"),
    ("10240Mi", "10Gi"),
    ("1024Gi", "1Ti"),
    ("0.5Gi", "512Mi"),
    ("1.5Gi", "1536Mi"),
    ("1025Mi", "1025Mi"),
    ("100m", "100m"),
    ("0.1", "100m"),
    ("1000m", "1"),
    ("1500m", "1500m"),
    (1, "1"),
    (2.5, "2500m"),
    ("1000", "1k"),
    ("1000G", "1T"),
    ("1500", "1500"),
]


def pod(**variables: Any) -> dict[str, Any]:
    spec: dict[str, Any] = cronjob(**variables)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(("given", "canonical"), QUANTITIES)
def test_quantities_are_written_as_the_api_server_writes_them(given: str | float, canonical: str) -> None:
    (claim, *_) = objects(postgres_backup_storage_size=given)
    assert claim["spec"]["resources"]["requests"]["storage"] == canonical


def test_objects_of_the_defaults() -> None:
    assert [(made["kind"], made["metadata"]["name"]) for made in objects()] == [
        ("PersistentVolumeClaim", "postgres-backup"),
        ("ConfigMap", "postgres-backup-script"),
        ("ConfigMap", "postgres-backup-kit"),
        ("ServiceAccount", "postgres-backup"),
        ("NetworkPolicy", "postgres-backup-drill"),
        ("CronJob", "postgres-backup"),
    ]


def test_every_object_has_the_labels_and_its_namespace() -> None:
    all_of_them = {"postgres_backup_network_policy": True, "postgres_backup_drill_schedule": "@weekly"}
    for made in objects(postgres_backup_namespace="db", **all_of_them):
        assert made["metadata"]["namespace"] == "db"
        assert made["metadata"]["labels"] == {
            "app.kubernetes.io/name": "postgres",
            "app.kubernetes.io/instance": "postgres-backup",
            "app.kubernetes.io/component": "drill" if "-drill" in made["metadata"]["name"] else "backup",
            "app.kubernetes.io/part-of": "home-lab",
        }


def test_the_config_maps_hold_the_script_without_its_comments() -> None:
    """Each CronJob has what its commands need."""
    (run, drill, _) = (
        made for made in objects(postgres_backup_drill_schedule="@weekly") if made["kind"] == "ConfigMap"
    )
    for config_map, commands in (
        (run, ("run", "list", "prune")),
        (drill, ("drill", "_drill_prepare", "_drill_record")),
    ):
        names = files_of(*commands)
        assert config_map["data"] == {name: deployed_text((ROLE / "files" / name).read_text(), name) for name in names}
    assert {"backup.sh", "run.sh", "sections.awk"} < run["data"].keys()
    assert {"backup.sh", "drill.sh", "sections.awk"} < drill["data"].keys()
    assert {"drill.sh", "restore.sh"}.isdisjoint(run["data"])


def test_the_kit_is_next_to_the_backups_unless_it_is_not_wanted() -> None:
    (kit,) = (made for made in objects() if made["metadata"]["name"] == "postgres-backup-kit")
    texts = {name: (ROLE / "files" / name).read_text() for name in files_of("_kit")}
    assert kit["data"].keys() == {"restore-kit.sh", "RESTORE.md"}
    assert kit["data"]["restore-kit.sh"] == restore_kit(texts)
    spec = pod()
    assert {"name": "kit", "configMap": {"name": "postgres-backup-kit", "optional": True}} in spec["volumes"]
    (container,) = spec["containers"]
    assert {"name": "kit", "mountPath": "/opt/postgres-backup-kit", "readOnly": True} in container["volumeMounts"]
    off = objects(postgres_backup_restore_kit=False)
    assert "kit" not in json.dumps([made for made in off if made["kind"] != "ConfigMap"])
    assert [made["metadata"]["name"] for made in off if made["kind"] == "ConfigMap"] == ["postgres-backup-script"]


def test_the_page_next_to_the_backups_has_the_names_of_the_installation_and_no_password() -> None:
    page = render(
        "RESTORE.md.j2",
        postgres_backup_name="nightly",
        postgres_backup_namespace="db",
        postgres_backup_claim_name="claim-of-mine",
        postgres_backup_host="pg.db.svc",
        postgres_backup_restore_user="owner",
        **{"postgres_backup_restore_secret_name": "secret-of-owner"},
        postgres_backup_nfs={"server": "nas", "path": "/srv/backups"},
    )
    # copy_kit compares this line.
    assert page.splitlines()[0].startswith("<!-- ") and " for db/nightly." in page.splitlines()[0]
    for name in ("claim-of-mine", "pg.db.svc", "PGUSER=owner", "secret-of-owner", "nas:/srv/backups", "-n db"):
        assert name in page, name
    assert "PGPASSWORD=...\n" in page


def test_the_schedule_of_the_defaults() -> None:
    spec = cronjob()["spec"]
    job = spec.pop("jobTemplate")["spec"]
    assert spec == {
        "schedule": "0 2 * * *",
        "timeZone": "Etc/UTC",
        "suspend": False,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 36000,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
    }
    assert (job["backoffLimit"], job["ttlSecondsAfterFinished"]) == (3, 86400)
    # The status as the API server writes it, so that a second run finds no difference.
    assert job["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "backup", "operator": "In", "values": [2]}},
    ]
    assert 82800 < job["activeDeadlineSeconds"] < 86400


def test_the_pod_passes_the_restricted_standard_with_a_read_only_root() -> None:
    spec = pod()
    (container,) = spec["containers"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1001,
        "fsGroup": 1001,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert spec["restartPolicy"] == "Never"


def test_user_may_be_assigned_by_the_platform() -> None:
    context = pod(postgres_backup_run_as_user=None)["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_no_password_but_a_reference_is_in_the_environment() -> None:
    variables = environment(postgres_backup_secret_name="elsewhere", postgres_backup_secret_key="key")  # noqa: S106 - a name, no password
    assert variables["PGPASSWORD"] == {"secretKeyRef": {"name": "elsewhere", "key": "key"}}


def test_the_environment_of_the_defaults() -> None:
    variables = environment()
    del variables["PGPASSWORD"], variables["POSTGRES_BACKUP_POD"], variables["POSTGRES_BACKUP_JOB"]
    assert variables == {
        "POSTGRES_BACKUP_NAME": "postgres-backup",
        "POSTGRES_BACKUP_DIR": "/backups",
        "POSTGRES_BACKUP_EXPECTED_MOUNT": "any",
        "POSTGRES_BACKUP_HOST": "postgres-postgresql.data.svc.cluster.local",
        "POSTGRES_BACKUP_PORT": "5432",
        "POSTGRES_BACKUP_USER": "postgres",
        "POSTGRES_BACKUP_DATABASE": "postgres",
        "POSTGRES_BACKUP_COMPRESSOR": "auto",
        "POSTGRES_BACKUP_FILE_MODE": "0640",
        "POSTGRES_BACKUP_KEEP_LAST": "7",
        "POSTGRES_BACKUP_KEEP_DAILY": "7",
        "POSTGRES_BACKUP_KEEP_WEEKLY": "0",
        "POSTGRES_BACKUP_KEEP_MONTHLY": "0",
        "POSTGRES_BACKUP_KEEP_YEARLY": "0",
        "POSTGRES_BACKUP_LOCK_TIMEOUT": "15m",
        "POSTGRES_BACKUP_TIME_LIMIT": "6h",
    }


def test_kubernetes_expands_nothing_in_the_values() -> None:
    variables = environment(
        postgres_backup_user="$(POSTGRES_BACKUP_DIR)$$",
        postgres_backup_extra_args=["--exclude-database=a$b", "--no-comments"],
    )
    assert variables["POSTGRES_BACKUP_USER"] == "$$(POSTGRES_BACKUP_DIR)$$$$"
    assert variables["POSTGRES_BACKUP_EXTRA_ARGS"] == "--exclude-database=a$$b\n--no-comments"


def test_what_to_dump_is_one_entry_a_line() -> None:
    variables = environment(
        postgres_backup_databases=["shop*", "größe"],
        postgres_backup_exclude_databases=["$(PGPASSWORD)"],
        postgres_backup_exclude_tables=[{"database": "shop", "table": 'public."Old $x"'}],
        postgres_backup_exclude_table_data=[
            {"database": "*", "table": "*.session"},
            {"database": "a b", "table": "\U0001f4be"},
        ],
        postgres_backup_dump_args=["-N", "cache", {"database": "shop", "args": ["-vE", "UTF8"]}, "--no-comments"],
        postgres_backup_extra_args=["--role", "backup"],
        postgres_backup_max_deletions=12,
        postgres_backup_allow_deletions="2026-12-31",
    )
    names = [name for name in environment() if name in variables]
    assert {name: value for name, value in variables.items() if name not in names} == {
        "POSTGRES_BACKUP_DATABASES": "shop*\ngröße",
        "POSTGRES_BACKUP_EXCLUDE_DATABASES": "$$(PGPASSWORD)",
        "POSTGRES_BACKUP_EXCLUDE_TABLES": 'shop\tpublic."Old $$x"',
        "POSTGRES_BACKUP_EXCLUDE_TABLE_DATA": "*\t*.session\na b\t\U0001f4be",
        "POSTGRES_BACKUP_DUMP_ARGS": (
            "*\t--exclude-schema=cache\nshop\t--verbose\nshop\t--encoding=UTF8\n*\t--no-comments"
        ),
        "POSTGRES_BACKUP_EXTRA_ARGS": "--role=backup",
        "POSTGRES_BACKUP_MAX_DELETIONS": "12",
        "POSTGRES_BACKUP_ALLOW_DELETIONS": "2026-12-31",
    }


def test_the_variables_that_determine_what_is_dumped_are_named_if_they_are_set() -> None:
    assert evaluate("{{ __postgres_backup_selection }}") == {}
    exclude = [{"database": "shop", "table": "log"}]
    selection = evaluate(
        "{{ __postgres_backup_selection }}",
        postgres_backup_exclude_tables=exclude,
        postgres_backup_extra_args=["--no-comments"],
        postgres_backup_max_deletions=3,
    )
    assert selection == {
        "postgres_backup_exclude_tables": exclude,
        "postgres_backup_extra_args": ["--no-comments"],
    }


def test_values_as_text_from_the_command_line() -> None:
    made = objects(
        postgres_backup_suspend="yes",
        postgres_backup_backoff_limit="5",
        postgres_backup_run_as_user="999",
        postgres_backup_network_policy="false",
        postgres_backup_port="5433",
    )
    assert [each["kind"] for each in made].count("NetworkPolicy") == 1
    spec = made[-1]["spec"]
    assert spec["suspend"] is True
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 5
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["securityContext"]["fsGroup"] == 999


@pytest.mark.parametrize("name", ["123", "null", "true", "0x1f", "1e3"])
def test_name_that_yaml_would_take_for_another_type(name: str) -> None:
    for made in objects(postgres_backup_name=name, postgres_backup_namespace=name):
        assert made["metadata"]["namespace"] == name
        assert made["metadata"]["labels"]["app.kubernetes.io/instance"] == name


def test_an_nfs_share_gets_a_volume_that_only_its_claim_can_have() -> None:
    nfs = {"server": "nas.lan", "path": "/volume1/backups/", "mount_options": ["nfsvers=4.1", "hard"]}
    volume, claim, *_ = objects(postgres_backup_nfs=nfs, postgres_backup_namespace="db", postgres_backup_claim_name="c")
    assert volume["metadata"]["name"] == "db-c"
    assert volume["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "10Gi"},
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "c", "namespace": "db"},
        "mountOptions": ["nfsvers=4.1", "hard"],
        "nfs": {"server": "nas.lan", "path": "/volume1/backups"},
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
    }
    assert (claim["spec"]["storageClassName"], claim["spec"]["volumeName"]) == ("", "db-c")
    assert environment(postgres_backup_nfs=nfs)["POSTGRES_BACKUP_EXPECTED_MOUNT"] == "nas.lan:/volume1/backups"


@pytest.mark.parametrize("server", ["fd00:10::5", "[fd00:10::5]"])
def test_nfs_server_with_an_ipv6_address(server: str) -> None:
    nfs = {"server": server, "path": "/volume1"}
    (volume,) = (made for made in objects(postgres_backup_nfs=nfs) if made["kind"] == "PersistentVolume")
    assert volume["spec"]["nfs"]["server"] == "fd00:10::5"
    assert environment(postgres_backup_nfs=nfs)["POSTGRES_BACKUP_EXPECTED_MOUNT"] == "[fd00:10::5]:/volume1"
    assert evaluate("{{ __postgres_backup_location }}", postgres_backup_nfs=nfs) == "[fd00:10::5]:/volume1"


@pytest.mark.parametrize("host", ["fd00:10::5", "[fd00:10::5]"])
def test_server_with_an_ipv6_address(host: str) -> None:
    assert environment(postgres_backup_host=host, postgres_backup_image="x")["POSTGRES_BACKUP_HOST"] == "fd00:10::5"


@pytest.mark.parametrize(("kind", "source"), [("secret", "secretName"), ("config_map", "name")])
def test_ca_is_mounted(kind: str, source: str) -> None:
    given = {"postgres_backup_ssl_ca": {kind: "server-ca"}, "postgres_backup_sslmode": "verify-full"}
    volume = {v["name"]: v for v in pod(**given)["volumes"]}["ca"]
    assert volume["secret" if kind == "secret" else "configMap"][source] == "server-ca"
    assert environment(**given)["POSTGRES_BACKUP_SSLROOTCERT"] == "/etc/postgres-backup/ca/ca.crt"
    assert environment(**given)["POSTGRES_BACKUP_SSLMODE"] == "verify-full"


def test_nodes_of_the_server_are_used_on_request() -> None:
    toleration = {"key": "dedicated", "operator": "Exists"}
    server = {"image": "pg:18", "port": 5432, "node_selector": {"pool": "db"}, "tolerations": [toleration]}
    unchanged = pod(__postgres_backup_server=server)
    assert "nodeSelector" not in unchanged and "tolerations" not in unchanged
    auto = {"postgres_backup_node_selector": "auto", "postgres_backup_tolerations": "auto"}
    spec = pod(__postgres_backup_server=server, **auto)
    assert (spec["nodeSelector"], spec["tolerations"]) == ({"pool": "db"}, [toleration])
    # A server whose pods may run anywhere, or outside the cluster.
    spec = pod(**auto)
    assert "nodeSelector" not in spec and "tolerations" not in spec
    chosen = {"postgres_backup_image": "pg:18", "postgres_backup_host": "db.data"}
    assert not evaluate("{{ __postgres_backup_looks_at_service }}", **chosen)
    assert evaluate("{{ __postgres_backup_looks_at_service }}", **chosen, **auto)


def test_pod_settings_are_passed_on() -> None:
    spec = pod(
        postgres_backup_node_selector={"nas": "true"},
        postgres_backup_tolerations=[{"key": "nas", "operator": "Exists"}],
        postgres_backup_affinity={"nodeAffinity": {}},
        postgres_backup_image_pull_secrets=["pull"],
        postgres_backup_image="other:1",
        postgres_backup_image_pull_policy="Always",
        postgres_backup_resources={"limits": {"cpu": 0.5}},
    )
    (container,) = spec["containers"]
    assert spec["nodeSelector"] == {"nas": "true"}
    assert spec["tolerations"] == [{"key": "nas", "operator": "Exists"}]
    assert spec["affinity"] == {"nodeAffinity": {}}
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert (container["image"], container["imagePullPolicy"]) == ("other:1", "Always")
    assert container["resources"] == {"limits": {"cpu": "500m"}}


def test_extra_labels_are_on_the_pods_only() -> None:
    made = cronjob(postgres_backup_pod_labels={"client": "true"}, postgres_backup_pod_annotations={"a": "b"})
    template = made["spec"]["jobTemplate"]["spec"]["template"]["metadata"]
    assert template["labels"]["client"] == "true"
    assert template["labels"]["app.kubernetes.io/component"] == "backup"
    assert template["annotations"] == {"a": "b"}
    assert "client" not in made["metadata"]["labels"]


def policies(**variables: Any) -> dict[str, dict[str, Any]]:
    return {made["metadata"]["name"]: made for made in objects(**variables) if made["kind"] == "NetworkPolicy"}


def test_pod_policy_allows_server_and_dns() -> None:
    policy = policies(postgres_backup_network_policy=True)["postgres-backup"]
    dns, dns_pods, server = policy["spec"]["egress"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy["spec"]
    assert {(port["protocol"], port["port"]) for port in dns["ports"]} == {("UDP", 53), ("TCP", 53)}
    # Of OpenShift's DNS server, and of no address outside the cluster.
    assert {(port["protocol"], port["port"]) for port in dns_pods["ports"]} == {("UDP", 5353), ("TCP", 5353)}
    assert dns_pods["to"] == [{"namespaceSelector": {}}]
    assert server["to"][0]["podSelector"] == {"matchLabels": {"app": "db"}}
    assert server["ports"] == [{"protocol": "TCP", "port": 5432}]


def test_server_policy_allows_these_pods_only() -> None:
    policy = policies(postgres_backup_server_network_policy=True)["postgres-backup-server"]
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "db"}}
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"][0]["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/instance": "postgres-backup",
        "app.kubernetes.io/component": "backup",
    }


def test_client_certificate_is_mounted_for_libpq() -> None:
    given = {"postgres_backup_ssl_cert": {"secret": "client", "key_key": "private"}}
    volume = {v["name"]: v for v in pod(**given)["volumes"]}["client-certificate"]
    # libpq accepts a key of root that its group may read; Kubernetes changes the group to that of fsGroup.
    assert volume["secret"] == {
        "secretName": "client",
        "defaultMode": 0o440,
        "items": [{"key": "tls.crt", "path": "tls.crt"}, {"key": "private", "path": "tls.key"}],
    }
    (container,) = pod(**given)["containers"]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "client-certificate")
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/postgres-backup/client", True)
    variables = environment(**given)
    assert variables["POSTGRES_BACKUP_SSLCERT"] == "/etc/postgres-backup/client/tls.crt"
    assert variables["POSTGRES_BACKUP_SSLKEY"] == "/etc/postgres-backup/client/tls.key"
    assert "PGPASSWORD" in variables


def test_without_a_client_certificate_nothing_refers_to_one() -> None:
    assert not any(name.endswith(("SSLCERT", "SSLKEY")) for name in environment())
    assert "client" not in json.dumps(pod()["volumes"])


def test_client_certificate_instead_of_a_password() -> None:
    given = {"postgres_backup_ssl_cert": {"secret": "client"}, "postgres_backup_secret_name": ""}
    assert "PGPASSWORD" not in environment(**given)
    assert "password" not in [v["name"] for v in pod(**given)["volumes"]]


HOSTS = [
    ("db", "data/db"),
    ("db.other", "other/db"),
    ("db.other.svc", "other/db"),
    ("db.other.svc.cluster.local.", "other/db"),
    ("db.other.svc.home.lan", "other/db"),
]


@pytest.mark.parametrize(("host", "service"), HOSTS)
def test_service_of_a_host(host: str, service: str) -> None:
    assert evaluate("{{ __postgres_backup_host_service | length > 0 }}", postgres_backup_host=host) is True
    assert evaluate("{{ __postgres_backup_service }}", postgres_backup_host=host) == service


@pytest.mark.parametrize("host", ["db.example.org", "10.0.0.1", "fd00::1"])
def test_host_without_a_service(host: str) -> None:
    assert evaluate("{{ __postgres_backup_host_service }}", postgres_backup_host=host) == {}


RETENTION = [
    ({}, "the last 7, the newest of each of the latest 7 days"),
    ({"keep_last": 0, "keep_daily": 0, "keep_yearly": 1}, "the newest of each of the latest year"),
    ({"keep_last": 3, "keep_daily": 0, "keep_within": "14d"}, "the last 3, all within 14d of the newest"),
]


@pytest.mark.parametrize(("policy", "text"), RETENTION)
def test_retention_policy_in_words(policy: dict[str, Any], text: str) -> None:
    given = {f"postgres_backup_{name}": value for name, value in policy.items()}
    assert evaluate("{{ __postgres_backup_retention_text }}", **given) == text


CSI = {"server": "nas", "share": "/volume1", "subdir": "x"}
LOCATIONS = [
    ({}, ""),
    ({"nfs": {"server": "nas", "path": "/volume1/x"}}, "nas:/volume1/x"),
    ({"csi": {"driver": "nfs.csi.k8s.io", "volumeAttributes": CSI}}, "nas:/volume1/x"),
    ({"csi": {"driver": "nfs.csi.k8s.io", "volumeAttributes": {"server": "nas", "share": "/volume1"}}}, "nas:/volume1"),
    ({"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"}}, ""),
    ({"hostPath": {"path": "/srv/x"}}, "/srv/x"),
    ({"local": {"path": "/mnt/x"}}, "/mnt/x"),
]


@pytest.mark.parametrize(("spec", "location"), LOCATIONS)
def test_location_of_the_backups_from_the_volume(spec: dict[str, Any], location: str) -> None:
    volume = {"resources": [{"metadata": {"name": "v"}, "spec": spec}]}
    prerequisites = {"volume": volume if spec else {}}
    assert evaluate("{{ __postgres_backup_location }}", __postgres_backup_prerequisites=prerequisites) == location


def test_location_of_the_backups_on_an_nfs_share() -> None:
    nfs = {"server": "nas", "path": "/volume1/x/"}
    variables = {"postgres_backup_nfs": nfs, "__postgres_backup_check": {"result": {"results": []}}}
    made = objects(postgres_backup_nfs=nfs)
    assert evaluate("{{ __postgres_backup_location }}", __postgres_backup_objects=made, **variables) == "nas:/volume1/x"
