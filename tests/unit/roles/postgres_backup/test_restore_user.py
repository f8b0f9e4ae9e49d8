# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The user for restores: recorded in the CronJob as the modules read it, and used by the runbook."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from plugins.module_utils._jobs.credentials import Credentials, backup_credentials, recorded_restore_credentials

from .rendering import cronjob, render

HOSTILE = 'o\'neil $(x) "y" {{ z }}'
NAMES = {"postgres_backup_restore_secret_name": "admin", "postgres_backup_restore_secret_key": "pw"}


def test_nothing_is_recorded_by_default() -> None:
    made = cronjob()
    assert "annotations" not in made["metadata"]
    assert recorded_restore_credentials(made) is None
    assert backup_credentials(made) == Credentials("postgres", "postgres-postgresql", "postgres-password")


@pytest.mark.parametrize("image", ["", "pg:18"])
def test_recorded_credentials_are_those_that_the_modules_read(image: str) -> None:
    made = cronjob(postgres_backup_image=image, postgres_backup_user="b", postgres_backup_restore_user=HOSTILE, **NAMES)
    assert recorded_restore_credentials(made) == Credentials(HOSTILE, "admin", "pw")
    assert backup_credentials(made) == Credentials("b", "postgres-postgresql", "postgres-password")
    assert ("postgres-backup.homelab/image" in made["metadata"]["annotations"]) == bool(image)


def test_a_name_that_is_not_set_is_that_of_the_backups() -> None:
    made = cronjob(postgres_backup_restore_user="chief")
    assert recorded_restore_credentials(made) == Credentials("chief", "postgres-postgresql", "postgres-password")
    made = cronjob(postgres_backup_restore_secret_key="other")  # noqa: S106 - a name, no password
    assert recorded_restore_credentials(made) == Credentials("postgres", "postgres-postgresql", "other")


def runbook(**variables: str) -> str:
    claim = {"spec": {"volumeName": "pv"}}
    return render(
        "postgres-backup.md.j2", __postgres_backup_claim_now=claim, __postgres_backup_location="nas:/x",
        __postgres_backup_reclaim_policy="Retain", **variables,
    )  # fmt: skip


def test_pod_of_the_runbook_gets_the_password_of_the_user_for_restores() -> None:
    page = runbook(postgres_backup_user="b", postgres_backup_restore_user="chief", **NAMES)
    (command,) = re.findall(r"backup-reader -n data --dry-run=client -o yaml \| (sed .*) \| kubectl create", page)
    job = cronjob(postgres_backup_user="b")["spec"]["jobTemplate"]
    # As kubectl prints it: keys in alphabetical order, without indentation of lists.
    done = subprocess.run(["sh", "-c", command], input=yaml.safe_dump(job), capture_output=True, text=True, check=True)
    (container,) = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]["containers"]
    (password,) = [entry for entry in container["env"] if entry["name"] == "PGPASSWORD"]
    assert password["valueFrom"] == {"secretKeyRef": {"name": "admin", "key": "pw"}}
    others = [entry for entry in container["env"] if entry["name"] != "PGPASSWORD"]
    (original,) = job["spec"]["template"]["spec"]["containers"]
    assert others == [entry for entry in original["env"] if entry["name"] != "PGPASSWORD"]
    assert "PGUSER=chief" in page and "-U chief" in page and "PGUSER=b " not in page


def test_runbook_without_a_user_for_restores_is_unchanged() -> None:
    page = runbook(postgres_backup_user="b")
    assert "PGPASSWORD$" not in page and "PGUSER=b" in page
