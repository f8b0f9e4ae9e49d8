# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What operators call their objects: one entry for each operator, with the version that it was read from.

To add an operator: add an entry, and a case to tests/unit/plugins/module_utils/_servers/test_find.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Optional

# The value of a label; None stands for any. Optional, since Python 3.9 evaluates an alias.
Value = Optional[str]


@dataclass(frozen=True)
class Operator:
    """How an operator labels the pods of a server, and names the rest. {} stands for the server's name.

    `labels` are those that its pods have, with these values or (None) with any; `name_label` has the server's name.
    `container` is the container of PostgreSQL in these pods, and `version_variable` its variable with the version, if
    there is one. `service` leads to the server that accepts writes, and so do `aliases`. `secret` and `secret_key` have
    the password of the superuser; `password_variable` is the container's variable that refers to them, where there is
    one, because a setting of the operator may change the names. `advice` is what to do where the Secret does not exist.
    """

    kind: str
    read_from: str
    labels: Mapping[str, Value]
    name_label: str
    container: str
    service: str
    secret: str
    secret_key: str
    run_as_user: int
    port: int = 5432
    user: str = "postgres"
    sslmode: str = ""
    ssl_ca: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    password_variable: str = ""
    version_variable: str = ""
    advice: str = ""


_OTHER_USER = (
    "Or let homelab.postgres_backup.backup_user create a user for backups: it needs a superuser once "
    "(postgres_backup_restore_user, _secret_name and _secret_key)."
)
_PGO = "postgres-operator.crunchydata.com/"
_PGO_ADVICE = "The operator creates it where spec.users of the {} has a user with the name postgres. " + _OTHER_USER
_CRUNCHY = Operator(
    kind="Crunchy",
    read_from="PGO 6.0: internal/naming/labels.go and names.go, internal/controller/postgrescluster/cluster.go",
    labels={f"{_PGO}data": "postgres"},
    name_label=f"{_PGO}cluster",
    container="database",
    # Patroni's service. The certificate of the server names only NAME-primary and NAME-replicas, and is not compared
    # with the host name. NAME-primary has the address of this service instead of pods.
    service="{}-ha",
    aliases=("{}-primary",),
    secret="{}-pguser-postgres",  # noqa: S106 - a name
    secret_key="password",  # noqa: S106
    run_as_user=26,
    sslmode="verify-ca",
    ssl_ca={"secret": "{}-cluster-cert", "key": "ca.crt"},
    advice=_PGO_ADVICE.format("PostgresCluster"),
)
# It has taken Crunchy's names over.
_PERCONA = replace(
    _CRUNCHY,
    kind="Percona",
    read_from="Percona's operator 3.1: internal/naming/labels.go (WithPerconaLabels) and names.go",
    labels={**_CRUNCHY.labels, "app.kubernetes.io/name": "percona-postgresql"},
    advice=_PGO_ADVICE.format("PerconaPGCluster"),
)

# The first that fits counts.
OPERATORS = (
    Operator(
        kind="CloudNativePG",
        read_from="CloudNativePG 1.30: pkg/utils/labels_annotations.go, pkg/specs/pods.go, api/v1/cluster_types.go",
        labels={"cnpg.io/instanceRole": None},
        name_label="cnpg.io/cluster",
        container="postgres",
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
        read_from="postgres-operator 2.0: pkg/util/config/config.go, pkg/cluster/k8sres.go",
        labels={"application": "spilo"},
        name_label="cluster-name",
        container="postgres",
        service="{}",
        secret="postgres.{}.credentials.postgresql.acid.zalan.do",  # noqa: S106
        secret_key="password",  # noqa: S106
        run_as_user=101,
        password_variable="PGPASSWORD_SUPERUSER",  # noqa: S106
        version_variable="PGVERSION",
        advice="The operator creates it: check that it runs, or set postgres_backup_secret_name.",
    ),
    _PERCONA,
    _CRUNCHY,
    Operator(
        kind="StackGres",
        read_from="StackGres 1.19: StackGresContext.java, PatroniUtil.java, PatroniServices.java, PatroniSecret.java",
        labels={"app": "StackGresCluster", "stackgres.io/cluster": "true"},
        name_label="stackgres.io/cluster-name",
        container="patroni",
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
    the variable of the name, empty for the user postgres. `scope` is the variable with the server's name. `image` is a
    part of the image's name, or empty. `is_usual` is whether a Secret that is used for all variables has this one.
    """

    kind: str
    read_from: str
    password: str
    user: str
    run_as_user: int
    scope: str = ""
    image: str = ""
    is_usual: bool = False

    def user_id_of(self, image: str) -> int:
        """The user id of the image; that of PostgreSQL on Alpine Linux is 70."""
        return _ALPINE_USER if not self.image and "alpine" in image else self.run_as_user


_ALPINE_USER = 70
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
    # With a user other than postgres, that user is not a superuser, and postgres has a password too.
    Convention(
        kind="Bitnami",
        read_from="charts postgresql 17.1 and postgresql-ha 16.3: the StatefulSets; image: libpostgresql.sh",
        password="POSTGRES_POSTGRES_PASSWORD",  # noqa: S106
        user="",
        run_as_user=1001,
        image="bitnami",
    ),
    Convention(
        kind="Bitnami",
        read_from="chart 17.1",
        password="POSTGRES_PASSWORD",  # noqa: S106
        user="POSTGRES_USER",
        run_as_user=1001,
        image="bitnami",
        is_usual=True,
    ),
    Convention(
        kind="image",
        read_from="the PostgreSQL project's image: docker-entrypoint.sh",
        password="POSTGRES_PASSWORD",  # noqa: S106
        user="POSTGRES_USER",
        run_as_user=999,
        is_usual=True,
    ),
)
