# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The servers that operators run, by the labels of their pods (kinds.py)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._jobs.job_templates import variables
from .._jobs.postgres_server import is_ready, major_of_image
from .found_server import FoundServer
from .kinds import OPERATORS, Operator
from .pod_environment import password_source, user_id
from .services import pods_behind, ports_of, postgres_ports

Object = Mapping[str, Any]
# `crunchy-postgres:ubi9-17.5-2520`, `percona-distribution-postgresql:17.5-2`, `spilo-17:4.0-p2`.
_VERSION = re.compile(r".*(?:postgres|postgresql|spilo)[^/:]*?[:-](?:[a-z]+[0-9]*-)*([1-9][0-9])(?![0-9])[^/]*")


def servers_of_operators(
    namespace: str, services: Sequence[Object], pods: Sequence[Object], slices: Sequence[Object]
) -> Iterator[FoundServer]:
    """All objects are of the namespace. A server to which no service leads is left out."""
    groups: dict[tuple[int, str], list[Object]] = defaultdict(list)
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        for number, operator in enumerate(OPERATORS):
            name = labels.get(operator.name_label)
            if name and _has_labels(labels, operator.labels) and _container(pod, operator.container) is not None:
                groups[number, name].append(pod)
                break
    for (number, name), members in groups.items():
        operator = OPERATORS[number]
        leading = _services_of(operator, name, members, services, slices)
        if leading.by_name:
            yield _server(namespace, operator, name, members, leading)


def _has_labels(labels: Mapping[str, str], expected: Mapping[str, Any]) -> bool:
    return all(key in labels and value in (None, labels[key]) for key, value in expected.items())


def _container(pod: Object, name: str) -> Object | None:
    spec = pod["spec"]
    # A sidecar container is an init container.
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    return next((container for container in containers if container["name"] == name), None)


@dataclass(frozen=True)
class _Services:
    """The services that lead to a server, by their names; the first is the one to use."""

    by_name: Mapping[str, Object]

    @property
    def first(self) -> str:
        return next(iter(self.by_name))


def _services_of(
    operator: Operator, name: str, pods: Sequence[Object], services: Sequence[Object], slices: Sequence[Object]
) -> _Services:
    by_name = {str(service["metadata"]["name"]): service for service in services}
    expected = [text.format(name) for text in (operator.service, *operator.aliases)]
    leading = sorted(each for each in by_name if pods_behind(by_name[each], pods, slices))
    return _Services({each: by_name[each] for each in (*expected, *leading) if each in by_name})


def _server(namespace: str, operator: Operator, name: str, pods: Sequence[Object], services: _Services) -> FoundServer:
    pod = min(pods, key=lambda each: (not is_ready(each), str(each["metadata"]["name"])))
    container = _container(pod, operator.container) or {}
    password = operator.password_variable and password_source(pod["spec"], container, operator.password_variable)
    return FoundServer(
        kind=operator.kind,
        namespace=namespace,
        name=name,
        service=services.first,
        port=_port(services.by_name[services.first], operator),
        user=operator.user,
        secret_name=(password and password.secret_name) or operator.secret.format(name),
        secret_key=(password and password.secret_key) or operator.secret_key,
        sslmode=operator.sslmode,
        ssl_ca={key: value.format(name) for key, value in operator.ssl_ca.items()} or None,
        image=str(container.get("image") or ""),
        run_as_user=user_id(pod["spec"], container) or operator.run_as_user,
        version=_version(container, operator),
        pods=tuple(sorted(str(each["metadata"]["name"]) for each in pods)),
        services=tuple(sorted(services.by_name)),
        advice=operator.advice,
    )


def _port(service: Object, operator: Operator) -> int:
    """The operator's usual port, or that of the service if the server has another one."""
    ports = ports_of(service)
    return operator.port if operator.port in ports else next(iter([*postgres_ports(service), *ports]), operator.port)


def _version(container: Object, operator: Operator) -> int | None:
    image = str(container.get("image") or "").partition("@")[0]
    text = variables(container).get(operator.version_variable, "")
    if text.isdecimal():
        return int(text)
    match = _VERSION.fullmatch(image)
    return major_of_image(image) or (int(match[1]) if match else None)
