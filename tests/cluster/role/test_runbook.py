# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Sample data, and every command of the runbook in its order, on a server that loses everything in between."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import delete_namespace, get, kubectl, must_get
from tests.cluster.support.namespaces import new_namespace
from tests.cluster.support.runbook import Runbook
from tests.cluster.support.servers import Server, bring_server_up

OWN_NAME = "nightly"


@pytest.fixture
def own(ansible: Ansible) -> Iterator[Server]:
    """A dedicated server in a separate namespace, for a test that breaks it."""
    namespace = new_namespace("runbook")
    yield bring_server_up(ansible, namespace)
    delete_namespace(namespace)


def psql(server: Server, statement: str, database: str = "postgres") -> str:
    program = 'PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") exec psql -X -h 127.0.0.1 -U postgres -At -d "$1" -c "$2"'
    where = ("-n", server.namespace, "postgres-postgresql-0")
    return kubectl("exec", *where, "--", "sh", "-c", program, "sh", database, statement).strip()


def lose_everything(server: Server) -> None:
    """A fresh server in the place of the old one, whose chart has a new password, and makes a role and a database."""
    where = ("-n", server.namespace)
    secret = {"stringData": {"postgres-password": f"new {server.password}"}}
    kubectl("patch", "secret", "postgres-postgresql", "-p", json.dumps(secret), *where)
    kubectl("scale", "statefulset", "postgres-postgresql", "--replicas=0", *where)
    kubectl("wait", "--for=delete", "pod/postgres-postgresql-0", "--timeout=60s", *where)
    kubectl("delete", "pvc", "data-postgres-postgresql-0", *where)
    kubectl("scale", "statefulset", "postgres-postgresql", "--replicas=1", *where)
    kubectl("rollout", "status", "statefulset/postgres-postgresql", "--timeout=120s", *where)
    psql(server, "CREATE ROLE app LOGIN PASSWORD 'of the chart'")
    psql(server, "CREATE DATABASE backup_test OWNER app")


def create_sample_data(ansible: Ansible, server: Server) -> None:
    here: dict[str, Any] = {"postgres_backup_namespace": server.namespace}
    sample = "homelab.postgres_backup.sample_data"
    checked = ansible(sample, "--check", "-vvv", **here)
    assert (checked.status, checked.changed) == (0, 1), checked.output
    assert psql(server, "SELECT count(*) FROM pg_database WHERE datname = 'backup_test'") == "0"
    made = ansible(sample, "-vvv", **here)
    assert (made.status, made.changed) == (0, 1), made.output
    assert "Edsger" in made.output
    again = ansible(sample, **here)
    assert (again.status, again.changed) == (0, 0), again.output
    assert "(5 rows)" in again.output
    assert server.password not in checked.output + made.output


def make_it_harder(server: Server) -> None:
    """What a restore by hand could trip over: settings of a database, roles and their grants, odd text in rows."""
    psql(server, "ALTER DATABASE backup_test SET work_mem = '8MB'")
    roles = "CREATE ROLE app LOGIN; CREATE ROLE team; GRANT team TO app; ALTER TABLE users OWNER TO app"
    psql(server, roles, "backup_test")
    psql(server, "GRANT CREATE ON DATABASE backup_test TO app")
    psql(server, "UPDATE users SET name = E'back\\\\slash\\n\\\\connect tab\\t' WHERE id = 1", "backup_test")


def install(ansible: Ansible, server: Server) -> Runbook:
    """Installs under a different name, with a user-maintained page in the runbooks' folder."""
    folder = ansible.folder / "docs" / "runbooks"
    folder.mkdir(parents=True)
    (folder / "postgres-setup.md").write_text("# PostgreSQL\n\nMine.\n")
    play = ansible.site(name=OWN_NAME, namespace=server.namespace)
    assert play.status == 0, play.output
    setup = (folder / "postgres-setup.md").read_text()
    assert setup.startswith("# PostgreSQL\n\nMine.\n")
    assert "[postgres-backup.md](postgres-backup.md)" in setup
    text = (folder / "postgres-backup.md").read_text()
    assert not re.search(r"`postgres-backup`|cronjob[ /]postgres-backup| -n data\b", text)
    return Runbook(folder / "postgres-backup.md", ansible.folder)


def rows(server: Server, database: str = "backup_test") -> str:
    return psql(server, "TABLE users; TABLE transactions", database)


def databases(server: Server) -> set[str]:
    return set(psql(server, "SELECT datname FROM pg_database").split())


