# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Names, paths and addresses of one cluster: the only place that knows them."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from dev.buildkit.cache import cache_folder
from dev.buildkit.errors import ReportedError

SOURCES = Path(__file__).resolve().parent.parent
"""The folder that holds these sources."""

NODE_NAME = "node"
DOMAIN = "cluster.local"
API_PORT = 6443
READY_PORT = 8181
PROVISIONER = "dev.homelab/shared-folder"

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """One cluster. Several can run on one machine if their names and networks differ."""

    name: str
    network: IPv4Network
    cache: Path

    @property
    def full_name(self) -> str:
        """Name of the state folder, the cgroups and the lock."""
        return "homelab-postgres-backup-cluster" + (f"-{self.name}" if self.name else "")

    # Paths

    @property
    def state(self) -> Path:
        """Everything that the running cluster writes; removed by `down`."""
        return Path("/var/lib", self.full_name)

    @property
    def lock(self) -> Path:
        """Held by a command that starts, stops or changes the cluster; outside of what `down` removes."""
        return Path("/run/lock", f"{self.full_name}.lock")

    @property
    def kubeconfig(self) -> Path:
        """Administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def programs(self) -> Path:
        """Folder to put in PATH: `kubectl`."""
        return self.state / "bin"

    @property
    def pki(self) -> Path:
        """Certificates, keys and the kubeconfig of each component."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One log for each component."""
        return self.state / "log"

    @property
    def configuration(self) -> Path:
        """The components' configuration files."""
        return self.state / "etc"

    @property
    def containerd(self) -> Path:
        """containerd's store, which is /var/lib/containerd inside the cluster's mount namespace."""
        return self.state / "var-lib/containerd"

    @property
    def volumes(self) -> Path:
        """Folders of the dynamic volumes, as on an NFS server's export."""
        return self.state / "volumes"

    @property
    def small_volumes(self) -> Path:
        """Mount points of the volumes with a fixed size, inside the cluster's mount namespace."""
        return self.state / "small-volumes"

    @property
    def supervisor_report(self) -> Path:
        """The supervisor's report about its components (JSON)."""
        return self.state / "supervisor.json"

    # Network

    @property
    def node_network(self) -> IPv4Network:
        """The node's own subnet: the bridge inside, the host's end of the veth."""
        return next(self.network.subnets(new_prefix=24))

    @property
    def node_address(self) -> IPv4Address:
        """Where the API server listens."""
        return self.node_network[1]

    @property
    def host_address(self) -> IPv4Address:
        """The machine's address on the veth."""
        return self.node_network[254]

    @property
    def nowhere(self) -> IPv4Address:
        """The default route's gateway. Nobody has this address: nothing leaves the cluster."""
        return self.node_network[253]

    @property
    def service_network(self) -> IPv4Network:
        """Cluster IPs."""
        return list(self.network.subnets(new_prefix=20))[4]

    @property
    def pod_network(self) -> IPv4Network:
        """Pods' addresses."""
        return list(self.network.subnets(new_prefix=17))[1]

    @property
    def api_service_address(self) -> IPv4Address:
        """Cluster IP of the service `kubernetes`."""
        return self.service_network[1]

    @property
    def dns_address(self) -> IPv4Address:
        """Cluster IP of the service `kube-dns`."""
        return self.service_network[10]

    @property
    def host_link(self) -> str:
        """The machine's end of the veth (an interface name has at most 15 characters)."""
        return f"hpbc{zlib.crc32(self.name.encode()):08x}" if self.name else "hpbc0"


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read CLUSTER_NAME, CLUSTER_NETWORK and XDG_CACHE_HOME."""
    name = environment.get("CLUSTER_NAME", "")
    if name and not _NAME.fullmatch(name):
        raise ReportedError(
            f"expected CLUSTER_NAME to be at most 20 lower-case letters, digits and dashes, found {name!r}",
            "choose another name, or unset it for the default cluster",
        )
    # A named cluster gets a separate network, so that two can run without further settings.
    second = 200 + zlib.crc32(name.encode()) % 31 if name else 231
    text = environment.get("CLUSTER_NETWORK") or f"10.{second}.0.0/16"
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise ReportedError(
            f"expected CLUSTER_NETWORK to be an IPv4 network such as 10.231.0.0/16, found {text!r} ({error})"
        ) from error
    if network.prefixlen != 16:
        raise ReportedError(f"expected CLUSTER_NETWORK to be a /16, found {text!r}", "give for example 10.231.0.0/16")
    return Settings(name=name, network=network, cache=cache_folder(environment))
