# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the backups need in the cluster: a namespace, the Secret, the server, its CA, a NetworkPolicy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._jobs.identity import KEY as IDENTITY_KEY
from .._jobs.postgres_server import ServiceName, service_behind
from .._jobs.volume_jobs import COMPONENT, COPY, WATCH
from .._volume.recipients import are_of_others
from ..key_forms import IDENTITY
from .checks import is_true
from .copy_places import required_keys
from .dump_selection import unsupported_messages
from .monitoring import RULE_KIND, RULE_VERSION
from .variables import AUTO, DEFAULT_CA_KEY, DEFAULT_CERTIFICATE_KEYS

SERVER_POLICY_SUFFIX = "-server"
# The problems of a server (PostgresServer) that do not stop the role if the image is set.
_WITHOUT_A_POD = frozenset({"selector", "container"})
# What a CronJob is that does not make backups, by its component.
_OWNERS = {COPY: "that of the copies", WATCH: "the watch"}

Object = Mapping[str, Any]


def missing_prerequisites(variables: Object, prerequisites: Object) -> list[str]:
    """A message for each prerequisite that is missing; what this user may not read counts as present.

    `variables` holds the role's variables by their full names, `prerequisites` the result of the module
    prerequisites_info.
    """
    found = prerequisites.get("found") or {}
    if found.get("problem"):
        return [str(found["problem"])]
    namespace = str(variables["postgres_backup_namespace"])
    service = service_behind(str(variables["postgres_backup_host"]), namespace)
    server = prerequisites["server"]
    has_namespace = prerequisites["namespace"].get("resources") != []
    messages: list[str] = []
    if has_namespace:
        messages += _secret_messages(prerequisites["secret"], variables, found)
        messages += _certificate_messages(prerequisites.get("cert") or {}, variables)
    else:
        messages.append(
            f"postgres_backup_namespace: expected a namespace that exists, found none named {namespace}. "
            "Create it, or set postgres_backup_namespace."
        )
    if service is not None and (has_namespace or service.namespace != namespace):
        messages += _server_messages(server, f"{service.namespace}/{service.name}", variables)
        # With postgres_backup_image, these are checked before the cluster is read.
        if not str(variables["postgres_backup_image"]):
            messages += unsupported_messages(variables, str(server.get("image") or ""))
    if variables["postgres_backup_ssl_ca"]:
        messages += _ca_messages(prerequisites["ca"], variables)
    if is_true(variables["postgres_backup_server_network_policy"]):
        policies = prerequisites["server_policies"].get("resources")
        messages += _policy_messages(server, service, policies, variables)
    # With `auto`, the alerts are left out.
    if is_true(variables["postgres_backup_alerts"]) and not (prerequisites.get("rules") or {}).get("served", True):
        messages.append(
            f"postgres_backup_alerts: expected a cluster with objects of the kind {RULE_KIND} ({RULE_VERSION}), "
            f"found none. Install the Prometheus operator, or set postgres_backup_alerts to {AUTO} or false."
        )
    if has_namespace:
        messages += _copy_messages(prerequisites, variables)
        messages += _drill_messages(prerequisites.get("identity_secret") or {}, variables)
    messages += _name_messages(prerequisites.get("cronjob") or {}, variables)
    return [*messages, *_foreign_messages(prerequisites.get("foreign") or {})]


def _name_messages(cronjob: Object, variables: Object) -> Iterator[str]:
    """The CronJob of this name may be that of the copies or of the watch of another installation."""
    for found in cronjob.get("resources") or []:
        owner = _OWNERS.get(str((found.get("labels") or {}).get(COMPONENT)))
        if owner:
            yield (
                f"postgres_backup_name: expected the CronJob {variables['postgres_backup_name']} to be that of "
                f"backups, found {owner} of another installation, which this one would replace. Set another "
                "postgres_backup_name."
            )


def _foreign_messages(foreign: Object) -> Iterator[str]:
    for definition in foreign.get("resources") or []:
        metadata = definition["metadata"]
        of_copies = (metadata.get("labels") or {}).get(COMPONENT) == COPY
        variable, owner, off = (
            ("copies", "for the copies", "to []") if of_copies else ("watch", "the watch", "to false")
        )
        yield (
            f"postgres_backup_{variable}: expected {definition['kind']} {metadata['name']} to be {owner} of this "
            "installation, found another object. Set another postgres_backup_name, or "
            f"postgres_backup_{variable} {off}."
        )


