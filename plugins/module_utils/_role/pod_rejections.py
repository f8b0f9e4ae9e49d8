# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A dry run of the pods that the CronJobs make: what a quota, a limit range or an admission policy refuses of them.

A CronJob is accepted whatever is true of its pods. Only the Job's events say at night that there is none.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._jobs.job_templates import pod_spec
from .._jobs.quota import is_quota_exceeded, quota_is_too_small
from .._jobs.second_container import advice_for
from .rejections import FORBIDDEN, NO_NAMESPACE, is_copy, is_drill, is_second, is_watch, status_of, variables_of

Object = Mapping[str, Any]

# The resource limits of quota and limit range (kubernetes plugin/pkg/admission/limitranger,
# k8s.io/apiserver/pkg/admission/plugin/resourcequota), and the words of a policy that somebody wrote.
_RESOURCES = re.compile(
    r"(exceeded|failed) quota|usage per (Container|Pod)|limit to request ratio|\bresources\b"
    r"|\b(cpu|memory) (limit|request)|(limits?|requests)\.(cpu|memory)",
    re.IGNORECASE,
)
# In the order in which a message names them. The names of fields and annotations in policies and in Pod Security's
# messages (k8s.io/pod-security-admission/policy), which rejections.py knows from the API's validation.
_VARIABLES = {
    _RESOURCES: "postgres_backup_resources",
    re.compile(r"metadata\.labels|\blabels?\b", re.IGNORECASE): "postgres_backup_pod_labels",
    re.compile(r"metadata\.annotations|\bannotations?\b", re.IGNORECASE): "postgres_backup_pod_annotations",
    re.compile(r"\bimages?\b|\bregistr(y|ies)\b", re.IGNORECASE): "postgres_backup_image",
    re.compile(r"imagePullPolicy"): "postgres_backup_image_pull_policy",
    # Pod Security "restricted" of the pod that copies to a share.
    re.compile(r'"place-[0-9]+" uses restricted volume type "nfs"'): "postgres_backup_copies",
}
_CHANGEABLE = (
    "postgres_backup_resources, postgres_backup_pod_labels, postgres_backup_pod_annotations, postgres_backup_image, "
    "postgres_backup_run_as_user, postgres_backup_fs_group, postgres_backup_node_selector and "
    "postgres_backup_tolerations"
)
_ADVICE = {
    "postgres_backup_resources": ". Set requests and limits that the namespace's quota and limit ranges allow.",
    "postgres_backup_copies": (
        ". Make a PersistentVolume of the share and a claim that is bound to it, and use the kind claim: a pod of this "
        "namespace may mount claims."
    ),
    "": f". Variables that change the pods: {_CHANGEABLE}.",
}
# A webhook that is not available, or that has side effects (k8s.io/apiserver/pkg/admission/plugin/webhook).
_NOT_JUDGED = re.compile("failed calling webhook|does not support dry run")
# The pods' ServiceAccount does not exist before the first run.
_SERVICE_ACCOUNT = re.compile("service ?account", re.IGNORECASE)
# By how many characters notes differ from one another.
_SAME_NOTE = 40
_TEMPORARY = frozenset({429, 500, 502, 503, 504})


def dry_run_pods(objects: Sequence[Object], service_account: str) -> list[dict[str, Any]]:
    """A pod of each CronJob among `objects`, in their order, as its Jobs would make it.

    `service_account` is one that exists: a pod with any other is refused for that reason alone.
    """
    return [_pod(cronjob, service_account) for cronjob in objects if cronjob["kind"] == "CronJob"]


def _pod(cronjob: Object, service_account: str) -> dict[str, Any]:
    metadata = cronjob["metadata"]
    template = copy.deepcopy(cronjob["spec"]["jobTemplate"]["spec"]["template"])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **(template.get("metadata") or {}),
            "name": f"{metadata['name']}-dry-run",
            "namespace": metadata["namespace"],
        },
        "spec": {**template["spec"], "serviceAccountName": service_account},
    }


