# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the backups need in the cluster and is missing."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._role.prerequisites import missing_prerequisites

SERVER = {"selector": {"app": "db"}, "labels": {"app": "db", "pod": "0"}}
SECRET = {"readable": True, "found": True, "keys": ["password"]}
NO_SECRET = {"readable": True, "found": False, "keys": []}
UNREADABLE = {"readable": False, "found": False, "keys": []}
IMAGE = "postgres_backup_image: expected "
# As they are written; no private keys belong to them.
RECIPIENT, SSH_RECIPIENT = "age1qqqq", "ssh-ed25519 AAAA"


def variables(**values: Any) -> dict[str, Any]:
    names = {
        "name": "backup",
        "namespace": "data",
        "host": "db.servers",
        "port": 5432,
        "image": "",
        "secret_name": "db",
        "secret_key": "password",
        "ssl_ca": {},
        "ssl_cert": {},
        "server_network_policy": False,
        "node_selector": {},
        "tolerations": [],
        "server_pods": {},
        "alerts": "auto",
        "copies": [],
        "drill_identity_secret": "",
        "recipients": [RECIPIENT, f"{SSH_RECIPIENT} jane@laptop"],
        **values,
    }
    return {f"postgres_backup_{name}": value for name, value in names.items()}


def missing(
    variables: dict[str, Any],
    server: dict[str, Any],
    secret: dict[str, Any],
    ca: dict[str, Any] | None = None,
    **read: list[dict[str, Any]] | None,
) -> list[str]:
    """The messages; what is None was not read, or may not be read."""
    answers = {name: {} if read.get(name) is None else {"resources": read[name]} for name in ("namespace", "policies")}
    prerequisites = {
        "server": server,
        "secret": secret,
        "ca": ca or {},
        "namespace": answers["namespace"],
        "server_policies": answers["policies"],
    }
    return missing_prerequisites(variables, prerequisites)


def test_nothing_is_missing() -> None:
    assert missing(variables(), SERVER, SECRET) == []


@pytest.mark.parametrize("server", [{"unreadable": True}, {"problem": "selector"}, {"problem": "container"}])
def test_nodes_of_a_server_that_is_not_known(server: dict[str, Any]) -> None:
    """Otherwise the next run would remove what this one has set."""
    assert missing(variables(image="pg:18"), server, SECRET) == []
    (message,) = missing(variables(image="pg:18", node_selector="auto"), server, SECRET)
    assert message.startswith("postgres_backup_node_selector: expected a pod of the server that this user may read")
    (message,) = missing(variables(image="pg:18", tolerations="auto"), server, SECRET)
    assert message.startswith("postgres_backup_tolerations: ")
    assert missing(variables(node_selector="auto", tolerations="auto"), SERVER, SECRET) == []


def test_what_may_not_be_read_counts_as_present() -> None:
    needs = variables(ssl_ca={"secret": "ca"}, image="postgres:18", server_network_policy=True)
    assert missing(needs, {**SERVER, "unreadable": True}, UNREADABLE, ca=UNREADABLE) == []


SECRETS = [
    (NO_SECRET, "postgres_backup_secret_name: expected the Secret data/db with the server's password, found none. "),
    (
        {**SECRET, "keys": ["b", "a"]},
        "postgres_backup_secret_key: expected the key password in the Secret data/db, found a, b. ",
    ),
    ({**SECRET, "keys": []}, "postgres_backup_secret_key: expected the key password in the Secret data/db, found no "),
]


@pytest.mark.parametrize(("secret", "beginning"), SECRETS)
def test_the_password(secret: dict[str, Any], beginning: str) -> None:
    (message,) = missing(variables(), SERVER, secret)
    assert message.startswith(beginning)


