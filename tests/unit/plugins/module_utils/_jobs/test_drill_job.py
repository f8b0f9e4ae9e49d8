# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is asked of a drill's Job, and what is made of its end."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._jobs.drill_job import (
    DrillRequest,
    drill_work,
    sections,
    settings_text,
)
from plugins.module_utils._jobs.volume_jobs import volume_job
from plugins.module_utils._script.drill import FILES as SCRIPT
from plugins.module_utils.errors import ExpectationError
from plugins.module_utils.units import parse_size

from ..cronjobs import cronjob


def spec_of(**request: Any) -> dict[str, Any]:
    work = drill_work(DrillRequest(**request), "d-1")
    spec: dict[str, Any] = volume_job(cronjob(), "d-1", SCRIPT, work)["spec"]
    return spec


def test_job_of_the_defaults() -> None:
    job = spec_of()
    spec = job["template"]["spec"]
    (drill,) = spec["containers"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"], spec["restartPolicy"]) == (0, 6 * 3600 + 600, "Never")
    assert (drill["name"], drill["args"]) == ("drill", ["drill"])
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["postgres-backup-drill"]["emptyDir"] == {"sizeLimit": "10Gi"}
    mounts = {mount["mountPath"]: mount for mount in drill["volumeMounts"]}
    assert mounts["/drill"]["name"] == "postgres-backup-drill"
    assert mounts["/backups"]["readOnly"] is True


def test_no_container_gets_a_credential() -> None:
    spec = spec_of()["template"]["spec"]
    for container in spec["containers"]:
        assert "envFrom" not in container
        assert all(entry.keys() == {"name", "value"} for entry in container["env"])
        assert not any("PASSWORD" in entry["name"] for entry in container["env"])
    assert {volume["name"] for volume in spec["volumes"]} == {
        "backups",
        "postgres-backup-scratch",
        "postgres-backup-drill",
    }


def test_environment_of_the_script() -> None:
    settings = {"shared_preload_libraries": "a,b", "jit": False, "work_mem": "64MB", "x.y": 3}
    spec = spec_of(backup="b", size_limit="1.5Gi", in_memory=True, settings=settings, superuser="$(x)", timeout="90m")
    (container,) = spec["template"]["spec"]["containers"]
    told = {entry["name"]: entry["value"] for entry in container["env"]}
    assert told["POSTGRES_BACKUP_DRILL_BACKUP"] == "b"
    assert told["POSTGRES_BACKUP_DRILL_SIZE_LIMIT"] == str(3 * 2**29)
    assert told["POSTGRES_BACKUP_DRILL_SUPERUSER"] == "$$(x)"
    assert told["POSTGRES_BACKUP_DRILL_DATA"] == "/drill"
    assert told["POSTGRES_BACKUP_TIME_LIMIT"] == "90m"
    assert told["POSTGRES_BACKUP_JOB"] == "d-1"
    assert told["POSTGRES_BACKUP_DRILL_SETTINGS"].splitlines() == [
        "shared_preload_libraries = a,b",
        "jit = off",
        "work_mem = 64MB",
        "x.y = 3",
    ]
    assert spec["template"]["spec"]["volumes"][-1]["emptyDir"] == {"sizeLimit": "1.5Gi", "medium": "Memory"}
    assert {f"FILE_{name.upper().replace('.', '_')}" for name in SCRIPT} <= told.keys()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"backup": ""}, "backup: expected a name"),
        ({"backup": "a\nb"}, "backup: expected a name in one line"),
        ({"backup": "../x"}, "backup: expected the name of a backup on the volume"),
        ({"superuser": "a\n"}, "superuser: "),
        ({"size_limit": "ten"}, "size_limit: expected a size above 0"),
        ({"size_limit": "0"}, "size_limit: "),
        ({"size_limit": "100m"}, "size_limit: "),
        ({"timeout": "soon"}, "timeout: expected a duration"),
        ({"settings": {"a b": 1}}, "settings: expected names of PostgreSQL's settings"),
        ({"settings": {"a\n": 1}}, "settings: expected names"),
        ({"settings": {"": 1}}, "settings: expected names"),
        ({"settings": {"a": "x\nfsync = on"}}, "settings: expected the value of a in one line"),
        ({"settings": {"a": ["x"]}}, "settings: expected one value for a, found list"),
        ({"settings": {"a": None}}, "settings: expected one value for a, found NoneType"),
    ],
)
def test_options_that_are_refused(request_: dict[str, Any], words: str) -> None:
    with pytest.raises(ExpectationError, match=words):
        drill_work(DrillRequest(**request_), "d-1")


