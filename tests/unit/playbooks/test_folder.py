# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Where a host's files go: the same folder, however a run is limited (playbooks/vars/folder.yml)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.in_turn import weekly

from .recorded import PLAYBOOKS, Recorded

HOSTS = ["app01", "app02", "app03"]
GROUPS = {"postgres": HOSTS, "web": ["web01", "web02"], "alone": ["db"], "mixed": ["localhost", "app04"]}


def folder(host: str, pattern: Any = None, groups: dict[str, list[str]] | None = None) -> Any:
    groups = GROUPS if groups is None else groups
    everything = {"all": sorted({host for hosts in groups.values() for host in hosts}), "ungrouped": [], **groups}
    variables = {
        name: trust_as_template(text)
        for name, text in yaml.safe_load((PLAYBOOKS / "vars" / "folder.yml").read_text()).items()
    }
    variables |= {
        "groups": everything,
        "group_names": [group for group, hosts in groups.items() if host in hosts],
        "inventory_hostname": host,
        **({} if pattern is None else {"postgres_backup_hosts": pattern}),
    }
    return Templar(DataLoader(), variables=variables).template(trust_as_template("{{ __postgres_backup_host_folder }}"))


@pytest.mark.parametrize(
    ("host", "pattern", "expected"),
    [
        ("localhost", None, ""),
        ("app01", "postgres", "app01"),
        ("app01", "postgres:!app02", "app01"),
        ("app01", "postgres:!app02:!app03", "app01"),
        ("app01", "app01", "app01"),
        ("app01", "app0*", "app01"),
        ("app01", "~app0[12]", "app01"),
        ("app01", ["app01", "app02"], "app01"),
        ("app01", "all", "app01"),
        ("localhost", "mixed", "localhost"),
        # One installation among hosts of other kinds, and the one on localhost, are where they always were.
        ("db", "alone", ""),
        ("db", "db", ""),
        ("localhost", "localhost", ""),
    ],
)
def test_folder_of_each_host(host: str, pattern: Any, expected: str) -> None:
    assert folder(host, pattern) == expected


def test_folder_without_an_inventory() -> None:
    assert folder("localhost", groups={}) == ""
    assert folder("localhost", "localhost", groups={}) == ""


@pytest.mark.parametrize(
    "how", [weekly(["--limit", "app02"], id="limit"), pytest.param(["-e", "postgres_backup_hosts=app02"], id="name")]
)
def test_folder_when_the_run_is_limited_to_one_host(recorded: Recorded, how: list[str]) -> None:
    done = recorded.many("verify", {host: {} for host in HOSTS}, *how)
    assert [call.options["dest"] for call in done.calls if call.module == "backup_fetch"] == [
        f"{recorded.here}/backups/app02/"
    ]
    assert [path.name for path in (recorded.here / "backups").iterdir()] == ["app02"]
    # It ends at the variable, once the folders are known.
    site = recorded.many("site", {host: {"postgres_backup_schedule": "at night"} for host in HOSTS}, "-v", *how)
    assert '"postgres_backup_manifest_dir": "applications/app02"' in site.output, site.output
    assert '"postgres_backup_runbook_dir": "docs/runbooks/app02"' in site.output
    assert "expected five cron fields" in site.output


def test_folder_of_a_single_installation(recorded: Recorded) -> None:
    done = recorded("verify")
    dest = next(call.options["dest"] for call in done.calls if call.module == "backup_fetch")
    assert dest == f"{recorded.here}/backups/"
    site = recorded("site", "-v", postgres_backup_schedule="at night")
    assert '"postgres_backup_manifest_dir": "applications/postgres"' in site.output, site.output
    assert '"postgres_backup_runbook_dir": "docs/runbooks"' in site.output
