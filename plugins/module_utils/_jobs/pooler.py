# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Connection poolers, recognized by the labels, the image and the name of the container behind a service.

A pooler keeps sessions of the server and gives them to its clients in turn. PgBouncer refuses the settings with which a
restore starts a session; in transaction mode, the next client gets a session with the empty search_path of pg_dump.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

Object = Mapping[str, Any]
# The value of a label; None stands for any. Optional, since Python 3.9 evaluates an alias.
Value = Optional[str]


@dataclass(frozen=True)
class Pooler:
    """A pooler: the product's `name`, and PostgreSQL itself as far as it is known.

    This is another `service`, or another `port` of the same service.
    """

    name: str
    service: str | None = None
    port: int | None = None


@dataclass(frozen=True)
class _Operator:
    """The label of an operator's poolers, the label with the name of their cluster, and the suffix of its service."""

    label: str
    value: Value
    cluster: str
    suffix: str


# CloudNativePG: pkg/specs/pgbouncer (1.30). Zalando's operator: pkg/cluster/connection_pooler.go (1.15). Crunchy's
# operator: internal/naming/labels.go (5.8), which Percona's operator has taken over.
_OPERATORS = (
    _Operator("cnpg.io/poolerName", None, "cnpg.io/cluster", "-rw"),
    _Operator("application", "db-connection-pooler", "cluster-name", ""),
    _Operator(
        "postgres-operator.crunchydata.com/role", "pgbouncer", "postgres-operator.crunchydata.com/cluster", "-primary"
    ),
)
# StackGres (1.18, PatroniConfigMap.java, PatroniServices.java): its service has a port for the PgBouncer in each pod,
# by this name, and one for PostgreSQL itself. Envoy may be in front of both.
_STACKGRES_POOLED = "pgport"
_STACKGRES_DIRECT_PORT = 5433
_PRODUCTS = {
    "pgbouncer": "PgBouncer",
    "pgcat": "PgCat",
    "pgdog": "PgDog",
    "odyssey": "Odyssey",
    "pgpool": "Pgpool-II",
    "supavisor": "Supavisor",
}
# A part of an image's name or a container's name, such as `bitnami/pgpool:4`, `pgbouncer-1.23`, `connection-pooler`.
_PRODUCT = re.compile(rf"(?:.*[^a-z0-9])?({'|'.join(_PRODUCTS)})(?:[^a-z].*)?")
_PRODUCT_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/component", "app")
# An exporter's image is named after the product whose metrics it reads.
_EXPORTER = re.compile(r"exporter|metrics")


def pooler_behind(service: Object, pod: Object, container: Object, target: int | str) -> Pooler | None:
    """The pooler that serves in this container of a pod behind a service; None if it is not one.

    `target` is the target port of the service, a number or a name.
    """
    pod_labels = pod["metadata"].get("labels") or {}
    if pod_labels.get("app") == "StackGresCluster":
        names = [other["name"] for other in pod["spec"]["containers"]]
        is_pooled = "pgbouncer" in names and target == _STACKGRES_POOLED
        return Pooler("PgBouncer", port=_STACKGRES_DIRECT_PORT) if is_pooled else None
    labels = {**((service.get("metadata") or {}).get("labels") or {}), **pod_labels}
    for operator in _OPERATORS:
        if operator.label in pod_labels and operator.value in (None, pod_labels[operator.label]):
            cluster = labels.get(operator.cluster)
            return Pooler("PgBouncer", f"{cluster}{operator.suffix}" if cluster else None)
    repository = str(container.get("image") or "").partition("@")[0].rpartition("/")[2].partition(":")[0]
    for text in (repository, str(container.get("name") or ""), *(str(pod_labels.get(key)) for key in _PRODUCT_LABELS)):
        match = _PRODUCT.fullmatch(text.lower())
        if match and not _EXPORTER.search(text.lower()):
            return Pooler(_PRODUCTS[match[1]])
    return None
