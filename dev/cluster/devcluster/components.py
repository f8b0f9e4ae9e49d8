# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The cluster's processes: how each is started, on what it waits, and its configuration file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import images
from .settings import API_PORT, DOMAIN, NODE_NAME, PROVISIONER, READY_PORT, Settings

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
_ETCD = "http://127.0.0.1:2379"


@dataclass(frozen=True)
class Component:
    """One process that the supervisor keeps running."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    after_socket: str = ""
    """Start when this Unix socket, or `address:port`, can be connected to."""
    after_api: bool = False
    """Start when the API server reports that it is ready."""

    def as_json(self) -> dict[str, Any]:
        """What the supervisor reads."""
        return asdict(self)


@dataclass(frozen=True)
class Built:
    """Where the programs lie."""

    kubernetes: Path
    coredns: Path
    provisioner: Path
    debian: Path


def components(settings: Settings, built: Built) -> tuple[Component, ...]:
    """The processes in the order in which they are started."""
    pki, configuration = settings.pki, settings.configuration
    debian_path = ":".join(str(built.debian / folder) for folder in ("usr/bin", "usr/sbin", "sbin"))
    environment = {"PATH": f"{debian_path}:{_SYSTEM_PATH}", "HOME": "/root", "LANG": "C.UTF-8"}

    def kubernetes(program: str, *flags: str, **conditions: Any) -> Component:
        return Component(program, (str(built.kubernetes), program, *flags), environment, **conditions)

    def client(name: str) -> str:
        return f"--kubeconfig={pki / name}.kubeconfig"

    return (
        Component(
            "etcd",
            (
                str(built.debian / "usr/bin/etcd"),
                "--data-dir=/var/lib/etcd",
                f"--listen-client-urls={_ETCD}",
                f"--advertise-client-urls={_ETCD}",
                "--listen-peer-urls=http://127.0.0.1:2380",
                # The data need not outlive the machine.
                "--unsafe-no-fsync",
                "--logger=zap",
                "--log-level=warn",
                "--auto-compaction-retention=1",
            ),
            environment,
        ),
        Component(
            "containerd",
            (str(built.debian / "usr/bin/containerd"), "--config", str(configuration / "containerd.toml")),
            environment,
        ),
        kubernetes(
            "kube-apiserver",
            f"--advertise-address={settings.node_address}",
            f"--secure-port={API_PORT}",
            f"--etcd-servers={_ETCD}",
            f"--service-cluster-ip-range={settings.service_network}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-key-file={pki / 'service-accounts.pub'}",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            # Requires an etcd that reports the progress of a watch; Debian 12's does not.
            "--feature-gates=SizeBasedListCostEstimate=false",
            "--profiling=false",
            "--v=0",
            after_socket="127.0.0.1:2379",
        ),
        kubernetes(
            "kubelet",
            f"--config={configuration / 'kubelet.yaml'}",
            client("kubelet"),
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={settings.node_address}",
            "--v=0",
            after_socket=CONTAINERD_SOCKET,
            after_api=True,
        ),
        kubernetes(
            "kube-controller-manager",
            client("kube-controller-manager"),
            f"--authentication-kubeconfig={pki / 'kube-controller-manager.kubeconfig'}",
            f"--authorization-kubeconfig={pki / 'kube-controller-manager.kubeconfig'}",
            "--bind-address=127.0.0.1",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--service-account-private-key-file={pki / 'service-accounts.key'}",
            "--use-service-account-credentials=true",
            # Forty controllers ask for their service account at the start; the usual limit costs seconds.
            "--kube-api-qps=300",
            "--kube-api-burst=600",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            "--leader-elect=false",
            "--profiling=false",
            "--v=0",
            after_api=True,
        ),
        kubernetes(
            "kube-scheduler",
            client("kube-scheduler"),
            f"--authentication-kubeconfig={pki / 'kube-scheduler.kubeconfig'}",
            f"--authorization-kubeconfig={pki / 'kube-scheduler.kubeconfig'}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--profiling=false",
            "--v=0",
            after_api=True,
        ),
        kubernetes("kube-proxy", f"--config={configuration / 'kube-proxy.yaml'}", "--v=0", after_api=True),
        Component(
            "coredns",
            (str(built.coredns), "-conf", str(configuration / "Corefile"), "-quiet"),
            environment,
            after_api=True,
        ),
        Component(
            "provisioner",
            (
                str(built.provisioner),
                client("provisioner"),
                f"--name={PROVISIONER}",
                f"--directory={settings.volumes}",
            ),
            environment,
            after_api=True,
        ),
    )


def configuration_files(settings: Settings, built: Built) -> dict[str, str]:
    """The configuration files: name → content."""
    return {
        "containerd.toml": _containerd(settings, built),
        "cni/10-pods.conflist": _json(_cni(settings)),
        "kubelet.yaml": _json(_kubelet(settings)),
        "kube-proxy.yaml": _json(_kube_proxy(settings)),
        "Corefile": _corefile(settings),
        # Pods with dnsPolicy Default get this. There is no name server outside of the cluster.
        "resolv.conf": f"nameserver {settings.dns_address}\n",
    }


def _containerd(settings: Settings, built: Built) -> str:
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[debug]
  level = "warn"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{built.debian / "usr/lib/cni"}"
    conf_dir = "{settings.configuration / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def _cni(settings: Settings) -> dict[str, Any]:
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                # A route to each pod instead of a bridge: every packet passes the node's own forwarding, so
                # that cluster IPs work between pods without the kernel's bridge netfilter.
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": str(settings.pod_network)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }


def _kubelet(settings: Settings) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(settings.node_address),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(settings.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(settings.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(settings.pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.full_name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "featureGates": {"KubeletInUserNamespace": True},
        "clusterDomain": DOMAIN,
        "clusterDNS": [str(settings.dns_address)],
        "resolvConf": str(settings.configuration / "resolv.conf"),
        "healthzBindAddress": "127.0.0.1",
        "maxPods": 110,
        # The images are on this machine only: one that was removed to free space could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "200Mi",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "200Mi",
        },
        "serializeImagePulls": False,
        "syncFrequency": "30s",
        "fileCheckFrequency": "1h",
        "httpCheckFrequency": "1h",
        "volumeStatsAggPeriod": "5m",
    }


def _kube_proxy(settings: Settings) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(settings.pki / "kube-proxy.kubeconfig")},
        "mode": "nftables",
        "clusterCIDR": str(settings.pod_network),
        "hostnameOverride": NODE_NAME,
        "bindAddress": str(settings.node_address),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": ["primary"],
        # The machine's limit is shared with everything else on it, and not for us to change.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }


def _corefile(settings: Settings) -> str:
    return f"""\
{DOMAIN} in-addr.arpa {{
    bind {settings.node_address}
    errors
    ready {settings.node_address}:{READY_PORT}
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {settings.pki / "coredns.kubeconfig"}
        pods insecure
        ttl 5
    }}
}}
. {{
    bind {settings.node_address}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def _json(document: dict[str, Any]) -> str:
    # JSON is YAML, and Python's standard library writes JSON.
    return json.dumps(document, indent=2) + "\n"
