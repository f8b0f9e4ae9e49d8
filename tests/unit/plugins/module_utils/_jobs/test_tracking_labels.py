# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Objects without an owner do not look to Argo CD or Flux as if they belonged to their source."""

from __future__ import annotations

from plugins.module_utils._jobs.backup_user_secret import SecretKey, new_secret
from plugins.module_utils._jobs.tracking_labels import without_tracking
from plugins.module_utils._jobs.volume_jobs import ReaderRequest, reader_job
from tests.unit.plugins.module_utils.cronjobs import cronjob

LABELS = {
    "app.kubernetes.io/instance": "databases",
    "app.kubernetes.io/component": "backup",
    "argocd.argoproj.io/instance": "databases",
    "kustomize.toolkit.fluxcd.io/name": "databases",
    "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    "team": "a",
}


def test_other_labels_stay() -> None:
    assert without_tracking(LABELS) == {"app.kubernetes.io/component": "backup", "team": "a"}


def test_reader_is_not_tracked_but_its_pod_has_the_labels_that_policies_select() -> None:
    made = cronjob()
    made["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"] = dict(LABELS)
    job = reader_job(made, "backup-reader-1", {}, ReaderRequest())
    assert job["metadata"]["labels"] == {"app.kubernetes.io/component": "reader", "team": "a"}
    assert "ownerReferences" not in job["metadata"]
    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "databases"


def test_secret_of_a_backup_user_is_not_tracked() -> None:
    secret = new_secret(SecretKey("data", "backup-user", "password"), "backup", LABELS)
    assert secret["metadata"]["labels"] == {"app.kubernetes.io/component": "backup", "team": "a"}
