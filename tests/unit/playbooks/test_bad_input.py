# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Files that are not backups, empty volumes, modules that fail: what they say is seen, and no template's error."""

from __future__ import annotations

import gzip
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.module_utils._role.play_stats import STATS
from tests.in_turn import weekly

from .dumps import COMPLETE_BACKUP, DUMP, DUMPS
from .recorded import BACKUP, PLAYBOOKS, WELL, Done, Recorded

# A file, and the expected message.
FILES: dict[str, tuple[bytes | None, str]] = {
    "good": (COMPLETE_BACKUP, ""),
    "missing": (None, "does not exist: expected a backup file"),
    "empty": (b"", "is empty"),
    "nothing": (gzip.compress(b""), "dump"),
    "plain": (DUMP, "gzip"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "gzip"),
    "utf16": (gzip.compress(DUMP.decode().encode("utf-16")), "dump"),
    "globals": (gzip.compress((DUMPS / "18-glob.sql").read_bytes()), "a dump of all databases (pg_dumpall)"),
    "database": (gzip.compress((DUMPS / "18-one.sql").read_bytes()), "a dump of all databases (pg_dumpall)"),
    "text": (gzip.compress(b"hello\n"), "dump"),
    "cut": (COMPLETE_BACKUP[:900], "the file is cut off"),
    "damaged": (COMPLETE_BACKUP[:900] + b"\xff\xff" + COMPLETE_BACKUP[902:], "the data is damaged"),
}


def last_failure(done: Done, host: str) -> str:
    said: list[str] = re.findall(rf"^fatal: \[{host}\]: .*$", done.output, re.MULTILINE)
    return said[-1]


@pytest.mark.weekly
def test_verify_prints_the_module_message(recorded: Recorded) -> None:
    for name, (data, _) in FILES.items():
        if data is not None:
            (recorded.here / f"{name}.sql.gz").write_bytes(data)
    (recorded.here / "folder.sql.gz").mkdir()
    hosts = {name: {"postgres_backup_verify_file": f"{name}.sql.gz"} for name in (*FILES, "folder")}
    (recorded.here / "roles.sql.gz").write_bytes(FILES["globals"][0] or b"")
    hosts["roles"] = {"postgres_backup_verify_file": "roles.sql.gz", "postgres_backup_verify_kind": "globals"}
    done = recorded.many("verify", hosts)
    assert done.has_no_template_error(), done.output
    for name, (_, message) in {**FILES, "folder": (None, "is a directory")}.items():
        if message:
            assert message in last_failure(done, name), done.output
    for name in ("good", "roles"):
        assert not re.search(rf"^fatal: \[{name}\]", done.output, re.MULTILINE)
    assert done.output.count('"result  complete"') == 2


def test_variable_that_refers_to_an_undefined_one(recorded: Recorded) -> None:
    """Without a value, `default()` would choose another installation, or the live server."""
    hosts = {
        "namespace": {"postgres_backup_namespace": "{{ nowhere }}"},
        "server": {"postgres_backup_restore_host": "{{ groups.nowhere[0] }}"},
        "other": {"postgres_backup_schedule": "{{ not_used_here }}"},
    }
    done = recorded.many("restore", {name: {**GIVEN["restore"], **of} for name, of in hosts.items()})
    assert {call.options["namespace"] for call in done.calls} == {"other"}
    assert "'nowhere' is undefined" in last_failure(done, "namespace")
    assert "nowhere" in last_failure(done, "server")
    for name in ("postgres_backup_namespace", "postgres_backup_restore_host"):
        assert re.search(rf"inventory.yml:.*\n(.*\n)*?.*{name}: ", done.output), "where it is"


def test_all_optional_variables_are_evaluated_first() -> None:
    pattern = yaml.safe_load((PLAYBOOKS / "vars" / "common.yml").read_text())["__postgres_backup_optional_variables"]
    texts = [path.read_text() for path in PLAYBOOKS.glob("*.yml") if path.name != "site.yml"]
    optional = {name for text in texts for name in re.findall(r"\b_*(postgres_backup_\w+) \| default\(omit", text)}
    assert "postgres_backup_restore_host" in optional
    assert [name for name in sorted(optional) if not re.search(pattern, name)] == []


