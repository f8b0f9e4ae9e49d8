# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The components' configuration follows the cluster's settings and nothing else."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from dev.cluster.devcluster.components import Built, components, configuration_files
from dev.cluster.devcluster.images import PAUSE
from dev.cluster.devcluster.settings import Settings, from_environment

BUILT = Built(
    kubernetes=Path("/cache/kubernetes"),
    coredns=Path("/cache/coredns"),
    provisioner=Path("/cache/provisioner"),
    debian=Path("/cache/debian"),
)


@pytest.fixture
def settings() -> Settings:
    return from_environment({"CLUSTER_NAME": "second", "CLUSTER_NETWORK": "10.77.0.0/16"})


@pytest.fixture
def files(settings: Settings) -> dict[str, str]:
    return configuration_files(settings, BUILT)


def test_files_named_in_arguments_are_made_by_somebody(settings: Settings, files: dict[str, str]) -> None:
    text = json.dumps([component.as_json() for component in components(settings, BUILT)]) + "".join(files.values())
    named = set(re.findall(rf"{re.escape(str(settings.configuration))}/([\w./-]+)", text))
    assert named == {"Corefile", "cni", "containerd.toml", "kube-proxy.yaml", "kubelet.yaml", "resolv.conf"}
    assert named - {"cni"} <= set(files)


def test_containerd_uses_the_image_that_the_cluster_has(files: dict[str, str]) -> None:
    configuration = tomllib.loads(files["containerd.toml"])
    assert configuration["plugins"]["io.containerd.grpc.v1.cri"]["sandbox_image"] == PAUSE


def test_every_address_is_in_the_clusters_network(settings: Settings, files: dict[str, str]) -> None:
    text = json.dumps([component.as_json() for component in components(settings, BUILT)]) + "".join(files.values())
    addresses = set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text)) - {"127.0.0.1", "0.0.0.0"}  # noqa: S104 - a route
    assert addresses
    assert all(address.startswith("10.77.") for address in addresses)


def test_pods_get_the_address_of_the_dns_service(settings: Settings, files: dict[str, str]) -> None:
    assert json.loads(files["kubelet.yaml"])["clusterDNS"] == [str(settings.dns_address)]


def test_images_are_never_removed_to_free_space(files: dict[str, str]) -> None:
    """They could not be pulled again."""
    assert json.loads(files["kubelet.yaml"])["imageGCHighThresholdPercent"] == 100


def test_two_clusters_share_no_path(files: dict[str, str]) -> None:
    default = from_environment({})
    text = json.dumps([component.as_json() for component in components(default, BUILT)])
    text += "".join(configuration_files(default, BUILT).values())
    assert "second" in "".join(files.values())
    assert "second" not in text