# Facts about the server, and the expected message: without postgres_backup_image, and with it.
SERVERS: list[tuple[dict[str, Any], str, str | None]] = [
    (
        {"problem": "service", "found": "no such service"},
        "postgres_backup_host: expected the service servers/db behind db.servers, found no such service. ",
        "postgres_backup_host: ",
    ),
    (
        {"problem": "port", "found": "the ports 80"},
        "postgres_backup_port: expected the service servers/db to serve port 5432, found the ports 80. ",
        "postgres_backup_port: ",
    ),
    (
        {"problem": "selector", "found": "x"},
        f"{IMAGE}pods behind the service servers/db that show the server's image, found x. ",
        None,
    ),
    (
        {"problem": "pod", "found": "no pods"},
        "postgres_backup_host: expected a ready pod behind the service servers/db, found no pods. ",
        "postgres_backup_host: ",
    ),
    (
        {"problem": "container", "found": "pod db-0"},
        f"{IMAGE}a container behind port 5432 of the service servers/db, found pod db-0, none of which declares that ",
        None,
    ),
    (
        {"problem": "pooler", "found": "the connection pooler X"},
        "postgres_backup_host: expected PostgreSQL itself behind the service servers/db, found the connection pooler X",
        "postgres_backup_host: ",
    ),
    (
        {"problem": "labels", "found": '{"app": "db"}'},
        "postgres_backup_pod_labels: expected labels that the service servers/db does not select, found {",
        "postgres_backup_pod_labels: ",
    ),
    (
        {"unreadable": True},
        "postgres_backup_image: the server's image is unknown, because this user may not read the service servers/db ",
        None,
    ),
]


@pytest.mark.parametrize(("server", "beginning", "with_image"), SERVERS)
def test_the_server(server: dict[str, Any], beginning: str, with_image: str | None) -> None:
    (message,) = missing(variables(), server, SECRET)
    assert message.startswith(beginning)
    messages = missing(variables(image="postgres:18"), server, SECRET)
    assert [message.partition(" ")[0] + " " for message in messages] == ([with_image] if with_image else [])


def test_options_that_the_servers_image_does_not_have() -> None:
    arguments = {"extra_args": ["--no-policies"], "dump_args": ["-v", {"database": "a", "args": ["--statistics"]}]}
    server = {**SERVER, "image": "lan:5000/postgres:17.2"}
    messages = missing(variables(**arguments), server, SECRET)
    assert messages == [
        "postgres_backup_extra_args: expected options of pg_dumpall 17, which the image lan:5000/postgres:17.2 "
        "has; found others: --no-policies is in PostgreSQL 18 and newer, not in 17",
        "postgres_backup_dump_args: expected options of pg_dump 17, which the image lan:5000/postgres:17.2 "
        "has; found others: --statistics is in PostgreSQL 18 and newer, not in 17",
    ]
    assert missing(variables(**arguments), {**SERVER, "image": "postgres:18"}, SECRET) == []
    assert missing(variables(**arguments), {**SERVER, "image": "database:latest"}, SECRET) == []


def test_a_missing_namespace_hides_what_would_be_in_it() -> None:
    server = {"problem": "service", "found": "no such service"}
    (message,) = missing(variables(host="db"), server, NO_SECRET, namespace=[])
    assert message.startswith("postgres_backup_namespace: expected a namespace that exists, found none named data. ")
    # A server elsewhere is checked all the same.
    messages = missing(variables(), server, NO_SECRET, namespace=[])
    assert [message.partition(":")[0] for message in messages] == ["postgres_backup_namespace", "postgres_backup_host"]
    (message,) = missing(variables(), SERVER, NO_SECRET, namespace=[{"metadata": {"name": "data"}}])
    assert message.startswith("postgres_backup_secret_name: ")


def test_without_a_ca_none_is_missing() -> None:
    assert missing(variables(), SERVER, SECRET) == []
    assert missing(variables(), SERVER, SECRET, ca=NO_SECRET) == []


@pytest.mark.parametrize(
    ("reference", "ca", "beginning"),
    [
        ({"secret": "ca"}, NO_SECRET, "expected the Secret data/ca with the CA certificate, found none. "),
        ({"config_map": "ca"}, SECRET, "expected the key ca.crt in the ConfigMap data/ca, found password. "),
        ({"secret": "ca", "key": "root"}, SECRET, "expected the key root in the Secret data/ca, found password. "),
    ],
)
def test_the_ca(reference: dict[str, str], ca: dict[str, Any], beginning: str) -> None:
    (message,) = missing(variables(ssl_ca=reference), SERVER, SECRET, ca=ca)
    assert message.startswith(f"postgres_backup_ssl_ca: {beginning}")


