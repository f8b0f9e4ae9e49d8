# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Hostile options, hostile output of a pod, and hostile files next to a fetched backup."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._fetch.destination import Destination, open_partial, resolve, write_checksum_file
from plugins.module_utils._jobs.drill_job import DrillRequest, drill_work
from plugins.module_utils._jobs.restore_plan import RestoreRequest, plan_restore
from plugins.module_utils._jobs.volume_jobs import RESTORE, ReaderRequest, VolumeWork, reader_job, volume_job
from plugins.module_utils._script.drill import FILES as DRILL_FILES
from plugins.module_utils._script.reader import FILES as READER_FILES
from plugins.module_utils._script.restore import FILES as RESTORE_FILES
from plugins.module_utils._volume.catalog import parse_listing
from plugins.module_utils.errors import BackupError, ListingError

from .plugins.module_utils._jobs.restore_contents import contents
from .plugins.module_utils.cronjobs import cronjob, plain

NAME = "postgres-backup-2026-11-22-020000.sql.gz"
HASH = "0123456789abcdef" * 4
ELSE = 54321
HOSTILE = [
    "$(POSTGRES_BACKUP_NAME)",
    "a'b\"c$(>/x)`>/x`;>/x|>/x&>/x\\{{7*7}}$$%s !#*?[é\x85\u2028",
    "x\nmalicious: true\n---\n",
    "-rf",
    "../../etc/passwd",
]
TOKEN = "token"


# -------------------------------------------------------------------------------------------------- options of modules


def kubelet(value: str) -> str:
    """What the kubelet makes of a variable's value, an argument or a word of a command (Container v1 core)."""
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda found: "$" if found[0] == "$$" else f"EXPANDED {found[1]}", value)


def as_the_pod_sees_it(job: dict[str, Any]) -> dict[str, Any]:
    spec = job["spec"]["template"]["spec"]
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        container["env"] = {each["name"]: kubelet(each["value"]) for each in container["env"] if "value" in each}
        for words in ("command", "args"):
            container[words] = [kubelet(word) for word in container[words]]
    return job


def reader(**options: Any) -> dict[str, Any]:
    # This CronJob does not specify the folder.
    made = plain(("data", "/data"))
    made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"].append({"name": "data", "emptyDir": {}})
    return reader_job(made, "r-1", READER_FILES, ReaderRequest(**options))


def drill(**options: Any) -> dict[str, Any]:
    return volume_job(cronjob(), "d-1", DRILL_FILES, drill_work(DrillRequest(**options), "d-1"))


def restore(**options: Any) -> dict[str, Any]:
    given = {"backup": NAME, "sha256": HASH, "database": "shop", "token": "abc", "contents": contents()}
    if "database" in options:
        given["contents"] = contents(name=options["database"])
    plan = plan_restore(RestoreRequest(**{**given, "now": datetime(2026, 11, 22, tzinfo=UTC), **options}))
    work = VolumeWork(RESTORE, ("_restore",), 100, credentials=True, variables=plan.variables)
    return volume_job(cronjob(), "r-1", RESTORE_FILES, work)


def text_options(request: type) -> list[str]:
    return [field.name for field in dataclasses.fields(request) if str(field.type) in {"str", "str | None"}]


OPTIONS: list[tuple[Callable[..., dict[str, Any]], str, Callable[[str], Any]]] = [
    (reader, "directory", lambda text: f"/data/{text}"),
    *[(drill, name, str) for name in text_options(DrillRequest) if name != "directory"],
    (drill, "directory", lambda text: f"/backups/{text}"),
    (drill, "settings", lambda text: {"a": text}),
    (drill, "settings", lambda text: {text: "a"}),
    *[(restore, name, str) for name in text_options(RestoreRequest) if name != "token"],
]


def replaced(value: Any, text: str) -> Any:
    if isinstance(value, list):
        return [replaced(each, text) for each in value]
    if isinstance(value, dict):
        return {key: replaced(each, text) for key, each in value.items()}
    return value.replace(TOKEN, text) if isinstance(value, str) else value


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize(("job", "option", "value"), OPTIONS, ids=lambda each: getattr(each, "__name__", str(each)))
def test_option_is_refused_or_reaches_the_pod_unchanged(
    job: Callable[..., dict[str, Any]], option: str, value: Callable[[str], Any], text: str
) -> None:
    try:
        made = as_the_pod_sees_it(job(**{option: value(text)}))
    except BackupError as error:
        if option not in str(error):
            pytest.fail(f"the option is not named: {error}")
        return
    try:
        expected = as_the_pod_sees_it(job(**{option: value(TOKEN)}))
    except BackupError:
        pytest.fail("what is harmless is refused")
    (container,) = made["spec"]["template"]["spec"]["containers"]
    (harmless,) = expected["spec"]["template"]["spec"]["containers"]
    # Names are made of it, and its JSON.
    for environment in (container["env"], harmless["env"]):
        for name in list(environment):
            if re.fullmatch("RESTORE_(TEMPORARY|OLD|MARK|DATABASE_JSON)", name):
                del environment[name]
    assert made == replaced(expected, text)


