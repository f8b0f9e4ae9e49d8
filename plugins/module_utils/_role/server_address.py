# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which service of the cluster a host name stands for (the names of Kubernetes' DNS specification)."""

from __future__ import annotations

import re
from typing import NamedTuple

_ADDRESS = re.compile(r"[0-9.]+|.*:.*")


class ServiceName(NamedTuple):
    """A service by namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def service_of_host(host: str, namespace: str) -> ServiceName | None:
    """The service that pods in `namespace` reach by this host name; None for an address and for any other host.

    The name of a service has one label, two (`db.data`), or more with `svc` as the third (`db.data.svc.cluster.local`).
    """
    labels = host.removesuffix(".").split(".")
    if _ADDRESS.fullmatch(host) or (len(labels) > 2 and labels[2] != "svc"):
        return None
    return ServiceName(labels[1] if len(labels) > 1 else namespace, labels[0])
