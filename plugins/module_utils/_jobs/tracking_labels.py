# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The labels by which Argo CD and Flux mark what belongs to their source.

An object that is not in the source, has no owner and has such a label is deleted by Argo CD, if it tracks by label
(Argo CD 3.6, gitops-engine/pkg/cache/cluster.go, GetManagedLiveObjs, and util/kube/kube.go, SetAppInstanceLabel).
"""

from __future__ import annotations

from collections.abc import Mapping

_TRACKING = ("app.kubernetes.io/instance", "argocd.argoproj.io/instance", "applications.argoproj.io/app-name")
_FLUX = "kustomize.toolkit.fluxcd.io/"


def without_tracking(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels for an object that has no owner; those of its pods need not change, because a Job owns them."""
    return {name: text for name, text in labels.items() if name not in _TRACKING and not name.startswith(_FLUX)}
