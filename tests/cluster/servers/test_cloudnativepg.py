# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A cluster of CloudNativePG's shape, without and with superuser access, and no variable but the namespace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible, Play
from tests.cluster.support.certificates import make_certificates
from tests.cluster.support.kube import NAME, create, delete_namespace, get, kubectl, must_get, wait_until
from tests.cluster.support.namespaces import new_namespace

POD = "shop-1"
DATA = """
CREATE ROLE app LOGIN PASSWORD 'of the app';
CREATE ROLE streaming_replica LOGIN REPLICATION;
CREATE DATABASE app OWNER app;
\\c app app
CREATE TABLE items AS SELECT n AS id, 'item ' || n AS name FROM generate_series(1, 1000) AS n;
"""


@dataclass(frozen=True)
class Cluster:
    """The Cluster `shop` in its namespace."""

    namespace: str

    def sql(self, text: str, database: str = "postgres") -> str:
        words = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-f", "-")
        return kubectl("exec", "-i", POD, "-n", self.namespace, "--", *words, stdin=text).strip()

    def is_ready(self) -> bool:
        conditions = must_get("pod", POD, self.namespace)["status"].get("conditions", [])
        return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)

    def secret(self, name: str, kind: str, data: dict[str, str]) -> dict[str, Any]:
        labels = {"app.kubernetes.io/managed-by": "cloudnative-pg", "cnpg.io/cluster": "shop", "cnpg.io/reload": "true"}
        about = {"name": name, "namespace": self.namespace, "labels": labels}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": about, "type": kind, "stringData": data}

    def login(self, name: str, user: str, password: str, database: str) -> dict[str, Any]:
        """A Secret with a user and its password, with the keys that the operator gives it."""
        host = f"shop-rw.{self.namespace}:5432"
        data = {"username": user, "user": user, "password": password, "dbname": database, "host": "shop-rw"}
        more = {"port": "5432", "pgpass": f"shop-rw:5432:{database}:{user}:{password}\n"}
        uri = {"uri": f"postgresql://{user}:{password.replace(' ', '%20')}@{host}/{database}"}
        return self.secret(name, "kubernetes.io/basic-auth", {**data, **more, **uri})

    def enable_superuser_access(self) -> None:
        """What the operator does after a user sets enableSuperuserAccess."""
        self.sql("ALTER ROLE postgres PASSWORD 'of the superuser';")
        create(self.login("shop-superuser", "postgres", "of the superuser", "*"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Without superuser access, which is the default of the operator."""
    shop = Cluster(new_namespace("cnpg"))
    services = ("shop-rw", "shop-r", "shop-ro")
    files = make_certificates(tmp_path_factory.mktemp("certificates"), shop.namespace, services)
    create(
        shop.secret("shop-ca", "Opaque", {name: files[name] for name in ("ca.crt", "ca.key")}),
        shop.secret("shop-server", "kubernetes.io/tls", {name: files[name] for name in ("tls.crt", "tls.key")}),
        shop.login("shop-app", "app", "of the app", "app"),
    )
    kubectl("apply", "-n", shop.namespace, "-f", str(Path(__file__).with_name("cloudnativepg.yaml")))
    wait_until(shop.is_ready, "the instance is ready", 120)
    kubectl("label", "pod", POD, "-n", shop.namespace, "cnpg.io/instanceRole=primary", "role=primary")
    shop.sql(DATA)
    yield shop
    delete_namespace(shop.namespace)


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory, collections: Path) -> Ansible:
    return Ansible(tmp_path_factory.mktemp("cnpg"), collections)


@pytest.fixture(scope="module")
def refused(cluster: Cluster, controller: Ansible) -> Play:
    """site.yml without superuser access."""
    return controller.site(namespace=cluster.namespace)


@pytest.fixture(scope="module")
def installed(cluster: Cluster, controller: Ansible, refused: Play) -> Play:
    """site.yml after superuser access was enabled."""
    assert refused.status != 0
    assert get("cronjob", NAME, cluster.namespace) is None
    cluster.enable_superuser_access()
    play = controller.site(namespace=cluster.namespace)
    assert play.status == 0, play.output
    return play


@pytest.mark.weekly
def test_without_superuser_access_nothing_is_installed(cluster: Cluster, refused: Play) -> None:
    assert refused.status != 0
    text = " ".join(refused.output.split())
    secret = f"the Secret {cluster.namespace}/shop-superuser"
    assert f"{secret} with the password of CloudNativePG/shop" in text, refused.output
    assert "spec.enableSuperuserAccess: true" in text
    assert "homelab.postgres_backup.backup_user" in text
    assert get("pvc", NAME, cluster.namespace) is None


@pytest.mark.weekly
def test_what_is_found(cluster: Cluster, controller: Ansible, installed: Play) -> None:
    assert "CloudNativePG" in installed.output
    pod = must_get("cronjob", NAME, cluster.namespace)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert container["image"] == "localhost/postgresql:18-debian"
    assert pod["securityContext"]["runAsUser"] == 26
    assert environment["POSTGRES_BACKUP_HOST"] == f"shop-rw.{cluster.namespace}.svc.cluster.local"
    assert environment["POSTGRES_BACKUP_SSLMODE"] == "verify-ca"
    again = controller.site(namespace=cluster.namespace)
    assert (again.status, again.changed) == (0, 0), again.output


@pytest.mark.weekly
@pytest.mark.usefixtures("installed")
def test_verify_drill_and_restore(cluster: Cluster, controller: Ansible) -> None:
    verified = controller("homelab.postgres_backup.verify", postgres_backup_namespace=cluster.namespace)
    assert verified.status == 0, verified.output
    drill = controller.module("restore_drill", namespace=cluster.namespace)
    assert not drill["failed"], drill["msg"]
    options: dict[str, Any] = {"namespace": cluster.namespace, "database": "app", "new_name": "app_again"}
    restored = controller.module("restore_database", **options)
    assert not restored["failed"], restored["msg"]
    assert restored["rows"] == 1000
    rows = "SELECT count(*), pg_get_userbyid(relowner) FROM items, pg_class WHERE relname = 'items' GROUP BY 2;"
    assert cluster.sql(rows, "app_again") == "1000|app"
    log = kubectl("logs", POD, "-n", cluster.namespace).splitlines()
    authorized = [line for line in log if "connection authorized: user=postgres" in line and "[local]" not in line]
    assert authorized
    assert [line for line in authorized if "SSL enabled" not in line] == []