# ---------------------------------------------------------------------------------------------------- a pod's answers

LINE = {
    "type": "backup",
    "name": NAME,
    "created": "2026-11-22T02:00:00Z",
    "size_bytes": 1,
    "sha256": None,
    "state": "complete",
    "future": False,
    "verdict": "keep",
    "reasons": [],
}
VOLUME = (
    '{"type":"volume","path":"/backups","source":"nas:/x","size_bytes":9,"free_bytes":5,"policy":{},'
    '"last_drill":DRILL,"last_run":RUN}'
)


def volume_line(drill: str = "null", run: str = "null") -> str:
    return VOLUME.replace("DRILL", drill).replace("RUN", run)


@pytest.mark.parametrize(
    "name",
    ["../../etc/cron.d/x", f"../{NAME}", f"/etc/{NAME}", f"a/{NAME}", "passwd", "", ".", "..", f"{NAME}\n", "-rf"],
)
def test_name_with_a_path_is_never_accepted(name: str) -> None:
    """It would be the file's name here."""
    assert parse_listing([json.dumps(LINE), volume_line()]).backups[0].name == NAME
    with pytest.raises(ListingError, match="is not a backup name"):
        parse_listing([json.dumps({**LINE, "name": name}), volume_line()])


@pytest.mark.parametrize(
    "more", ['"source":"evil:/y"', '"type":"backup"', '"size_bytes":1', '"last_run":null', '"path":"/"']
)
@pytest.mark.parametrize("where", ["drill", "run"])
def test_record_cannot_change_facts_of_the_volume(where: str, more: str) -> None:
    """The script shows the records as they are: one may close its own object."""
    record = f'{{"state":"succeeded"}},{more},"x":{{"y":1}}'
    found = parse_listing([json.dumps(LINE), volume_line(**{where: record})])
    assert (found.source, found.size_bytes, found.path) == ("nas:/x", 9, "/backups")
    assert [backup.name for backup in found.backups] == [NAME]


# ------------------------------------------------------------------------------------------ files next to a fetched one


def owned_by_another(path: Path) -> Path:
    path.write_bytes(b"begin")
    path.chmod(0o666)
    os.chown(path, ELSE, ELSE)
    return path


def linked_to_another(path: Path) -> Path:
    target = path.parent / "precious"
    target.write_bytes(b"precious")
    os.link(target, path)
    return target


@pytest.fixture
def public(tmp_path: Path) -> Destination:
    """In a folder where everybody may write (and the kernel's own protection, of sticky ones, does not help)."""
    tmp_path.chmod(0o777)
    return resolve(str(tmp_path), NAME)


@pytest.mark.parametrize("make", [owned_by_another, linked_to_another])
def test_partial_file_of_another_user_is_not_written(public: Destination, make: Callable[[Path], Path]) -> None:
    """Its owner could read everything that is written into it."""
    target = make(Path(public.partial))
    with target.open("rb") as theirs:
        with open_partial(public) as descriptor:
            os.write(descriptor, b"secret")
            assert os.fstat(descriptor).st_uid == os.geteuid()
            assert os.fstat(descriptor).st_size == 6
        assert b"secret" not in theirs.read()
    assert Path(public.partial).read_bytes() == b"secret"


def test_own_partial_file_is_resumed(public: Destination) -> None:
    Path(public.partial).write_bytes(b"begin")
    with open_partial(public) as descriptor:
        assert os.read(descriptor, 9) == b"begin"


def test_partial_file_on_a_share_that_squashes_users(public: Destination) -> None:
    """On a file system where files never belong to this user, the owner of the folder decides."""
    os.chown(public.directory, ELSE, ELSE)
    owned_by_another(Path(public.partial))
    with open_partial(public) as descriptor:
        assert os.read(descriptor, 9) == b"begin"


@pytest.mark.parametrize("make", [owned_by_another, linked_to_another])
def test_checksum_partial_file_of_another_user_is_not_written(
    public: Destination, make: Callable[[Path], Path]
) -> None:
    target = make(Path(public.directory) / f".{NAME}.sha256.partial")
    before = target.read_bytes()
    with target.open("rb") as theirs:
        write_checksum_file(public, HASH, 0o640)
        assert theirs.read() == before
    found = os.stat(public.checksum_file)
    assert (found.st_uid, found.st_nlink, found.st_mode & 0o777) == (os.geteuid(), 1, 0o640)