def policy(name: str = "other", types: tuple[str, ...] = ("Ingress",), **labels: str) -> dict[str, Any]:
    selector = {"matchLabels": labels} if labels else {}
    return {"metadata": {"name": name}, "spec": {"podSelector": selector, "policyTypes": list(types)}}


ALONE = (
    "postgres_backup_server_network_policy: expected a NetworkPolicy in servers that already isolates the server's pods"
)


@pytest.mark.parametrize(
    ("policies", "is_alone"),
    [
        ([policy(app="db")], False),
        ([policy()], False),  # of all pods
        (None, False),
        ([], True),
        ([policy(app="web")], True),
        ([policy(types=("Egress",), app="db")], True),
        ([policy("backup-server", app="db")], True),
        ([policy("backup-server", app="db"), policy(app="db", pod="0")], False),
    ],
)
def test_the_policy_of_the_server_needs_another_one(policies: list[dict[str, Any]] | None, is_alone: bool) -> None:
    messages = missing(variables(server_network_policy="yes"), SERVER, SECRET, policies=policies)
    assert [message.startswith(ALONE) for message in messages] == [True] * is_alone
    assert missing(variables(server_network_policy="no"), SERVER, SECRET, policies=policies) == []


def test_the_policy_of_the_server_needs_a_service() -> None:
    beginning = "postgres_backup_server_network_policy: expected a service of this cluster, whose pods the policy can "
    for host, server in [("db.example.org", {}), ("db", {"problem": "selector"})]:
        needs = variables(host=host, image="postgres:18", server_network_policy=True)
        (message,) = missing(needs, server, SECRET, policies=[])
        assert message.startswith(f"{beginning}select, found {host}. ")


def test_the_policy_of_the_server_selects_only_the_servers_pods() -> None:
    needs = variables(image="postgres:18", server_network_policy=True)
    (message,) = missing(needs, {**SERVER, "other_pods": ["pooler-0", "repo-0"]}, SECRET, policies=[policy(app="db")])
    assert "labels of the service servers/db that only the server's pods have" in message
    assert "pods that are not the server's: pooler-0, repo-0. " in message


@pytest.mark.parametrize(
    ("direct", "advice"),
    [
        ({"direct_service": "shop-rw"}, "host to shop-rw.servers.svc.cluster.local."),
        ({"direct_port": 5433}, "port to 5433, the port of the server."),
        ({}, "host to the service of the server."),
    ],
)
def test_a_pooler_is_refused_with_what_to_use(direct: dict[str, Any], advice: str) -> None:
    (message,) = missing(variables(), {"problem": "pooler", "found": "x", **direct}, SECRET)
    assert message.endswith(f". Set postgres_backup_{advice}")


CERTIFICATES = [
    ({"secret": "client"}, NO_SECRET, ["expected the Secret data/client with the client certificate, found none. "]),
    (
        {"secret": "client"},
        SECRET,
        [f"expected the key {key} in the Secret data/client, found password. " for key in ("tls.crt", "tls.key")],
    ),
    (
        {"secret": "client", "key_key": "password"},
        {**SECRET, "keys": ["password", "tls.key"]},
        ["expected the key tls.crt in the Secret data/client, found password, tls.key. "],
    ),
    ({"secret": "client"}, {**SECRET, "keys": ["tls.crt", "tls.key"]}, []),
    ({"secret": "client"}, UNREADABLE, []),
]


@pytest.mark.parametrize(("reference", "certificate", "beginnings"), CERTIFICATES)
def test_the_client_certificate(reference: dict[str, str], certificate: dict[str, Any], beginnings: list[str]) -> None:
    prerequisites = {
        "server": SERVER, "secret": {}, "ca": {}, "cert": certificate, "namespace": {}, "server_policies": {},
    }  # fmt: skip
    messages = missing_prerequisites(variables(ssl_cert=reference, secret_name=""), prerequisites)
    assert len(messages) == len(beginnings)
    for message, beginning in zip(messages, beginnings, strict=True):
        assert message.startswith(f"postgres_backup_ssl_cert: {beginning}")