def _copy_messages(prerequisites: Object, variables: Object) -> Iterator[str]:
    """The Secrets and claims of the places of the copies."""
    namespace = variables["postgres_backup_namespace"]
    secrets, claims = prerequisites.get("other_secrets") or {}, prerequisites.get("copy_claims") or {}
    for place in variables["postgres_backup_copies"]:
        start = f"postgres_backup_copies: the place {place['name']}: expected the"
        secret = secrets.get(str(place.get("secret") or "")) or {}
        if secret.get("readable") and not secret["found"]:
            keys_of_place = ", ".join(" or ".join(keys) for keys in required_keys(place))
            yield (
                f"{start} Secret {namespace}/{place['secret']}, found none. Create it with {keys_of_place}, or set "
                "`secret`."
            )
        elif secret.get("readable"):
            for keys in required_keys(place):
                if not set(keys) & _keys_with_a_value(secret):
                    yield (
                        f"{start} key {' or '.join(keys)} in the Secret {namespace}/{place['secret']}, found "
                        f"{_keys(secret)}. Add it to the Secret, with a value."
                    )
        claim = claims.get(str(place.get("claim_name") or "")) or {}
        if claim.get("readable") and not claim["resources"]:
            yield (
                f"{start} PersistentVolumeClaim {namespace}/{place['claim_name']}, found none. Create it, or set "
                "`claim_name`."
            )


def _drill_messages(secret: Object, variables: Object) -> Iterator[str]:
    name = str(variables["postgres_backup_drill_identity_secret"])
    path = f"{variables['postgres_backup_namespace']}/{name}"
    fault = (secret.get("faults") or {}).get(IDENTITY_KEY)
    keys: list[str] = (secret.get("public_keys") or {}).get(IDENTITY_KEY) or []
    start = "postgres_backup_drill_identity_secret: expected the"
    if secret.get("readable") and not secret["found"]:
        yield (
            f"{start} Secret {path}, found none. Create it: kubectl create secret generic {name} "
            f"-n {variables['postgres_backup_namespace']} --from-file={IDENTITY_KEY}=IDENTITY-FILE"
        )
    elif secret.get("readable") and IDENTITY_KEY not in _keys_with_a_value(secret):
        yield (
            f"{start} key {IDENTITY_KEY} in the Secret {path}, found {_keys(secret)}. Add it to the Secret, with a "
            "value."
        )
    elif fault:
        yield (
            f"postgres_backup_drill_identity_secret: expected the key {IDENTITY_KEY} in the Secret {path} to have "
            f"{IDENTITY}, found {fault}. Create the Secret again, with the private key of one of "
            "postgres_backup_recipients."
        )
    elif are_of_others(keys, map(str, variables["postgres_backup_recipients"])):
        yield (
            f"postgres_backup_drill_identity_secret: expected the key {IDENTITY_KEY} in the Secret {path} to have the "
            f"private key of one of postgres_backup_recipients, found that of {' and '.join(keys)}. Create the Secret "
            "again, or add its public key to postgres_backup_recipients."
        )


def _secret_messages(secret: Object, variables: Object, found: Object) -> Iterator[str]:
    if not secret.get("readable"):
        return  # also without a password, where the client certificate suffices
    path = f"{variables['postgres_backup_namespace']}/{variables['postgres_backup_secret_name']}"
    key = variables["postgres_backup_secret_key"]
    if not secret["found"]:
        is_of_found = found.get("secret_name") == variables["postgres_backup_secret_name"] and found.get("advice")
        password, advice = "the server's password", "Create it"
        if is_of_found:
            password, advice = f"the password of {found['id']}", f"{found['advice']} Or create it"
        yield (
            f"postgres_backup_secret_name: expected the Secret {path} with {password}, found none. "
            f"{advice}, or set postgres_backup_secret_name."
        )
    elif key not in secret["keys"]:
        yield (
            f"postgres_backup_secret_key: expected the key {key} in the Secret {path}, found {_keys(secret)}. "
            "Set postgres_backup_secret_key."
        )


def _server_messages(server: Object, service: str, variables: Object) -> Iterator[str]:
    problem, found = server.get("problem"), server.get("found")
    host, port = variables["postgres_backup_host"], variables["postgres_backup_port"]
    needs_image = not str(variables["postgres_backup_image"])
    if problem == "service":
        yield (
            f"postgres_backup_host: expected the service {service} behind {host}, found {found}. "
            "Set postgres_backup_host; for a server outside this cluster, set postgres_backup_image too."
        )
    elif problem == "port":
        yield (
            f"postgres_backup_port: expected the service {service} to serve port {port}, found {found}. "
            "Set postgres_backup_port."
        )
    elif problem == "selector" and needs_image:
        yield (
            f"postgres_backup_image: expected pods behind the service {service} that show the server's image, "
            f"found {found}. Set postgres_backup_image to one with pg_dumpall of the server's major version."
        )
    elif problem == "pod":
        yield (
            f"postgres_backup_host: expected a ready pod behind the service {service}, found {found}. "
            "Start the server, or set postgres_backup_host."
        )
    elif problem == "pooler":
        yield (
            f"postgres_backup_host: expected PostgreSQL itself behind the service {service}, found {found}: it refuses "
            "settings that pg_dump and restores need, or gives them to the next client. "
            f"Set {_server_itself(server, service.partition('/')[0])}."
        )
    elif problem == "container" and needs_image:
        yield (
            f"postgres_backup_image: expected a container behind port {port} of the service {service}, found {found}, "
            "none of which declares that port. Set postgres_backup_image to the server's image."
        )
    elif problem == "labels":
        yield (
            f"postgres_backup_pod_labels: expected labels that the service {service} does not select, found {found}: "
            "the service would send connections to the backup's pods. Set other postgres_backup_pod_labels, "
            "or add labels to the service's selector."
        )
    elif server.get("unreadable") and needs_image:
        yield (
            "postgres_backup_image: the server's image is unknown, because this user may not read the service "
            f"{service} and its pods or EndpointSlices. Set postgres_backup_image to the server's image."
        )
    # Without its pod, `auto` would remove what an earlier run has set.
    if server.get("unreadable") or problem in _WITHOUT_A_POD:
        for name in ("postgres_backup_node_selector", "postgres_backup_tolerations"):
            if variables[name] == AUTO:
                yield (
                    f"{name}: expected a pod of the server that this user may read, since it is {AUTO}, found none "
                    f"behind the service {service}. Set {name} to a value."
                )


