# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What operators call their objects: one entry for each operator, with the version that it was read from.

To add an operator: add an entry, and a case to tests/unit/plugins/module_utils/_servers/test_find.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Operator:
    """How an operator labels the pods of a server, and names the rest. {} stands for the server's name.

    `labels` are those that its pods have, with these values or (None) with any; `name_label` has the server's name.
    `service` leads to the server that accepts writes. `advice` is what to do where `secret` does not exist.
    """

    kind: str
    read_from: str
    labels: Mapping[str, str | None]
    name_label: str
    service: str
    secret: str
    secret_key: str
    run_as_user: int
    port: int = 5432
    user: str = "postgres"
    sslmode: str = ""
    ssl_ca: Mapping[str, str] = field(default_factory=dict)
    advice: str = ""


_OTHER_USER = (
    "Or let homelab.postgres_backup.backup_user create a user for backups: it needs a superuser once "
    "(postgres_backup_restore_user, _secret_name and _secret_key)."
)

OPERATORS = (
    Operator(
        kind="CloudNativePG",
        read_from="CloudNativePG 1.30: pkg/utils/labels_annotations.go, api/v1/cluster_funcs.go",
        labels={"cnpg.io/instanceRole": None},
        name_label="cnpg.io/cluster",
        service="{}-rw",
        secret="{}-superuser",  # noqa: S106 - a name
        secret_key="password",  # noqa: S106
        run_as_user=26,
        # The certificate names the service, and not every version names its complete host name.
        sslmode="verify-ca",
        ssl_ca={"secret": "{}-ca", "key": "ca.crt"},
        advice="CloudNativePG creates it where the Cluster has spec.enableSuperuserAccess: true. " + _OTHER_USER,
    ),
    Operator(
        kind="Zalando",
        read_from="postgres-operator 1.15: pkg/util/config/config.go, docs/user.md",
        labels={"application": "spilo"},
        name_label="cluster-name",
        service="{}",
        secret="postgres.{}.credentials.postgresql.acid.zalan.do",  # noqa: S106
        secret_key="password",  # noqa: S106
        run_as_user=101,
        advice="The operator names it by its option secret_name_template: set postgres_backup_secret_name.",
    ),
    Operator(
        kind="Crunchy",
        read_from="PGO 5.8: internal/naming/labels.go and names.go; Percona's operator 2.7 has taken the names over",
        labels={"postgres-operator.crunchydata.com/data": "postgres"},
        name_label="postgres-operator.crunchydata.com/cluster",
        service="{}-primary",
        secret="{}-pguser-postgres",  # noqa: S106
        secret_key="password",  # noqa: S106
        run_as_user=26,
        sslmode="verify-ca",
        ssl_ca={"secret": "{}-cluster-cert", "key": "ca.crt"},
        advice="The operator creates it where spec.users of the PostgresCluster has a user named postgres. "
        + _OTHER_USER,
    ),
    Operator(
        kind="StackGres",
        read_from='StackGres 1.17: the reference of SGCluster, administration guide, "Passwords"',
        labels={"app": "StackGresCluster", "stackgres.io/cluster": "true"},
        name_label="stackgres.io/cluster-name",
        service="{}",
        secret="{}",  # noqa: S106
        secret_key="superuser-password",  # noqa: S106
        run_as_user=999,
        # The service's port 5432 leads to the PgBouncer of the pod.
        port=5433,
        advice="StackGres creates it: check that the SGCluster exists, or set postgres_backup_secret_name.",
    ),
)


@dataclass(frozen=True)
class Convention:
    """By which variables of its container a server without an operator gets the superuser's name and password.

    `password` is the variable of the password; a second one with the suffix _FILE names a file in its place. `user` is
    the variable of the name, empty for the user postgres. `scope` is the variable with the server's name.
    """

    kind: str
    read_from: str
    password: str
    user: str
    run_as_user: int
    scope: str = ""
    image: str = ""


# The first that fits counts.
CONVENTIONS = (
    Convention(
        kind="Patroni",
        read_from="Patroni 4.1: patroni/config.py, kubernetes/patroni_k8s.yaml",
        password="PATRONI_SUPERUSER_PASSWORD",  # noqa: S106
        user="PATRONI_SUPERUSER_USERNAME",
        run_as_user=999,
        scope="PATRONI_SCOPE",
    ),
    # With a user other than postgres, that user is no superuser, and postgres has a password too.
    Convention(
        kind="Bitnami",
        read_from="chart 18.1: templates/primary/statefulset.yaml; image: libpostgresql.sh",
        password="POSTGRES_POSTGRES_PASSWORD",  # noqa: S106
        user="",
        run_as_user=1001,
        image="bitnami",
    ),
    Convention(
        kind="Bitnami",
        read_from="chart 18.1",
        password="POSTGRES_PASSWORD",  # noqa: S106
        user="POSTGRES_USER",
        run_as_user=1001,
        image="bitnami",
    ),
    Convention(
        kind="image",
        read_from="the PostgreSQL project's image: docker-entrypoint.sh",
        password="POSTGRES_PASSWORD",  # noqa: S106
        user="POSTGRES_USER",
        run_as_user=999,
    ),
)
