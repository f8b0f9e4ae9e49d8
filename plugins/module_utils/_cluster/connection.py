# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The connection to a cluster: kubernetes.core's authentication, responses as plain dictionaries, readable errors."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any
from urllib.parse import quote, urlencode

from .._jobs.endpoint_slices import SERVICE_LABEL
from .._progress.reporter import SILENT, Reporter
from ..errors import ClusterError, ForbiddenError, NotFoundError, NotInstalledError, UnauthenticatedError

try:
    import urllib3
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException
    from kubernetes.client.exceptions import ApiException
except ImportError:  # module_runner.py reports it
    pass

Object = dict[str, Any]
# Timeouts for a connection to the API server and for each of its responses.
CONNECT_SECONDS, READ_SECONDS = 10, 60
# A container may log nothing for a long time: the stream ends when the container does.
FOLLOW_SECONDS = 86400


class Connection:
    """A cluster as one user sees it; `module` is the Ansible module with kubernetes.core's authentication options.

    What waits for the cluster or moves bytes reports it to `reporter`.

    Every method raises ClusterError: NotFoundError and ForbiddenError for the API server's 404 and 403.
    """

    def __init__(self, module: Any, reporter: Reporter = SILENT) -> None:
        self.reporter = reporter
        # kubernetes.core asks for the server's version and sets no limit.
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(CONNECT_SECONDS / 2)
        try:
            client = get_api_client(module).client
        except CoreException as error:
            raise ClusterError(f"{error}. Check `kubeconfig` and `context` (kubectl config get-contexts)") from error
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
        """The API server's response; `what` names the object in error messages, `path` is the path of the URL."""
        response = self._open(what, path, method, body, READ_SECONDS, query)
        try:
            content: Object = json.loads(response.data)
        except ValueError as error:
            raise ClusterError(
                f"{what}: the API server's response is not JSON. Is there a proxy in front of it?"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unreachable(error) from error
        finally:
            response.release_conn()
        return content

    def _open(self, what: str, path: str, method: str, body: Object | None, seconds: int, query: Object) -> Any:  # noqa: PLR0917  # as a request has them
        """The API server's response as urllib3 represents it, not read yet; raises ClusterError."""
        parameters = {
            key: str(value).lower() if isinstance(value, bool) else value for key, value in query.items() if value
        }
        try:
            return self._client.request(
                method,
                f"{path}?{urlencode(parameters)}" if parameters else path,
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
        """The CronJob; where it does not exist, the error names those that do."""
        if not namespace or not name:
            raise NotFoundError("`namespace` and `name`: expected those of a CronJob, found nothing")
        try:
            return self.call(f"the CronJob '{namespace}/{name}'", _path("batch/v1", namespace, "cronjobs", name))
        except NotFoundError as error:
            raise NotInstalledError(f"{error}. {self._others(namespace)}") from error

    def cronjob_if_any(self, namespace: str, name: str) -> Object | None:
        """The CronJob; None where it does not exist."""
        try:
            return self.call(f"the CronJob '{namespace}/{name}'", _path("batch/v1", namespace, "cronjobs", name))
        except NotFoundError:
            return None

    def _others(self, namespace: str) -> str:
        try:
            self.namespace(namespace)
        except NotFoundError:
            return f"There is no namespace '{namespace}': check `namespace`, `context` and `kubeconfig`"
        except ClusterError:
            pass  # many users may not read namespaces
        try:
            cronjobs = self.call("the CronJobs", _path("batch/v1", namespace, "cronjobs"))
        except ClusterError:
            return "Check `namespace` and `name`"
        names = ", ".join(sorted(item["metadata"]["name"] for item in cronjobs["items"]))
        return f"CronJobs in that namespace: {names or 'none'}. Check `namespace` and `name`"

    def job(self, namespace: str, name: str) -> Object:
        return self.call(f"the Job '{namespace}/{name}'", _path("batch/v1", namespace, "jobs", name))

    def jobs(self, namespace: str) -> list[Object]:
        """Without a namespace, those of all."""
        return [*self.call(_in_namespace("the Jobs", namespace), _path("batch/v1", namespace, "jobs"))["items"]]

    def cronjobs(self, namespace: str) -> list[Object]:
        """Without a namespace, those of all."""
        return [*self.call(_in_namespace("the CronJobs", namespace), _path("batch/v1", namespace, "cronjobs"))["items"]]

    def create_job(self, job: Object) -> Object:
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        return self.call(f"the Job '{namespace}/{name}'", _path("batch/v1", namespace, "jobs"), "POST", job)

    def delete_job(self, namespace: str, name: str) -> None:
        """Delete the Job, and its pods in the background; not an error where there is none."""
        what = f"the Job '{namespace}/{name}'"
        with contextlib.suppress(NotFoundError):
            self.call(what, _path("batch/v1", namespace, "jobs", name), "DELETE", propagationPolicy="Background")

    def pods_of_job(self, namespace: str, job: str) -> list[Object]:
        """Oldest first."""
        pods = self.pods(namespace, f"batch.kubernetes.io/job-name={job}")
        return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pods(self, namespace: str, selector: str = "") -> list[Object]:
        """Without a namespace, those of all."""
        pods = self.call(_in_namespace("the pods", namespace), _path("v1", namespace, "pods"), labelSelector=selector)
        return [*pods["items"]]

    def claim(self, namespace: str, name: str) -> Object:
        return self.call(f"the claim '{namespace}/{name}'", _path("v1", namespace, "persistentvolumeclaims", name))

    def volume(self, name: str) -> Object:
        return self.call(f"the volume '{name}'", f"/api/v1/persistentvolumes/{_quoted(name)}")

    def service(self, namespace: str, name: str) -> Object:
        return self.call(f"the service '{namespace}/{name}'", _path("v1", namespace, "services", name))

    def services(self, namespace: str) -> list[Object]:
        """Without a namespace, those of all."""
        return [*self.call(_in_namespace("the services", namespace), _path("v1", namespace, "services"))["items"]]

    def endpoint_slices(self, namespace: str, service: str = "") -> list[Object]:
        """The EndpointSlices of a service, or of all services; without a namespace, those of all."""
        path = _path("discovery.k8s.io/v1", namespace, "endpointslices")
        what = _in_namespace("the EndpointSlices", namespace)
        if service:
            what = f"the EndpointSlices of the service '{namespace}/{service}'"
        return [*self.call(what, path, labelSelector=f"{SERVICE_LABEL}={service}" if service else "")["items"]]

    def config_map(self, namespace: str, name: str) -> Object:
        return self.call(f"the ConfigMap '{namespace}/{name}'", _path("v1", namespace, "configmaps", name))

    def secret(self, namespace: str, name: str) -> Object:
        return self.call(f"the Secret '{namespace}/{name}'", _path("v1", namespace, "secrets", name))

    def secret_if_any(self, namespace: str, name: str) -> Object | None:
        """The Secret; None where it does not exist."""
        try:
            return self.secret(namespace, name)
        except NotFoundError:
            return None

    def write_secret(self, secret: Object) -> Object:
        """Create the Secret, or replace the one that was read: with its resourceVersion, only if it is unchanged."""
        metadata = secret["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        what = f"the Secret '{namespace}/{name}'"
        if "resourceVersion" in metadata:
            return self.call(what, _path("v1", namespace, "secrets", name), "PUT", secret)
        return self.call(what, _path("v1", namespace, "secrets"), "POST", secret)

    def namespace(self, name: str) -> Object:
        return self.call(f"the namespace '{name}'", f"/api/v1/namespaces/{_quoted(name)}")

    def storage_classes(self) -> list[Object]:
        return [*self.call("the StorageClasses", "/apis/storage.k8s.io/v1/storageclasses")["items"]]

    def network_policy(self, namespace: str, name: str) -> Object:
        path = _path("networking.k8s.io/v1", namespace, "networkpolicies", name)
        return self.call(f"the NetworkPolicy '{namespace}/{name}'", path)

    def prometheus_rule(self, namespace: str, name: str) -> Object:
        path = _path("monitoring.coreos.com/v1", namespace, "prometheusrules", name)
        return self.call(f"the PrometheusRule '{namespace}/{name}'", path)

    def serves(self, version: str, kind: str) -> bool:
        """Whether the cluster has objects of that kind, in a version with a group such as `batch/v1`."""
        try:
            resources = self.call(f"the kinds of {version}", f"/apis/{version}")["resources"]
        except NotFoundError:
            return False
        return any(resource["kind"] == kind for resource in resources)

    def network_policies(self, namespace: str) -> list[Object]:
        what = f"the NetworkPolicies in '{namespace}'"
        return [*self.call(what, _path("networking.k8s.io/v1", namespace, "networkpolicies"))["items"]]

    def events(self, namespace: str, kind: str, name: str) -> list[Object]:
        """The events about an object; none where the user may not read them."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        try:
            return [*self.call("the events", _path("v1", namespace, "events"), fieldSelector=selector)["items"]]
        except ForbiddenError:
            return []

    def log(self, namespace: str, pod: str, container: str, seconds: int = FOLLOW_SECONDS, **options: bool) -> Any:
        """A container's log as a stream of bytes (a urllib3 response); options: `follow`, `previous`, `timestamps`.

        `seconds` is how long the container may log nothing.
        """
        path = f"{_path('v1', namespace, 'pods', pod)}/log"
        return self._open(
            f"the log of the pod '{namespace}/{pod}'", path, "GET", None, seconds, {"container": container, **options}
        )


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _path(version: str, namespace: str, kind: str, name: str = "") -> str:
    """The API's path of an object, or of all of its kind (Kubernetes API concepts, "Resource URIs").

    Without a namespace, of all namespaces.
    """
    group = f"apis/{version}" if "/" in version else f"api/{version}"
    where = f"/namespaces/{_quoted(namespace)}" if namespace else ""
    return f"/{group}{where}/{kind}" + (f"/{_quoted(name)}" if name else "")


def _in_namespace(what: str, namespace: str) -> str:
    return f"{what} in '{namespace}'" if namespace else f"{what} of all namespaces"


def _api_error(error: Any, what: str) -> ClusterError:
    """The error for the API server's response, a Status (meta/v1)."""
    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.reason or "no reason was given"
    if error.status == 404:
        return NotFoundError(f"{what} does not exist: {message}")
    if error.status == 401:
        return UnauthenticatedError(f"the API server does not know this user (401): {message}. Renew the credentials")
    if error.status == 403:
        return ForbiddenError(f"this user may not use {what}: {message}. Give it the Role that the README lists")
    return ClusterError(f"{what}: the API server answered {error.status}: {message}")


def _unreachable(error: Exception) -> ClusterError:
    return ClusterError(
        f"the API server cannot be reached: {error}. Check `kubeconfig`, `context` and `host`, and that it is running"
    )
