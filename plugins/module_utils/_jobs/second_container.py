# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Containers that a cluster adds to pods and that do not end with the script's, and the variables that change this."""

from __future__ import annotations

from collections.abc import Iterable

_ANNOTATIONS, _LABELS = "postgres_backup_pod_annotations", "postgres_backup_pod_labels"
# By the container's name. The first setting keeps the proxy, as a sidecar container that Kubernetes ends (restartPolicy
# Always in initContainers, Kubernetes 1.29); the second one leaves it out.
# Istio 1.24: istio.io/latest/docs/reference/config/annotations, …/labels. Linkerd 2.18: linkerd.io/2/features/
# native-sidecars, …/proxy-injection. Kuma: kuma.io/docs, "Kuma annotations and labels". Vault: developer.hashicorp.com/
# vault/docs/platform/k8s/injector/annotations.
_SETTINGS = {
    "istio-proxy": (
        f'{_ANNOTATIONS}: {{sidecar.istio.io/nativeSidecar: "true"}}',
        f'{_LABELS}: {{sidecar.istio.io/inject: "false"}}',
    ),
    "linkerd-proxy": (
        f'{_ANNOTATIONS}: {{config.beta.linkerd.io/proxy-enable-native-sidecar: "true"}}',
        f"{_ANNOTATIONS}: {{linkerd.io/inject: disabled}}",
    ),
    "kuma-sidecar": (f"{_LABELS}: {{kuma.io/sidecar-injection: disabled}}",),
    "vault-agent": (f'{_ANNOTATIONS}: {{vault.hashicorp.com/agent-pre-populate-only: "true"}}',),
}
_UNKNOWN = f"Keep it out of the CronJob's pods ({_ANNOTATIONS}, {_LABELS}), or let it end with them"


def advice_for(containers: Iterable[str]) -> str:
    """What to set so that these containers end with the pod, or are not in it."""
    settings = [" or ".join(_SETTINGS[name]) for name in containers if name in _SETTINGS]
    return f"Set {'; and '.join(settings)}" if settings else _UNKNOWN