def explain_pods(objects: Sequence[Object], results: Sequence[Object]) -> dict[str, list[str]]:
    """What the dry run of the pods shows: `refused` has messages for the user, `notes` has what is not certain.

    `results` has the result of kubernetes.core.k8s for each of `objects` and then for each of their pods
    (`dry_run_pods`). A pod is left out if its CronJob is refused, since it would be refused for the same reason.
    """
    cronjobs = [
        (resource, "error" in result) for resource, result in zip(objects, results) if resource["kind"] == "CronJob"
    ]
    refused: dict[str, None] = {}
    notes: dict[str, str] = {}
    subjects: set[str] = set()
    # The backups first: what is refused of both pods is reported once.
    answers = sorted(zip(cronjobs, results[len(objects) :]), key=lambda answer: is_second(answer[0][0]))
    for (cronjob, is_cronjob_refused), result in answers:
        if "error" not in result:
            added = _added_containers(cronjob, result)
            if added and not is_cronjob_refused:
                notes.setdefault("containers", _added_note(added))
            continue
        if is_cronjob_refused:
            continue
        status = status_of(str(result["error"]["msg"]))
        message = str(status.get("message") or result["error"]["msg"])
        if NO_NAMESPACE.search(message):
            continue
        note = _note(message, status)
        if note is not None:
            # The names of the pods are the only difference.
            notes.setdefault(note[:_SAME_NOTE], note)
            continue
        subject = _subject(cronjob, message, status)
        if subject not in subjects:
            refused[_refused(subject, cronjob, message)] = None
        subjects.add(subject)
    return {"refused": [*refused], "notes": [*notes.values()]}


def _added_containers(cronjob: Object, result: Object) -> list[str]:
    """What a webhook adds to the pod, without sidecar containers, which Kubernetes ends: those are init containers."""
    pod = (result.get("result") or {}).get("spec") or {}
    own = {container["name"] for container in pod_spec(cronjob)["containers"]}
    return [container["name"] for container in pod.get("containers") or [] if container["name"] not in own]


def _added_note(names: Sequence[str]) -> str:
    return (
        f"WARNING: the cluster adds the container {', '.join(names)} to the pods. If it does not end, each Job "
        f"continues until its deadline, and no other run starts before. {advice_for(names)}."
    )


def _note(message: str, status: Mapping[str, Any]) -> str | None:
    """What to say of an error that does not show that the pods would be refused at night; None if it does."""
    if FORBIDDEN.search(message):
        return "Not checked: whether quotas and policies admit the pods, since this user may not get and create pods."
    if is_quota_exceeded(message) and not quota_is_too_small(message):
        return f"The quota of the namespace admits no further pod now, and a run waits until it does: {message}"
    if _NOT_JUDGED.search(message) or status.get("code") in _TEMPORARY or _SERVICE_ACCOUNT.search(message):
        return f"Not checked: whether quotas and policies admit the pods. The API server's answer: {message}"
    return None


def _subject(cronjob: Object, message: str, status: Mapping[str, Any]) -> str:
    causes = (status.get("details") or {}).get("causes") or []
    text = " ".join([message, *(str(cause.get("field") or "") for cause in causes)])
    names = [*variables_of(cronjob, text), *(name for pattern, name in _VARIABLES.items() if pattern.search(text))]
    return ", ".join(dict.fromkeys(names))


def _refused(subject: str, cronjob: Object, message: str) -> str:
    kinds = ((is_watch, "watch"), (is_copy, "copies"), (is_drill, "drills"))
    kind = next((name for is_of, name in kinds if is_of(cronjob)), "backups")
    advice = _ADVICE.get(subject, "")
    name = subject or f"{cronjob['kind']} {cronjob['metadata']['name']}"
    return f"{name}: the API server refuses the pods of the {kind}: {message}{advice}"
