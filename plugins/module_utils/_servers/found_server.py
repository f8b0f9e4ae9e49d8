# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A PostgreSQL server that was found in the cluster, and with what it can be backed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class FoundServer:
    """One server, or several that replicate one another.

    `kind` is the operator, chart or image, `name` what it calls the server. `host` and `port` lead to the server that
    accepts writes; `services` are all services that lead to one of its `pods`. `secret_name` and `secret_key` are empty
    where no Secret is known, and `advice` is what to do then, or if the Secret does not exist. `version` is the major
    version, None if the image does not tell it. `run_as_user` is the user id of the image.
    """

    kind: str
    namespace: str
    name: str
    service: str
    port: int = 5432
    user: str = "postgres"
    database: str = "postgres"
    secret_name: str = ""
    secret_key: str = ""
    sslmode: str = ""
    ssl_ca: Object | None = None
    image: str = ""
    run_as_user: int | None = None
    version: int | None = None
    pods: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    advice: str = ""

    @property
    def host(self) -> str:
        """The name of the service, as every pod of the cluster can resolve it."""
        return f"{self.service}.{self.namespace}.svc.cluster.local"

    @property
    def id(self) -> str:
        """What distinguishes it from the others of its namespace."""
        return f"{self.kind}/{self.name}"

    def is_named(self, text: str) -> bool:
        """Whether `text` is its name, alone or after its kind."""
        return text.lower() in (self.name.lower(), self.id.lower())

    def to_dict(self) -> dict[str, Any]:
        """The fields, for a module's result."""
        return {**asdict(self), "host": self.host, "id": self.id, "pods": [*self.pods], "services": [*self.services]}
