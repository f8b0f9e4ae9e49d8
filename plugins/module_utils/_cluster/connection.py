# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The connection to a cluster: kubernetes.core's own authentication, answers as plain dictionaries, errors in words."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any
from urllib.parse import quote, urlencode

from ..errors import ClusterError, ForbiddenError, NotFoundError

try:
    import urllib3
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException
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
            client = get_api_client(module).client
        except CoreException as error:
            raise ClusterError(f"{error}. Look at `kubeconfig` and `context` (kubectl config get-contexts)") from error
        except ApiException as error:
            raise _api_error(error, "the API server's version") from error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise _unreachable(error) from error
        finally:
            socket.setdefaulttimeout(before)
        self._client = client

    @property
    def core(self) -> Any:
        """The generated CoreV1Api, for what needs it: importing its models takes longer than most of our calls."""
        from kubernetes.client import CoreV1Api  # noqa: PLC0415

        return CoreV1Api(self._client.client)

    def call(self, what: str, path: str, method: str = "GET", body: Object | None = None, **query: Any) -> Object:
        """The API server's answer; `what` names the object in error messages, `path` is the API's own."""
        response = self._open(what, path, method, body, READ_SECONDS, query)
        try:
            found: Object = json.loads(response.data)
        except ValueError as error:
            raise ClusterError(f"{what}: the API server's answer is no JSON. Is there a proxy before it?") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(error) from error
        finally:
            response.release_conn()
        return found

    def _open(self, what: str, path: str, method: str, body: Object | None, seconds: int, query: Object) -> Any:  # noqa: PLR0917  # as a request has them
        """The same, as the urllib3 response: the caller reads it."""
        given = {key: str(value).lower() if isinstance(value, bool) else value for key, value in query.items() if value}
        try:
            return self._client.request(
                method,
                f"{path}?{urlencode(given)}" if given else path,
                body=body,
                serialize=False,
                _request_timeout=(CONNECT_SECONDS, seconds),
            )
        except ApiException as error:
            raise _api_error(error, what) from error
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise _unreachable(error) from error

    # ----------------------------------------------------------------------------------------------------- objects

    def cronjob(self, namespace: str, name: str) -> Object:
        """The CronJob; when it is not there, the error names those that are."""
        if not namespace or not name:
            raise NotFoundError("`namespace` and `name`: expected those of a CronJob, found nothing")
        try:
            return self.call(f"the CronJob '{namespace}/{name}'", _path("batch/v1", namespace, "cronjobs", name))
        except NotFoundError as error:
            raise NotFoundError(f"{error}. {self._others(namespace)}") from error

    def cronjob_if_any(self, namespace: str, name: str) -> Object | None:
        """The CronJob; None when it is not there."""
        try:
            return self.call(f"the CronJob '{namespace}/{name}'", _path("batch/v1", namespace, "cronjobs", name))
        except NotFoundError:
            return None

    def _others(self, namespace: str) -> str:
        try:
            self.call("the namespace", f"/api/v1/namespaces/{quote(namespace, safe='')}")
        except NotFoundError:
            return f"There is no namespace '{namespace}': look at `namespace`, `context` and `kubeconfig`"
        except ClusterError:
            pass  # many may not read namespaces
        try:
            found = self.call("the CronJobs", _path("batch/v1", namespace, "cronjobs"))
        except ClusterError:
            return "Look at `namespace` and `name`"
        names = ", ".join(sorted(item["metadata"]["name"] for item in found["items"]))
        return f"CronJobs in that namespace: {names or 'none'}. Look at `namespace` and `name`"

    def job(self, namespace: str, name: str) -> Object:
        return self.call(f"the Job '{namespace}/{name}'", _path("batch/v1", namespace, "jobs", name))

    def jobs(self, namespace: str) -> list[Object]:
        return [*self.call(f"the Jobs in '{namespace}'", _path("batch/v1", namespace, "jobs"))["items"]]

    def create_job(self, job: Object) -> Object:
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        return self.call(f"the Job '{namespace}/{name}'", _path("batch/v1", namespace, "jobs"), "POST", job)

    def delete_job(self, namespace: str, name: str) -> None:
        """The Job and its pods, in the background; none is no error."""
        what = f"the Job '{namespace}/{name}'"
        with contextlib.suppress(NotFoundError):
            self.call(what, _path("batch/v1", namespace, "jobs", name), "DELETE", propagationPolicy="Background")

    def pods_of_job(self, namespace: str, job: str) -> list[Object]:
        """Oldest first."""
        pods = self.pods(namespace, f"batch.kubernetes.io/job-name={job}")
        return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pods(self, namespace: str, selector: str = "") -> list[Object]:
        found = self.call(f"the pods in '{namespace}'", _path("v1", namespace, "pods"), labelSelector=selector)
        return [*found["items"]]

    def claim(self, namespace: str, name: str) -> Object:
        return self.call(f"the claim '{namespace}/{name}'", _path("v1", namespace, "persistentvolumeclaims", name))

    def volume(self, name: str) -> Object:
        return self.call(f"the volume '{name}'", f"/api/v1/persistentvolumes/{quote(name, safe='')}")

    def service(self, namespace: str, name: str) -> Object:
        return self.call(f"the service '{namespace}/{name}'", _path("v1", namespace, "services", name))

    def config_map(self, namespace: str, name: str) -> Object:
        return self.call(f"the ConfigMap '{namespace}/{name}'", _path("v1", namespace, "configmaps", name))

    def events(self, namespace: str, kind: str, name: str) -> list[Object]:
        """The events about an object; none where the user may not read them."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        try:
            return [*self.call("the events", _path("v1", namespace, "events"), fieldSelector=selector)["items"]]
        except ForbiddenError:
            return []

    def log(self, namespace: str, pod: str, container: str, seconds: int = FOLLOW_SECONDS, **options: bool) -> Any:
        """A container's log as a stream of bytes (a urllib3 response); options: `follow`, `previous`, `timestamps`.

        `seconds` is how long it may be silent.
        """
        path = f"{_path('v1', namespace, 'pods', pod)}/log"
        return self._open(
            f"the log of the pod '{namespace}/{pod}'", path, "GET", None, seconds, {"container": container, **options}
        )


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _path(version: str, namespace: str, kind: str, name: str = "") -> str:
    """The API's path of an object, or of all of its kind (Kubernetes API concepts, "Resource URIs")."""
    group = f"apis/{version}" if "/" in version else f"api/{version}"
    return f"/{group}/namespaces/{quote(namespace, safe='')}/{kind}" + (f"/{quote(name, safe='')}" if name else "")


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