def _server_itself(server: Object, namespace: str) -> str:
    """What to set instead of a pooler."""
    if server.get("direct_port"):
        return f"postgres_backup_port to {server['direct_port']}, the port of the server"
    if server.get("direct_service"):
        return f"postgres_backup_host to {server['direct_service']}.{namespace}.svc.cluster.local"
    return "postgres_backup_host to the service of the server"


def _ca_messages(ca: Object, variables: Object) -> Iterator[str]:
    if not ca["readable"]:
        return
    reference = variables["postgres_backup_ssl_ca"]
    kind, option = ("ConfigMap", "config_map") if "config_map" in reference else ("Secret", "secret")
    path = f"{variables['postgres_backup_namespace']}/{reference[option]}"
    key = reference.get("key", DEFAULT_CA_KEY)
    if not ca["found"]:
        yield (
            f"postgres_backup_ssl_ca: expected the {kind} {path} with the CA certificate, found none. "
            "Create it, or set postgres_backup_ssl_ca."
        )
    elif key not in ca["keys"]:
        yield (
            f"postgres_backup_ssl_ca: expected the key {key} in the {kind} {path}, found {_keys(ca)}. "
            "Set key in postgres_backup_ssl_ca."
        )


def _certificate_messages(certificate: Object, variables: Object) -> Iterator[str]:
    if not certificate.get("readable"):
        return
    reference = variables["postgres_backup_ssl_cert"]
    path = f"{variables['postgres_backup_namespace']}/{reference['secret']}"
    if not certificate["found"]:
        yield (
            f"postgres_backup_ssl_cert: expected the Secret {path} with the client certificate, found none. "
            "Create it, or set postgres_backup_ssl_cert."
        )
        return
    for option, default in DEFAULT_CERTIFICATE_KEYS.items():
        key = reference.get(option, default)
        if key not in certificate["keys"]:
            yield (
                f"postgres_backup_ssl_cert: expected the key {key} in the Secret {path}, found {_keys(certificate)}. "
                f"Set {option} in postgres_backup_ssl_cert."
            )


def _policy_messages(
    server: Object, service: ServiceName | None, policies: Sequence[Object] | None, variables: Object
) -> Iterator[str]:
    """The role's policy for the server's pods requires another policy that already isolates them."""
    own = f"{variables['postgres_backup_name']}{SERVER_POLICY_SUFFIX}"
    labels = variables["postgres_backup_server_pods"].get("labels")
    if service is None or not (labels or server.get("selector")):
        yield (
            "postgres_backup_server_network_policy: expected a service of this cluster, whose pods the policy can "
            f"select, found {variables['postgres_backup_host']}. Set postgres_backup_server_network_policy to false."
        )
    elif server.get("other_pods") and not labels:
        yield (
            f"postgres_backup_server_network_policy: expected labels of the service {service.namespace}/{service.name} "
            f"that only the server's pods have, found pods that are not the server's: "
            f"{', '.join(server['other_pods'])}. The role's policy would apply to them too. Set "
            "postgres_backup_server_pods, or postgres_backup_server_network_policy to false."
        )
    elif policies is not None and not any(
        policy["metadata"]["name"] != own and _isolates(policy, {**(server.get("labels") or {}), **(labels or {})})
        for policy in policies
    ):
        yield (
            f"postgres_backup_server_network_policy: expected a NetworkPolicy in {service.namespace} that already "
            "isolates the server's pods, found none: the role's policy alone would block all other clients. "
            "Set postgres_backup_server_network_policy to false."
        )


def _isolates(policy: Object, labels: Mapping[str, str]) -> bool:
    """Whether the NetworkPolicy restricts connections to pods with these labels."""
    spec = policy["spec"]
    selected = (spec.get("podSelector") or {}).get("matchLabels") or {}
    selects = all(labels.get(key) == value for key, value in selected.items())
    return selects and "Ingress" in (spec.get("policyTypes") or [])


def _keys_with_a_value(answer: Object) -> set[str]:
    """Those with more than spaces and line ends, such as of a file that was empty when its Secret was created."""
    return set(answer["keys"]) - set(answer.get("empty") or [])


def _keys(answer: Object) -> str:
    """The keys of a Secret or ConfigMap, as a list for people."""
    empty = answer.get("empty") or []
    return ", ".join(f"{key} (empty)" if key in empty else key for key in sorted(answer["keys"])) or "no keys"