def test_refused_value_is_not_shown() -> None:
    with pytest.raises(ExpectationError) as caught:
        settings_text({"a": "secret\n"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10Gi", 10 * 2**30), ("500M", 500_000_000), ("1024", 1024), ("0.5Ki", 512), ("1.001", 2), ("2Ti", 2**41)],
)
def test_size_limit_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


def database(name: str, offset: int, **options: str) -> dict[str, Any]:
    where = {"offset_bytes": offset, "length_bytes": 10, "body_offset_bytes": offset + 3}
    return {"name": name, **where, "create_options": options, "tables": []}


def test_sections_are_where_the_databases_lie() -> None:
    contents = {"databases": [database("template1", 5), database("app", 15, encoding="UTF8"), database("postgres", 25)]}
    found = sections(contents)
    assert found == ((5, 10, 0), (15, 10, 0), (25, 10, 0))
    (container,) = spec_of(sections=found)["template"]["spec"]["containers"]
    (text,) = (each["value"] for each in container["env"] if each["name"] == "POSTGRES_BACKUP_DRILL_SECTIONS")
    assert text == "5 10 0\n15 10 0\n25 10 0"


@pytest.mark.parametrize(("length", "tables", "found"), [(2**22, 5000, 8), (2**22 - 1, 1, 0), (2**22, 5001, 0)])
def test_sections_restored_in_one_transaction(length: int, tables: int, found: int) -> None:
    app = database("app", 5) | {"length_bytes": length, "tables": [{}] * tables}
    assert sections({"databases": [app]}) == ((5, length, found),)


@pytest.mark.parametrize(
    ("pod", "container", "entry"),
    [({"runAsUser": 7}, {}, ":7:0:"), ({"runAsUser": 7, "runAsGroup": 8}, {"runAsUser": 9}, ":9:8:"), ({}, {}, None)],
)
def test_the_passwd_file_names_the_pods_user(pod: dict[str, Any], container: dict[str, Any], entry: str | None) -> None:
    there = cronjob()
    spec = there["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["securityContext"], spec["containers"][0]["securityContext"] = pod, container
    template = volume_job(there, "d-1", SCRIPT, drill_work(DrillRequest(), "d-1"))["spec"]["template"]
    (mount,) = (m for m in template["spec"]["containers"][0]["volumeMounts"] if m["mountPath"] == "/etc/passwd")
    assert (mount["subPath"], mount["readOnly"]) == ("passwd", True)
    volume = next(volume for volume in template["spec"]["volumes"] if volume["name"] == mount["name"])
    if entry is None:
        # Only the pod knows: a container before it writes the file, which must not have the mount itself.
        (prepare,) = template["spec"]["initContainers"]
        assert (prepare["name"], prepare["args"]) == ("prepare", ["_drill_prepare"])
        assert "/etc/passwd" not in {mount["mountPath"] for mount in prepare["volumeMounts"]}
        assert "emptyDir" in volume
        return
    assert "initContainers" not in template["spec"]
    (item,) = volume["downwardAPI"]["items"]
    key = "postgres-backup.homelab/passwd"
    assert item == {"path": "passwd", "fieldRef": {"fieldPath": f"metadata.annotations['{key}']"}}
    assert any(f":x{entry}" in line for line in template["metadata"]["annotations"][key].splitlines())


def test_more_sections_than_a_variable_can_hold_are_left_out() -> None:
    many = tuple((10**9 + number, 1000, 10**9) for number in range(10_000))
    work = drill_work(DrillRequest(sections=many), "d")
    assert work.variables["POSTGRES_BACKUP_DRILL_SECTIONS"] == ""
    assert drill_work(DrillRequest(sections=many[:1000]), "d").variables["POSTGRES_BACKUP_DRILL_SECTIONS"]


@pytest.mark.parametrize("contents", [{}, {"databases": [{"name": "app"}]}, {"databases": [{"name": "postgres"}]}])
def test_contents_that_do_not_say_where_the_databases_lie(contents: dict[str, Any]) -> None:
    with pytest.raises(ExpectationError, match="contents: expected the offset of each database"):
        sections(contents)


def test_a_dump_that_makes_postgres_anew_is_not_cut() -> None:
    assert sections({"databases": [database("app", 5), database("postgres", 15, encoding="UTF8")]}) == ()


def test_image_and_texts_for_databases() -> None:
    texts: dict[str, Any] = {"search_path": {"é": "public"}, "before_sql": {"a b": "x;\ny"}, "after_sql": {}}
    spec = spec_of(image="postgres:19", **texts)["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"] == "postgres:19"
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    assert env["POSTGRES_BACKUP_DRILL_SEARCH_PATH"].split(" ")[0] == r"\0303\0251"
    assert env["POSTGRES_BACKUP_DRILL_BEFORE_SQL"] == r"\0141\0040\0142 \0170\0073\0012\0171"
    assert env["POSTGRES_BACKUP_DRILL_AFTER_SQL"] == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": "a b"}, "image: expected"),
        ({"image": ""}, "image: expected"),
        ({"search_path": {"app": ""}}, "search_path: expected a text for the database 'app'"),
        ({"search_path": {"app": "a\nb"}}, "search_path: expected a search_path in one line"),
        ({"before_sql": {"app": 1}}, "before_sql: expected a text"),
        ({"after_sql": {"app": "x\0"}}, "after_sql: expected a text"),
        ({"after_sql": {"app": "x" * 40_000}}, "after_sql: expected at most"),
    ],
)
def test_unusable_texts_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ExpectationError, match=words):
        spec_of(**options)
