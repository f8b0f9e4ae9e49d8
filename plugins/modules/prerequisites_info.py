#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module prerequisites_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prerequisites_info
short_description: Read the prerequisites and the existing objects of an installation
version_added: 1.1.0
description:
  - Reads, over one connection, everything that the role P(homelab.postgres_backup.postgres_backup#role) needs to know
    before it changes anything. The module is intended for the role and is rarely useful by itself.
  - Objects that the user may not read are reported as not readable, and not as a failure.
  - Of Secrets, only the names of the keys are returned.
  - Users of the role set their credentials in C(module_defaults) for C(group/kubernetes.core.k8s). This module uses
    the authentication options of that group too.
options:
  namespace:
    description:
      - The namespace of the installation.
    type: str
    default: data
  name:
    description:
      - The name of the installation's CronJob. Without it, no CronJob is read.
    type: str
  service:
    description:
      - The service of the PostgreSQL server. Without it, no server is read.
    type: dict
    suboptions:
      name:
        description: The service's name.
        type: str
        required: true
      namespace:
        description: The service's namespace.
        type: str
        required: true
      port:
        description: The port of the service at which the server listens.
        type: int
        default: 5432
  find:
    description:
      - How the server is found in O(namespace). What it has takes the place of O(service), O(secret), O(ca_kind) and
        O(ca_name), unless these are set.
      - An installation that exists keeps its server. It is recorded in an annotation of its CronJob.
    type: dict
    suboptions:
      server:
        description: V(auto), V(none), or the name of a server, alone or after its kind, such as V(CloudNativePG/shop).
        type: str
        default: auto
      host:
        description: The host name of the server, if it is set; empty otherwise.
        type: str
        default: ""
      port:
        description: The port of the server, if it is set; empty otherwise.
        type: str
        default: ""
      reads_service:
        description: Whether the service behind the host name is read, as O(service) is.
        type: bool
        default: true
      unset:
        description: The role's variables without their prefix that follow from a server and that a user has not set.
        type: list
        elements: str
        default: []
      fallback:
        description: What counts if no server is found - C(host), C(port) and C(secret_name).
        type: dict
        default: {}
  pod_labels:
    description:
      - The labels of the backup's pods. A service that selects pods with these labels is reported as a problem.
    type: dict
    default: {}
  secret:
    description:
      - The name of the Secret with the server's password.
    type: str
  ca_kind:
    description:
      - The kind of the object that contains the CA certificate.
    type: str
    choices: [ConfigMap, Secret]
  ca_name:
    description:
      - The name of the object that contains the CA certificate.
    type: str
  cert_secret:
    description:
      - The name of the Secret with the client certificate.
    type: str
  server_policies:
    description:
      - Whether to read the NetworkPolicies in the namespace of O(service).
    type: bool
    default: false
  claim:
    description:
      - The name of the claim of the backup volume. The volume that it is bound to is also read.
    type: str
  storage_class:
    description:
      - The storage class of the claim. The StorageClasses are read unless the claim is already bound.
    type: str
  rules:
    description:
      - Whether to find out if the cluster has objects of the kind PrometheusRule.
    type: bool
    default: false
  unwanted:
    description:
      - CronJobs, ConfigMaps, NetworkPolicies and PrometheusRules of an earlier installation that should not exist, as
        definitions with C(kind), C(metadata.namespace) and C(metadata.name). With C(metadata.labels), only
        objects with these labels. A PrometheusRule is only read if the CronJob O(name) records that it has alerts.
      - The CronJobs of mounted places that the CronJob O(name) records are added, unless O(reserved) has them.
    type: list
    elements: dict
    default: []
  reserved:
    description:
      - Definitions of objects that the installation will create, with their C(metadata.labels).
    type: list
    elements: dict
    default: []
  other_secrets:
    description:
      - The names of the Secrets of the places of the copies.
    type: list
    elements: str
    default: []
  identity_secret:
    description:
      - The name of the Secret with the identity of the drills.
    type: str
  copy_claims:
    description:
      - The names of the claims to which backups are copied.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - homelab.postgres_backup.attributes
  - kubernetes.core.k8s_auth_options
requirements:
  - kubernetes >= 31
  - kubernetes.core >= 6.2
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: Changes nothing.
  idempotent:
    support: full
author:
  - The homelab.postgres_backup developers (@homelab)
"""

EXAMPLES = r"""
- name: Read the image of the server behind a service
  homelab.postgres_backup.prerequisites_info:
    service:
      namespace: data
      name: postgres-postgresql
  register: prerequisites

- name: Show the image
  ansible.builtin.debug:
    var: prerequisites.server.image
"""

RETURN = r"""
server:
  description:
    - Facts about the PostgreSQL server, from the first ready pod in alphabetical order.
    - Empty without O(service). C(problem) is set if something is missing (V(service), V(port), V(selector), V(pod) or
      V(container)), if a connection pooler serves the port (V(pooler); C(direct_service) is the service of the server
      itself, if it is known), or if the service selects O(pod_labels) (V(labels)); C(found) is then what exists
      instead. C(unreadable) is set if the user may not read the service or its pods.
    - The pods of a service without a selector are those that its EndpointSlices name (C(is_by_endpoints)); C(selector)
      then contains the labels that the service and its pods have, and C(other_pods) the pods that these labels select
      too.
  type: dict
  returned: always
  sample:
    selector: {app: db}
    pod: db-0
    labels: {app: db}
    container: postgresql
    image: docker.io/bitnami/postgresql:18
    port: 5432
    pull_secrets: []
found:
  description:
    - The server that was found - its C(kind), C(name), C(id) and C(version), and C(variables), the role's variables
      without their prefix, that follow from it; C(advice) is what to do if its Secret does not exist. C(is_recorded) is
      whether the installation records it, which it does unless O(find.unset) is empty.
    - Empty if none was found or no search was needed. C(problem) is a message if it is not clear which server is meant,
      C(error) the reason if the user may not search.
  type: dict
  returned: always
  sample:
    kind: CloudNativePG
    name: shop
    id: CloudNativePG/shop
    version: 18
    variables:
      host: shop-rw.data.svc.cluster.local
      secret_name: shop-superuser
secret:
  description:
    - Whether O(secret) is C(readable), whether it exists (C(found)), its C(keys), and those of them that have no value
      (C(empty)). An empty dictionary without O(secret).
  type: dict
  returned: always
  sample:
    readable: true
    found: true
    keys: [postgres-password]
    empty: []
ca:
  description: The same information about O(ca_name), as RV(secret); empty without O(ca_name).
  type: dict
  returned: always
cert:
  description: The same information about O(cert_secret), as RV(secret); empty without O(cert_secret).
  type: dict
  returned: always
namespace:
  description:
    - The namespace as a list C(resources) of one object or none, and whether the user may read it (C(readable)); if
      not, C(error) is the reason.
    - Only read if RV(secret) does not exist; empty otherwise.
  type: dict
  returned: always
server_policies:
  description: The NetworkPolicies in the server's namespace, in the form of RV(namespace); empty without
    O(server_policies).
  type: dict
  returned: always
claim:
  description: The claim, in the form of RV(namespace); empty without O(claim).
  type: dict
  returned: always
volume:
  description: The volume of the claim, in the form of RV(namespace); empty if the claim has none.
  type: dict
  returned: always
storage_classes:
  description:
    - The StorageClasses, in the form of RV(namespace).
    - Empty without O(storage_class), and if the claim is bound.
  type: dict
  returned: always
cronjob:
  description:
    - The CronJob, in the form of RV(namespace), but only C(labels), C(annotations), the C(claims) that its pods mount,
      and whether it runs this collection's script (C(is_ours)).
    - Empty without O(name).
  type: dict
  returned: always
  sample:
    readable: true
    resources:
      - labels: {}
        annotations: {}
        claims: [postgres-backup]
        is_ours: true
rules:
  description:
    - Whether the cluster has objects of the kind PrometheusRule (C(served)); empty without O(rules), and if the user
      may not know.
  type: dict
  returned: always
  sample:
    served: true
other_secrets:
  description: The same information about each of O(other_secrets), as RV(secret), by its name.
  type: dict
  returned: always
identity_secret:
  description:
    - The same information about O(identity_secret), as RV(secret); empty without O(identity_secret). C(faults) has what
      is wrong with values that are not identities that age takes, by their keys; nothing of a value is in it.
      C(public_keys) has the public keys of the others, where they can be found out.
  type: dict
  returned: always
  sample:
    readable: true
    found: true
    keys: [identity]
    empty: []
    faults: {identity: a public key in line 1}
    public_keys: {}
copy_claims:
  description: Each of O(copy_claims), in the form of RV(namespace), by its name.
  type: dict
  returned: always
foreign:
  description: Those of O(reserved) that exist with other labels, in the form of RV(namespace).
  type: dict
  returned: always
unwanted:
  description: The existing objects of O(unwanted), in the form of RV(namespace).
  type: dict
  returned: always
"""

from typing import Any

from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.connection import Connection
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.prerequisites import (
    Server,
    cronjobs_of_places,
    is_bound,
    read,
    read_claim,
    read_cronjob,
    read_existing,
    read_foreign,
    read_keys,
    read_of_copies,
    read_served,
    read_server,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._cluster.servers import (
    search_server,
    wanted_server,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._jobs.postgres_server import (
    ServiceName,
    service_behind,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._role.monitoring import (
    RULE_KIND,
    RULE_VERSION,
    recorded,
)
from ansible_collections.homelab.postgres_backup.plugins.module_utils._servers.choose import variables_of
from ansible_collections.homelab.postgres_backup.plugins.module_utils._verify.public_keys import public_keys
from ansible_collections.homelab.postgres_backup.plugins.module_utils.key_forms import identity_fault
from ansible_collections.homelab.postgres_backup.plugins.module_utils.module_runner import run_module

ARGUMENTS = {
    "namespace": {"type": "str", "default": "data"},
    "name": {"type": "str"},
    "service": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "port": {"type": "int", "default": 5432},
        },
    },
    "find": {
        "type": "dict",
        "options": {
            "server": {"type": "str", "default": "auto"},
            "host": {"type": "str", "default": ""},
            "port": {"type": "str", "default": ""},
            "reads_service": {"type": "bool", "default": True},
            "unset": {"type": "list", "elements": "str", "default": []},
            "fallback": {"type": "dict", "default": {}},
        },
    },
    "pod_labels": {"type": "dict", "default": {}},
    "secret": {"type": "str", "no_log": False},
    "ca_kind": {"type": "str", "choices": ["ConfigMap", "Secret"]},
    "ca_name": {"type": "str"},
    "cert_secret": {"type": "str", "no_log": False},
    "server_policies": {"type": "bool", "default": False},
    "claim": {"type": "str"},
    "storage_class": {"type": "str"},
    "rules": {"type": "bool", "default": False},
    "unwanted": {"type": "list", "elements": "dict", "default": []},
    "reserved": {"type": "list", "elements": "dict", "default": []},
    "other_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "identity_secret": {"type": "str", "no_log": False},
    "copy_claims": {"type": "list", "elements": "str", "default": []},
}

_POSTGRES_PORT = 5432
RESULTS = (
    *("found", "server", "secret", "ca", "cert", "namespace", "server_policies"),
    *("claim", "volume", "storage_classes", "cronjob", "rules", "other_secrets", "copy_claims", "identity_secret"),
)


def find(parameters: dict[str, Any], connection: Connection, cronjob: dict[str, Any] | None) -> dict[str, Any]:
    """The result `found`."""
    options, namespace = parameters["find"], parameters["namespace"]
    search = search_server(connection, wanted_server(options["server"], namespace, options["host"], cronjob))
    server, problem = search.choice.server, search.choice.problem
    if server is None:
        return {name: text for name, text in (("problem", problem), ("error", search.error)) if text}
    if not server.secret_name and parameters["secret"] is None:
        problem = (
            f"postgres_backup_secret_name: expected a Secret with the password of {server.id}, found none. "
            f"{server.advice}"
        )
    details = {"variables": variables_of(server), "is_recorded": bool(options["unset"])}
    return {**server.to_dict(), **details, **({"problem": problem} if problem else {})}


def resolved(parameters: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """The parameters, with what was found where they are not set."""
    options, variables = parameters["find"], found.get("variables", {})
    fallback = {**options["fallback"], **variables}
    result = dict(parameters)
    service = service_behind(str(options["host"] or fallback.get("host", "")), parameters["namespace"])
    if parameters["service"] is None and options["reads_service"] and service is not None:
        port = int(options["port"] or fallback.get("port") or _POSTGRES_PORT)
        result["service"] = {"namespace": service.namespace, "name": service.name, "port": port}
    if parameters["secret"] is None:
        result["secret"] = fallback.get("secret_name")
    reference = variables.get("ssl_ca") or {}
    if parameters["ca_name"] is None and "secret" in reference:
        result["ca_kind"], result["ca_name"] = "Secret", reference["secret"]
    return result


def info(module: Any, connection: Connection) -> dict[str, Any]:
    """The module's result."""
    parameters: dict[str, Any] = module.params
    namespace = parameters["namespace"]
    result: dict[str, Any] = {name: {} for name in RESULTS}
    if parameters["name"]:
        result["cronjob"] = read_cronjob(connection, namespace, parameters["name"])
    if parameters["find"]:
        result["found"] = find(parameters, connection, result["cronjob"] or None)
        parameters = resolved(parameters, result["found"])
    service = parameters["service"]
    if service:
        name = ServiceName(service["namespace"], service["name"])
        result["server"] = read_server(connection, Server(name, service["port"], parameters["pod_labels"]))
        if parameters["server_policies"]:
            result["server_policies"] = read(lambda: connection.network_policies(name.namespace))
    if parameters["secret"]:
        result["secret"] = read_keys(connection, "Secret", namespace, parameters["secret"])
        if result["secret"]["readable"] and not result["secret"]["found"]:
            result["namespace"] = read(lambda: connection.namespace(namespace))
    if parameters["ca_name"]:
        result["ca"] = read_keys(connection, parameters["ca_kind"], namespace, parameters["ca_name"])
    if parameters["cert_secret"]:
        result["cert"] = read_keys(connection, "Secret", namespace, parameters["cert_secret"])
    if parameters["claim"]:
        result["claim"], result["volume"] = read_claim(connection, namespace, parameters["claim"])
        if parameters["storage_class"] and not is_bound(result["claim"]):
            result["storage_classes"] = read(connection.storage_classes)
    if parameters["rules"]:
        result["rules"] = read_served(connection, RULE_VERSION, RULE_KIND)
    of_copies = read_of_copies(connection, namespace, parameters["other_secrets"], parameters["copy_claims"])
    result["other_secrets"], result["copy_claims"] = of_copies
    if parameters["identity_secret"]:
        checks = {"faults": identity_fault, "public_keys": public_keys}
        result["identity_secret"] = read_keys(connection, "Secret", namespace, parameters["identity_secret"], checks)
    result["foreign"] = read_foreign(connection, parameters["reserved"])
    annotations = next((each["annotations"] for each in result["cronjob"].get("resources", [])), {})
    of_places = cronjobs_of_places(namespace, parameters["name"] or "", annotations, parameters["reserved"])
    result["unwanted"] = read_existing(connection, [*of_places, *recorded(parameters["unwanted"], annotations)])
    return {"changed": False, **result}


def main() -> None:
    run_module(ARGUMENTS, info, common=False, required_together=[("ca_kind", "ca_name")])


if __name__ == "__main__":
    main()