@pytest.mark.parametrize("server", [{}, {**SERVER, "other_pods": ["pooler-0"]}])
def test_the_policy_of_the_server_selects_the_pods_that_are_set(server: dict[str, Any]) -> None:
    needs = variables(image="postgres:18", server_network_policy=True, server_pods={"labels": {"role": "primary"}})
    assert missing(needs, server, SECRET, policies=[policy(role="primary")]) == []
    (message,) = missing(needs, server, SECRET, policies=[policy(role="replica")])
    assert message.startswith(ALONE)


@pytest.mark.parametrize("alerts", [True, "true", "auto", False])
@pytest.mark.parametrize("rules", [{"served": False}, {"served": True}, {}])
def test_alerts_in_a_cluster_without_their_kind(alerts: Any, rules: dict[str, bool]) -> None:
    """With `auto` they are left out; a user who may not know is not stopped."""
    read = {"server": SERVER, "secret": SECRET, "ca": {}, "namespace": {}, "server_policies": {}, "rules": rules}
    messages = missing_prerequisites(variables(alerts=alerts), read)
    assert bool(messages) is (str(alerts).lower() == "true" and rules == {"served": False})
    assert all(message.startswith("postgres_backup_alerts: expected a cluster with objects of") for message in messages)


S3 = {"name": "cloud", "kind": "s3", "secret": "s3-keys"}
SFTP = {"name": "friend", "kind": "sftp", "secret": "ssh"}
CLAIM = {"name": "other", "kind": "claim", "claim_name": "copies"}
S3_KEYS = ["access_key_id", "secret_access_key"]


@pytest.mark.parametrize(
    ("place", "keys", "expected"),
    [
        (S3, S3_KEYS, []),
        (S3, None, ["expected the Secret data/s3-keys, found none. Create it with access_key_id, secret_access_key"]),
        (S3, ["access_key_id"], ["expected the key secret_access_key in the Secret data/s3-keys, found access_key_id"]),
        (S3, [], ["the key access_key_id", "the key secret_access_key"]),
        (SFTP, ["known_hosts", "password"], []),
        (SFTP, ["known_hosts", "private_key"], []),
        (SFTP, ["known_hosts"], ["the key private_key or password in the Secret data/ssh, found known_hosts"]),
    ],
)
def test_the_secret_of_a_place(place: dict[str, Any], keys: list[str] | None, expected: list[str]) -> None:
    answer = {"readable": True, "found": keys is not None, "keys": keys or []}
    found = messages_of_copies(place, other_secrets={place["secret"]: answer})
    assert all(words in message for words, message in zip(expected, found, strict=True))


def test_a_key_without_a_value_is_missing() -> None:
    """Such as of a file that was empty, or not yet written, when its Secret was created."""
    answer = {"readable": True, "found": True, "keys": S3_KEYS, "empty": ["secret_access_key"]}
    (message,) = messages_of_copies(S3, other_secrets={"s3-keys": answer})
    assert "found access_key_id, secret_access_key (empty). Add it to the Secret, with a value." in message
    secret = {"readable": True, "found": True, "keys": ["identity"], "empty": ["identity"]}
    (message,) = messages_of_drills(secret)
    assert "expected the key identity in the Secret data/keys, found identity (empty). Add it" in message


def messages_of_copies(place: dict[str, Any], **read: Any) -> list[str]:
    prerequisites = {"server": SERVER, "secret": SECRET, "namespace": {}, **read}
    return missing_prerequisites(variables(copies=[place]), prerequisites)


def test_the_claim_of_a_place() -> None:
    (message,) = messages_of_copies(CLAIM, copy_claims={"copies": {"readable": True, "resources": []}})
    assert "the place other: expected the PersistentVolumeClaim data/copies, found none. Create it" in message
    for answer in ({"readable": True, "resources": [{}]}, {"readable": False, "error": "x"}):
        assert messages_of_copies(CLAIM, copy_claims={"copies": answer}) == []


