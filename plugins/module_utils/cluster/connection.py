# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The connection to a cluster: kubernetes.core's own authentication, answers as plain dictionaries, errors in words."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from ..errors import ClusterError, ForbiddenError, NotFoundError

try:
    import urllib3
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException
    from kubernetes.client import BatchV1Api, CoreV1Api, StorageV1Api
    from kubernetes.client.exceptions import ApiException
except ImportError:  # the module says so: module_support.py
    pass

Object = dict[str, Any]
# To reach the API server, and for each of its answers.
CONNECT_SECONDS, READ_SECONDS = 10, 60
# A log may be silent for long: its end comes with the pod.
FOLLOW_SECONDS = 86400


class Connection:
    """A cluster as one user sees it; `module` is the Ansible module with kubernetes.core's authentication options.

    Every method raises ClusterError: NotFoundError and ForbiddenError for the API server's 404 and 403.
    """

    def __init__(self, module: Any) -> None:
        # kubernetes.core asks for the server's version and sets no limit.
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(CONNECT_SECONDS / 2)
        try:
            client = get_api_client(module).client.client
        except CoreException as error:
            raise ClusterError(f"{error}. Look at `kubeconfig` and `context` (kubectl config get-contexts)") from error
        except ApiException as error:
            raise _api_error(error, "the API server's version") from error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise _unreachable(error) from error
        finally:
            socket.setdefaulttimeout(before)
        self.core = CoreV1Api(client)
        self.batch = BatchV1Api(client)
        self.storage = StorageV1Api(client)

    def call(self, what: str, method: Callable[..., Any], *arguments: Any, **options: Any) -> Object:
        """The API server's answer; `what` names the object in error messages, `method` is one of the client's."""
        response = self.open(what, method, *arguments, _request_timeout=(CONNECT_SECONDS, READ_SECONDS), **options)
        try:
            found: Object = json.loads(response.data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(error) from error
        finally:
            response.release_conn()
        return found

    def open(self, what: str, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The same, as the urllib3 response: the caller reads it, and knows how long to wait."""
        try:
            return method(*arguments, _preload_content=False, **options)
        except ApiException as error:
            raise _api_error(error, what) from error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise _unreachable(error) from error

    # ----------------------------------------------------------------------------------------------------- objects

    def cronjob(self, namespace: str, name: str) -> Object:
        """The CronJob; when it is not there, the error names those that are."""
        try:
            return self.call(f"the CronJob '{namespace}/{name}'", self.batch.read_namespaced_cron_job, name, namespace)
        except NotFoundError as error:
            raise NotFoundError(f"{error}. {self._others(namespace)}") from error

    def _others(self, namespace: str) -> str:
        try:
            self.call("", self.core.read_namespace, namespace)
        except NotFoundError:
            return f"There is no namespace '{namespace}': look at `namespace`, `context` and `kubeconfig`"
        except ClusterError:
            pass  # many may not read namespaces
        try:
            found = self.call("", self.batch.list_namespaced_cron_job, namespace)
        except ClusterError:
            return "Look at `namespace` and `name`"
        names = ", ".join(sorted(item["metadata"]["name"] for item in found["items"]))
        return f"CronJobs in that namespace: {names or 'none'}. Look at `namespace` and `name`"

    def job(self, namespace: str, name: str) -> Object:
        return self.call(f"the Job '{namespace}/{name}'", self.batch.read_namespaced_job, name, namespace)

    def jobs(self, namespace: str) -> list[Object]:
        found = self.call(f"the Jobs in '{namespace}'", self.batch.list_namespaced_job, namespace)
        return [*found["items"]]

    def create_job(self, job: Object) -> Object:
        metadata = job["metadata"]
        what = f"the Job '{metadata['namespace']}/{metadata['name']}'"
        return self.call(what, self.batch.create_namespaced_job, metadata["namespace"], job)

    def delete_job(self, namespace: str, name: str) -> None:
        """The Job and its pods, in the background; none is no error."""
        options = {"propagationPolicy": "Background"}
        try:
            what = f"the Job '{namespace}/{name}'"
            self.call(what, self.batch.delete_namespaced_job, name, namespace, body=options)
        except NotFoundError:
            pass

    def pods_of_job(self, namespace: str, job: str) -> list[Object]:
        """Oldest first."""
        selector = f"batch.kubernetes.io/job-name={job}"
        found = self.call(
            f"the pods in '{namespace}'", self.core.list_namespaced_pod, namespace, label_selector=selector
        )
        return sorted(found["items"], key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pods(self, namespace: str, selector: str = "") -> list[Object]:
        found = self.call(
            f"the pods in '{namespace}'", self.core.list_namespaced_pod, namespace, label_selector=selector
        )
        return [*found["items"]]

    def events(self, namespace: str, kind: str, name: str) -> list[Object]:
        """The events about an object; none where the user may not read them."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        try:
            found = self.call("the events", self.core.list_namespaced_event, namespace, field_selector=selector)
        except ForbiddenError:
            return []
        return [*found["items"]]

    def log(  # noqa: PLR0917  # as the API has them
        self,
        namespace: str,
        pod: str,
        container: str,
        follow: bool = False,
        previous: bool = False,
        stamps: bool = False,
    ) -> Any:
        """A container's log as a stream of bytes (a urllib3 response), with the kubelet's times before the lines."""
        return self.open(
            f"the log of the pod '{namespace}/{pod}'",
            self.core.read_namespaced_pod_log,
            pod,
            namespace,
            container=container,
            follow=follow,
            previous=previous,
            timestamps=stamps,
            _request_timeout=(CONNECT_SECONDS, FOLLOW_SECONDS if follow else READ_SECONDS),
        )


def _api_error(error: Any, what: str) -> ClusterError:
    """What the API server answered (meta/v1 Status)."""
    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.reason or "no reason was given"
    if error.status == 404:
        return NotFoundError(f"{what} is not there: {message}")
    if error.status == 401:
        return ForbiddenError(f"the API server does not know this user (401): {message}. Renew the credentials")
    if error.status == 403:
        return ForbiddenError(f"this user may not use {what}: {message}. Give it the Role that the README lists")
    return ClusterError(f"{what}: the API server answered {error.status}: {message}")


def _unreachable(error: Exception) -> ClusterError:
    return ClusterError(
        f"the API server cannot be reached: {error}. Look at `kubeconfig`, `context` and `host`, and whether it runs"
    )
