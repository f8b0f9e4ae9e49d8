# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Names, paths and addresses follow from three environment variables."""

from __future__ import annotations

import pytest

from dev.buildkit.errors import ReportedError
from dev.cluster.devcluster.settings import from_environment


def test_default_cluster_settings() -> None:
    settings = from_environment({"HOME": "/home/someone"})
    assert str(settings.cache) == "/home/someone/.cache/homelab-postgres-backup"
    assert str(settings.kubeconfig) == "/var/lib/homelab-postgres-backup-cluster/kubeconfig"
    assert settings.host_link == "hpbc0"


def test_networks_do_not_overlap() -> None:
    settings = from_environment({"CLUSTER_NETWORK": "10.77.0.0/16"})
    networks = [settings.node_network, settings.service_network, settings.pod_network]
    assert [str(network) for network in networks] == ["10.77.0.0/24", "10.77.64.0/20", "10.77.128.0/17"]
    assert [str(settings.node_address), str(settings.host_address)] == ["10.77.0.1", "10.77.0.254"]
    assert settings.dns_address in settings.service_network


def test_clusters_with_other_names_share_nothing() -> None:
    first, second = from_environment({}), from_environment({"CLUSTER_NAME": "second"})
    assert first.state != second.state
    assert first.lock != second.lock
    assert first.host_link != second.host_link
    assert not first.network.overlaps(second.network)
    assert first.cache == second.cache


@pytest.mark.parametrize("name", ["a", "second", "a-name-of-20-letters"])
def test_interface_names_are_short_enough(name: str) -> None:
    assert len(from_environment({"CLUSTER_NAME": name}).host_link) <= 15


@pytest.mark.parametrize("name", ["Upper", "../up", "a b", "-a", "a-", "a-name-of-21-letters-"])
def test_invalid_cluster_name_is_refused(name: str) -> None:
    with pytest.raises(ReportedError, match="CLUSTER_NAME"):
        from_environment({"CLUSTER_NAME": name})


@pytest.mark.parametrize("network", ["10.77.0.0/24", "10.77.1.0/16", "fd00::/16", "here"])
def test_invalid_network_is_refused(network: str) -> None:
    with pytest.raises(ReportedError, match="CLUSTER_NETWORK"):
        from_environment({"CLUSTER_NETWORK": network})