def test_a_secret_that_may_not_be_read_counts_as_present() -> None:
    assert messages_of_copies(S3, other_secrets={"s3-keys": UNREADABLE}) == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["identity"], ""),
        (None, "expected the Secret data/keys, found none. Create it: kubectl create secret generic keys -n data"),
        (["key"], "expected the key identity in the Secret data/keys, found key. Add it"),
    ],
)
def test_the_identity_of_drills(keys: list[str] | None, expected: str) -> None:
    answer = {"readable": True, "found": keys is not None, "keys": keys or []}
    assert [expected in message for message in messages_of_drills(answer)] == ([True] if expected else [])


@pytest.mark.parametrize(
    ("public_keys", "expected"),
    [
        ([RECIPIENT], []),
        ([SSH_RECIPIENT], []),
        (["age1other", RECIPIENT], []),
        (None, []),
        (["age1other"], ["found that of age1other. Create the Secret again, or add its public key to"]),
        (["age1other", "age1more"], ["found that of age1other and age1more. Create"]),
    ],
)
def test_the_identity_of_drills_belongs_to_a_recipient(public_keys: list[str] | None, expected: list[str]) -> None:
    found = {} if public_keys is None else {"identity": public_keys}
    answer = {"readable": True, "found": True, "keys": ["identity"], "empty": [], "public_keys": found}
    messages = messages_of_drills(answer)
    assert len(messages) == len(expected)
    assert [text in message for text, message in zip(expected, messages, strict=True)] == [True] * len(expected)


def messages_of_drills(answer: dict[str, Any]) -> list[str]:
    prerequisites = {"server": SERVER, "secret": SECRET, "namespace": {}, "identity_secret": answer}
    return missing_prerequisites(variables(drill_identity_secret="keys"), prerequisites)  # noqa: S106 - a name


def test_an_identity_of_drills_that_age_refuses() -> None:
    answer = {"readable": True, "found": True, "keys": ["identity", "other"], "empty": []}
    assert messages_of_drills({**answer, "faults": {"other": "a public key in line 1"}}) == []
    assert messages_of_drills({**answer, "faults": {"identity": "a public key in line 1"}}) == [
        "postgres_backup_drill_identity_secret: expected the key identity in the Secret data/keys to have lines that "
        "begin with AGE-SECRET-KEY-1, or one private key of OpenSSH, found a public key in line 1. Create the Secret "
        "again, with the private key of one of postgres_backup_recipients."
    ]
    assert messages_of_drills(UNREADABLE) == []


@pytest.mark.parametrize(("component", "variable"), [("watch", "watch"), ("copy", "copies")])
def test_an_object_of_something_else_is_not_replaced(component: str, variable: str) -> None:
    labels = {"app.kubernetes.io/component": component}
    foreign = {"resources": [{"kind": "CronJob", "metadata": {"name": f"backup-{component}", "labels": labels}}]}
    prerequisites = {"server": SERVER, "secret": SECRET, "namespace": {}, "foreign": foreign}
    (message,) = missing_prerequisites(variables(), prerequisites)
    assert message.startswith(f"postgres_backup_{variable}: expected CronJob backup-{component} to be ")


@pytest.mark.parametrize(("component", "owner"), [("watch", "the watch"), ("copy", "that of the copies")])
def test_the_cronjob_of_another_installations_component_is_not_replaced(component: str, owner: str) -> None:
    prerequisites = {"server": SERVER, "secret": SECRET, "namespace": {}}
    labels = {"app.kubernetes.io/component": component}
    found = {"cronjob": {"resources": [{"labels": labels}]}}
    assert missing_prerequisites(variables(name="db-copy"), prerequisites | found) == [
        f"postgres_backup_name: expected the CronJob db-copy to be that of backups, found {owner} of another "
        "installation, which this one would replace. Set another postgres_backup_name."
    ]
    of_backups = {"cronjob": {"resources": [{"labels": {"app.kubernetes.io/component": "backup"}}]}}
    assert missing_prerequisites(variables(name="db-copy"), prerequisites | of_backups) == []