def back_up_and_verify(page: Runbook) -> None:
    assert "Complete" in page.run("Run a backup now")
    listing = page.run("List the backups on the volume")
    listed = [json.loads(line) for line in listing.splitlines() if line.startswith("{")]
    assert [line["type"] for line in listed] == ["backup", "volume"]
    assert listed[0]["state"] == "complete"
    in_pod = "Work with the files inside the cluster"
    assert ".sql.gz.sha256" in page.run(in_pod, 0)
    assert page.run(in_pod, 1).strip() == listed[0]["name"]
    verified = page.run("Verify by hand", 0)
    assert f"{listed[0]['name']}: OK" in verified
    assert "-- PostgreSQL database cluster dump complete" in verified
    assert "postgres" in page.run("Verify by hand", 1, is_cut=True)
    page.run("Retention")


def restore_everything(page: Runbook, server: Server) -> None:
    before = rows(server)
    page.run("Restore everything", 0)
    assert must_get("cronjob", OWN_NAME, server.namespace)["spec"]["suspend"] is True
    lose_everything(server)
    # The reader's pod has the old password in its environment.
    page.run("Work with the files inside the cluster", 0)
    hashes = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname IN ('app', 'postgres') ORDER BY 1"
    of_the_chart = psql(server, hashes)
    shown = page.run("Restore everything", 1)
    assert "backup_test" in shown
    assert rows(server) == before
    assert psql(server, hashes) == of_the_chart
    assert (
        psql(server, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'users'", "backup_test") == "app"
    )
    assert psql(server, "SELECT roleid::regrole FROM pg_auth_members WHERE member = 'app'::regrole") == "team"
    # The same without Kubernetes: tests/script/test_kit_alone.py.
    assert page.blocks["Restore everything"][2].startswith('PGHOST="$server" ')
    page.ran.add(("Restore everything", 2))
    page.run("Restore everything", 3)
    assert must_get("cronjob", OWN_NAME, server.namespace)["spec"]["suspend"] is False


def bring_back_to_the_volume(page: Runbook, server: Server) -> None:
    """A claim that lost the backup, and the copy at home."""
    reader = ("exec", "job/backup-reader", "-n", server.namespace, "--")

    def listed() -> Any:
        listing = kubectl(*reader, "sh", "/opt/postgres-backup/backup.sh", "list")
        (backup,) = [line for line in map(json.loads, listing.splitlines()) if line["type"] == "backup"]
        del backup["reasons"]  # its keep file is not among the copies at home
        return backup

    before = listed()
    # From its manifest: without it, an incomplete backup would be called complete.
    assert before["manifest"]
    kubectl(*reader, "sh", "-c", "rm /backups/*.sql.gz*")
    assert "OK" in page.run("Copy older backups to a new volume")
    assert listed() == before


def restore_one_database_and_go_back(page: Runbook, server: Server) -> None:
    before = rows(server)
    psql(server, "DELETE FROM transactions", "backup_test")
    damaged = rows(server)
    # The backup has privileges on the database that were revoked since: a restore next to it does not grant them again.
    psql(server, "REVOKE ALL ON DATABASE backup_test FROM app")
    rights = psql(server, "SELECT datacl FROM pg_database WHERE datname = 'backup_test'")
    page.run("Run a restore drill")
    page.run("Restore one database")
    assert rows(server, "backup_test_restored") == before
    assert psql(server, "SHOW work_mem", "backup_test_restored") == "8MB"
    assert rows(server) == damaged
    psql(server, "DROP DATABASE backup_test_restored")
    page.run("Restore one database by hand", 0)
    assert rows(server, "backup_test_restored") == before
    assert psql(server, "SHOW work_mem", "backup_test_restored") == "8MB"
    assert psql(server, "SELECT datacl FROM pg_database WHERE datname = 'backup_test'") == rights
    assert rows(server) == damaged
    page.run("Restore one database by hand", 1)
    assert rows(server) == before
    page.run("Undo the replacement", 0)
    assert rows(server) == damaged
    page.run("Undo the replacement", 1)
    assert get("job", "backup-reader", server.namespace) is None


def test_runbook_commands_do_what_they_say(ansible: Ansible, own: Server) -> None:
    create_sample_data(ansible, own)
    make_it_harder(own)
    page = install(ansible, own)
    back_up_and_verify(page)
    restore_everything(page, own)
    bring_back_to_the_volume(page, own)
    restore_one_database_and_go_back(page, own)
    assert page.left == []