# What modules return where there is nothing, or where this user may not look.
EMPTY: dict[str, dict[str, Any]] = {
    "backup_info": {
        "changed": False,
        "healthy": False,
        "problems": [{"check": "backup", "message": "there is no complete backup"}],
        "backups": [],
        "volume": dict.fromkeys(
            ("claim", "class", "capacity_bytes", "size_bytes", "free_bytes", "nfs_server", "nfs_path")
        ),
    },
    "backup_job": {"changed": True, "job": None, "attached": False, "newest": None, "result": None, "log": []},
    "restore_drill": {
        **WELL["restore_drill"],
        **dict.fromkeys(("backup", "server_version")),
        **{"databases": [], "seconds": {}, "rows": 0, "tables": 0, "left_out": [], "needs": []},
    },
}
# Of the statistics.
OF_ALL = ("failed", "message", "changed", "check_mode")
MODULES = {
    "backup_now": ["backup_job"],
    "backup_user": ["backup_user"],
    "copy": ["backup_copy"],
    "disaster": ["backup_upload", "restore_cluster"],
    "drill": ["restore_drill"],
    "notify_test": ["notify_test"],
    "report": ["backup_info", "report_upload"],
    "restore": ["restore_database"],
    "restore_table": ["restore_table"],
    "retention": ["backup_prune"],
    "retrieve": ["backup_retrieve"],
    "upgrade_rehearsal": ["restore_drill"],
    "verify": ["backup_job", "backup_fetch", "backup_info"],
}
# Without these, a playbook does nothing.
GIVEN: dict[str, dict[str, Any]] = {
    "disaster": {"postgres_backup_restore_file": BACKUP, "postgres_backup_restore_confirmed": True},
    "restore": {"postgres_backup_restore_database": "shop", "postgres_backup_restore_confirmed": True},
    "restore_table": {
        "postgres_backup_restore_database": "shop",
        "postgres_backup_restore_tables": ["orders"],
        "postgres_backup_restore_confirmed": True,
    },
    "retrieve": {"postgres_backup_place": "offsite"},
    "upgrade_rehearsal": {"postgres_backup_upgrade_image": "postgres:19"},
}


def cases(how: str, arguments: list[str], *daily: str) -> list[Any]:
    """A case for each playbook, of which some are daily ones."""
    return [(pytest.param if name in daily else weekly)(name, arguments, id=f"{name}-{how}") for name in MODULES]


RUNS = cases("run", [], "backup_now", "restore", "verify")
# In check mode every day those that fetch a backup and then use it.
CHECKS = cases("check", ["--check", "--diff"], "restore")


@pytest.mark.parametrize(("playbook", "check"), [*RUNS, *CHECKS])
def test_module_failure_or_empty_result_is_handled(recorded: Recorded, playbook: str, check: list[str]) -> None:
    path = recorded.here / time.strftime("postgres-backup-%Y-%m-%d-%H%M%S.sql.gz", time.gmtime())
    path.write_bytes(COMPLETE_BACKUP)
    recorded.answers["default"]["backup_fetch"] = {**WELL["backup_fetch"], "path": str(path)}
    hosts: dict[str, dict[str, Any]] = {"well": {}}
    for module in MODULES[playbook]:
        for kind, answer in {
            f"failed-{module}": {"failed": True, "msg": f"{module} may not: expected the right, found none"},
            f"empty-{module}": EMPTY.get(module),
        }.items():
            if answer is not None:
                recorded.answers[kind] = {module: answer}
                hosts[kind] = {}
    done = recorded.many(playbook, dict.fromkeys(hosts, GIVEN.get(playbook, {})), *check)
    assert done.has_no_template_error(), done.output
    assert not re.search(r"^fatal: \[well\]", done.output, re.MULTILINE), done.output
    for host in hosts:
        module = host.partition("-")[2]
        if host.startswith("failed-") and any(call.module == module for call in done.of(host)):
            assert f"{module} may not: expected the right, found none" in last_failure(done, host), done.output
    left = done.stats(playbook)
    assert set(left) == set(hosts), done.output
    for host, stats in left.items():
        assert list(stats) == sorted([*OF_ALL, *STATS[playbook]])
        (failures,) = re.findall(rf"^{host} .* failed=(\d+) ", done.output, re.MULTILINE)
        assert (stats["failed"], stats["check_mode"]) == (failures != "0", bool(check))
        if stats["failed"]:
            # In the output, the message is JSON.
            assert stats["message"] and json.dumps(stats["message"])[1:-1] in last_failure(done, host)


def test_cases_cover_every_playbook_and_module() -> None:
    for name, modules in MODULES.items():
        text = (PLAYBOOKS / f"{name}.yml").read_text()
        used = set(re.findall(r"^ +homelab\.postgres_backup\.(\w+):", text, re.MULTILINE)) - {"backup_verify"}
        assert used == set(modules)
    assert set(MODULES) | {"site", "sample_data", "unprotected"} == {
        path.stem for path in Path(PLAYBOOKS).glob("*.yml")
    }


@pytest.mark.weekly
def test_drill_names_contents_that_cannot_be_read(recorded: Recorded) -> None:
    (recorded.here / "text.json").write_text("no contents")
    (recorded.here / "good.json").write_text('{"databases": []}')
    files = {"missing": "no such.json", "folder": ".", "text": "text.json", "good": "good.json"}
    done = recorded.many("drill", {host: {"postgres_backup_drill_contents": name} for host, name in files.items()})
    assert done.has_no_template_error(), done.output
    for host in ("missing", "folder"):
        assert "postgres_backup_drill_contents: expected a file that backup_verify wrote" in last_failure(done, host)
    assert "contents" in last_failure(done, "text")
    (call,) = done.calls
    assert (call.module, call.options["contents"]) == ("restore_drill", {"databases": []})
