# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers


"""restore-kit.sh: a backup in any folder, and servers and rows that a restore could trip over."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import pty
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugins.module_utils._verify.expectations import Expectations
from plugins.module_utils._verify.verification import verify
from tests.backup_parts import make_backup

from .support.combinations import Combination, program, under_one
from .support.encryption import encrypt, make_key, put_encrypted
from .support.kits import DATABASES, HASH, Source, database, dumped, make_source
from .support.programs import Programs
from .support.restores import names, state_of
from .support.script_files import write_kit
from .support.server import Server
from .support.workspace import Workspace, as_user


@pytest.fixture(scope="module")
def source(workspace: Workspace, template: Server) -> Iterator[Source]:
    with make_source(workspace, template) as made:
        yield made


Kit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def kit_file(workspace: Workspace) -> Path:
    return write_kit(workspace.directory("a kit's", mode=0o755))


@pytest.fixture
def kit(
    combination: Combination,
    paths: Callable[[Combination], list[Path]],
    kit_file: Path,
    workspace: Workspace,
    postgresql: Programs,
) -> Iterator[Kit]:
    """Runs the kit as a user who may read it and the backup, with PostgreSQL's client programs."""
    tmp = workspace.directory("kit-tmp", workspace.uid)

    def run(
        *arguments: str | Path,
        server: Server | None = None,
        shims: Path | None = None,
        program: str = str(kit_file),
        stdin: str = "",
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        path = [*([shims] if shims else []), *paths(combination), postgresql.bin]
        environment = (server.environment() if server else {}) | {"PATH": ":".join(map(str, path)), "TMPDIR": str(tmp)}
        shell = next(part / "sh" for part in path if (part / "sh").exists())
        command = [*as_user(workspace.uid), str(shell), *([program] if program else []), *map(str, arguments)]
        return subprocess.run(
            command, env=environment | more, input=stdin, cwd="/", capture_output=True, text=True, check=False
        )

    yield run
    assert not list(tmp.iterdir())


@pytest.fixture
def restore(kit: Kit, fresh_server: Server, source: Source) -> Kit:
    def run(backup: Path = source.backup, shims: Path | None = None) -> subprocess.CompletedProcess[str]:
        return kit("restore", backup, server=fresh_server, shims=shims)

    return run


def assert_restored(server: Server, source: Source) -> None:
    for name, text in source.databases.items():
        assert database(server, name) == text
    assert server.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'restore%'") == "0"


def dumped_alone(server: Server, name: str) -> str:
    """The objects and rows of one database, whatever its name."""
    return dumped(server, "pg_dump", "-d", "dbname='{}'".format(re.sub(r"([\\'])", r"\\\1", name)))


def test_a_server_whose_chart_made_the_role_and_the_database(
    restore: Kit, fresh_server: Server, source: Source
) -> None:
    fresh_server.sql("CREATE ROLE app LOGIN PASSWORD 'new'; CREATE DATABASE app OWNER app; CREATE DATABASE other;")
    fresh_server.sql('CREATE DATABASE "A b""c\'d\\e"; CREATE DATABASE latin1;')
    before = [fresh_server.sql(HASH + f"'{name}'") for name in ("postgres", "app")]
    done = restore()
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    result = json.loads(done.stdout)
    assert sorted(result["kept_roles"]) == ["app", "postgres"]
    assert {one["name"] for one in result["databases"] if one["dropped"]} == {"app", DATABASES[1], "latin1"}
    assert result["other_databases"] == ["other"]
    assert [fresh_server.sql(HASH + f"'{name}'") for name in ("postgres", "app")] == before
    assert fresh_server.sql("SELECT rolcreatedb FROM pg_roles WHERE rolname = 'app'") == "f"
    assert fresh_server.sql("SELECT roleid::regrole FROM pg_auth_members WHERE member = 'app'::regrole") == "team"
    assert_restored(fresh_server, source)
    # What holds something is not restored into a second time, and loses nothing.
    again = restore()
    assert again.returncode == 1
    assert "the database 'app' is on the server and has objects" in again.stderr
    assert_restored(fresh_server, source)


def test_a_fresh_server_gets_every_role(restore: Kit, fresh_server: Server, source: Source) -> None:
    done = restore()
    assert done.returncode == 0, done.stderr
    globals_of_source = re.sub(
        r".*ROLE postgres.*\n",
        "",
        gzip.decompress(source.backup.read_bytes()).decode("latin-1").partition("\\connect t")[0],
    )
    for line in dumped(fresh_server, "pg_dumpall", "--globals-only").splitlines():
        assert line in globals_of_source or "ROLE postgres" in line or "complete" in line
    assert_restored(fresh_server, source)


def test_a_database_with_rows_stops_the_restore_before_anything_is_changed(
    restore: Kit, fresh_server: Server, source: Source
) -> None:
    fresh_server.sql("CREATE DATABASE latin2")
    fresh_server.sql("CREATE TABLE t (v text); INSERT INTO t VALUES ('mine')", "latin2")
    before = state_of(fresh_server)
    done = restore()
    assert done.returncode == 1
    assert "the database 'latin2' is on the server and has objects" in done.stderr
    assert state_of(fresh_server) == before
    assert fresh_server.sql("TABLE t", "latin2") == "mine"
    fresh_server.sql("DROP DATABASE latin2")
    done = restore()
    assert done.returncode == 0, done.stderr
    assert_restored(fresh_server, source)


@under_one
@pytest.mark.parametrize(
    "holds",
    [
        "CREATE TABLE t ()",
        "CREATE VIEW v AS SELECT 1",
        "CREATE SEQUENCE s",
        "CREATE SCHEMA s",
        "CREATE TYPE e AS ENUM ('a')",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT lo_create(0)",
    ],
)
def test_a_database_that_holds_anything_is_not_dropped(restore: Kit, fresh_server: Server, holds: str) -> None:
    fresh_server.sql("CREATE DATABASE app")
    fresh_server.sql(holds, "app")
    done = restore()
    assert done.returncode == 1
    assert "the database 'app' is on the server and has objects" in done.stderr


@under_one
def test_a_backup_that_is_cut(restore: Kit, fresh_server: Server, source: Source) -> None:
    cut = source.backup.with_name("cut.sql.gz")
    cut.write_bytes(source.backup.read_bytes()[:-100])
    cut.chmod(0o644)
    done = restore(cut)
    assert done.returncode == 1
    assert "the backup is not one complete dump of all databases" in done.stderr
    assert fresh_server.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'app'") == "0"


@under_one
def test_a_volume_that_fails_among_the_rows(
    restore: Kit, fresh_server: Server, source: Source, workspace: Workspace
) -> None:
    """If gzip fails, the rows received so far are not taken for all rows."""
    shims = workspace.directory("kit-shims", mode=0o777)
    text = gzip.decompress(source.backup.read_bytes())
    where = text.index(b"\n", text.index(b"GRANT ALL ON DATABASE app TO app;\n")) + 1
    (shims / "gzip").write_text(
        f'#!/bin/sh\necho x >>{shims}/calls; [ "$(wc -l <{shims}/calls)" -lt 3 ] || fail=1\n'
        f'if [ -n "${{fail-}}" ]; then /bin/gzip "$@" | head -c {where}; exit 1; fi; exec /bin/gzip "$@"\n'
    )
    (shims / "gzip").chmod(0o755)
    done = restore(shims=shims)
    assert done.returncode == 1, done.stderr
    assert "FAILED: not every database " in done.stderr
    for name in {"app", "reads"} & names(fresh_server):
        assert database(fresh_server, name) == source.databases[name]
    assert not [name for name in names(fresh_server) if "_restoring_" in name]


# check and list


def test_check_and_list_need_no_server(kit: Kit, source: Source) -> None:
    checked = kit("check", source.backup)
    assert checked.returncode == 0, checked.stderr
    sha256 = hashlib.sha256(source.backup.read_bytes()).hexdigest()
    assert re.fullmatch(
        rf"a backup's\.sql\.gz: complete, 11 databases, [0-9.]+ KiB, sha256 {sha256}; it has no checksum file .*\n",
        checked.stdout,
    )
    listed = kit("list", source.backup)
    assert listed.returncode == 0, listed.stderr
    pairs = (line.split("\t", 1) for line in listed.stdout.splitlines())
    rows = {name: size for size, name in pairs}
    assert rows.keys() == {*DATABASES, "postgres", "template1"}
    assert all(int(size) > 100 for size in rows.values())


OTHER_FILES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda text: gzip.compress(text)[:-100],
    "changed": lambda text: bytes([*gzip.compress(text)[:-8], *b"\0" * 8]),
    "no end": lambda text: gzip.compress(text[:-40]),
    "plain": lambda text: text,
    "empty": lambda _: b"",
    "custom format": lambda _: b"PGDMP" + b"\1" * 100,
    "no dump": lambda _: gzip.compress(b"hello\n"),
}


@under_one
@pytest.mark.parametrize("kind", OTHER_FILES)
def test_a_file_that_is_not_a_complete_backup(
    kit: Kit, fresh_server: Server, source: Source, workspace: Workspace, kind: str
) -> None:
    path = workspace.directory("other", mode=0o755) / "other.sql.gz"
    path.write_bytes(OTHER_FILES[kind](gzip.decompress(source.backup.read_bytes())))
    path.chmod(0o644)
    before = state_of(fresh_server)
    for words in (("check", path), ("restore", path), ("restore", path, "app")):
        done = kit(*words, server=fresh_server)
        assert done.returncode == 1, (words, done.stderr)
        assert "FAILED: the backup is " in done.stderr
        assert done.stdout == "" or json.loads(done.stdout)["state"] == "failed"
    assert state_of(fresh_server) == before


# Of the end of the gzip data, and whether it is part of a complete backup: as backup_verify has it.
ENDS = {
    "garbage": (b"garbage", False),
    "one byte": (b"x", False),
    "zeros": (b"\0" * 100_000, True),
    "one zero": (b"\0", True),
    "zeros and then garbage": (b"\0" * 100_000 + b"x", False),
    "zeros after garbage": (b"x" + b"\0" * 100_000, False),
    "the begin of gzip data": (b"\x1f\x8b", False),
}


@under_one
@pytest.mark.parametrize("decompressor", ["gzip", "igzip", "pigz", "busybox"])
@pytest.mark.parametrize("end", ENDS)
def test_what_follows_the_gzip_data(
    kit: Kit, source: Source, workspace: Workspace, end: str, decompressor: str
) -> None:
    """Most decompressors are silent about it."""
    text, is_complete = ENDS[end]
    folder = workspace.directory("followed", mode=0o755)
    path = folder / "followed.sql.gz"
    path.write_bytes(source.backup.read_bytes() + text)
    path.chmod(0o644)
    name = "gzip" if decompressor == "busybox" else decompressor
    (folder / name).symlink_to(program(decompressor))
    done = kit("check", path, shims=folder)
    assert (done.returncode == 0) == is_complete, done.stderr
    assert (
        not verify(str(path), Expectations(kind="cluster"), datetime.now(UTC), None, "auto").failures
    ) == is_complete
    # What is short, or begins as gzip data does, may be taken for gzip data that is cut off.
    if not is_complete and end not in ("one byte", "the begin of gzip data"):
        assert f"{path.name}: something that is neither gzip data nor zeros follows the end of its gzip" in done.stderr


@under_one
def test_a_checksum_file_next_to_the_backup_counts(
    kit: Kit, fresh_server: Server, source: Source, workspace: Workspace
) -> None:
    path = workspace.directory("renamed", mode=0o755) / "renamed.gz"
    path.write_bytes(source.backup.read_bytes())
    checksum = path.with_name("renamed.gz.sha256")
    checksum.write_text(hashlib.sha256(path.read_bytes()).hexdigest().upper() + "  another-name.sql.gz\n")
    for each in (path, checksum):
        each.chmod(0o644)
    done = kit("check", path)
    assert done.returncode == 0 and done.stdout.endswith(" as in its checksum file\n"), done
    checksum.write_text("0" * 64 + "  renamed.gz\n")
    done = kit("check", path)
    assert done.returncode == 1 and "the backup does not match its checksum file" in done.stderr
    before = state_of(fresh_server)
    for words in (("restore", path), ("restore", path, "app")):
        done = kit(*words, server=fresh_server)
        assert done.returncode == 1 and "0" * 64 in done.stderr, done.stderr
    assert state_of(fresh_server) == before


@under_one
def test_an_incomplete_backup_names_what_it_lacks(
    kit: Kit, fresh_server: Server, source: Source, workspace: Workspace
) -> None:
    parts = make_backup(gzip.decompress(source.backup.read_bytes()), without={"app": "invalid page in block 0"})
    path = workspace.directory("incomplete", mode=0o755) / parts.name
    path.write_bytes(parts.file)
    path.with_name(f"{parts.name}.json").write_text(parts.manifest)
    path.with_name(f"{parts.name}.sha256").write_text(f"{parts.sha256}  {parts.name}\n")
    for each in path.parent.iterdir():
        each.chmod(0o644)
    done = kit("check", path)
    assert done.returncode == 0 and ': incomplete, 10 databases without "app", ' in done.stdout, done
    done = kit("restore", path, "app", server=fresh_server)
    assert done.returncode == 1 and "the database is not in the backup" in done.stderr
    done = kit("restore", path, server=fresh_server)
    assert done.returncode == 0 and json.loads(done.stdout)["missing_databases"] == ["app"], done.stderr
    assert database(fresh_server, "reads") == source.databases["reads"]


# One database


def test_one_database_under_its_name_and_under_another(kit: Kit, fresh_server: Server, source: Source) -> None:
    name = DATABASES[1]
    done = kit("restore", source.backup, name, server=fresh_server)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["state"], result["target"], result["created_roles"]) == ("succeeded", name, ["team"])
    assert dumped_alone(fresh_server, name) == dumped_alone(source.server, name)
    done = kit("restore", source.backup, "app", "app ü 2", server=fresh_server)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == int(source.server.sql("SELECT count(*) FROM t", "app"))
    assert dumped_alone(fresh_server, "app ü 2") == dumped_alone(source.server, "app")


@under_one
def test_an_existing_database_is_only_replaced_on_request(kit: Kit, fresh_server: Server, source: Source) -> None:
    fresh_server.sql("CREATE ROLE app LOGIN PASSWORD 'new'; CREATE DATABASE app OWNER app;")
    fresh_server.sql("CREATE TABLE mine ()", "app")
    before = state_of(fresh_server)
    password = fresh_server.sql(HASH + "'app'")
    done = kit("restore", source.backup, "app", server=fresh_server)
    assert done.returncode == 1 and "the database already exists" in done.stderr
    checked = kit(
        *("restore", source.backup, "app"),
        server=fresh_server,
        POSTGRES_BACKUP_RESTORE_REPLACE="yes",
        POSTGRES_BACKUP_RESTORE_CHECK="yes",
    )
    assert checked.returncode == 0, checked.stderr
    assert state_of(fresh_server) == before
    for number in range(2):
        done = kit("restore", source.backup, "app", server=fresh_server, POSTGRES_BACKUP_RESTORE_REPLACE="yes")
        assert done.returncode == 0, done.stderr
        assert dumped_alone(fresh_server, "app") == dumped_alone(source.server, "app")
        old = json.loads(done.stdout)["replaced"]
        assert re.fullmatch(r"app_before_restore_\d{14}", old)
        fresh_server.sql(f"ALTER DATABASE {old} RENAME TO app_{number}_kept")  # both may be of one second
    assert fresh_server.sql(HASH + "'app'") == password


# The machine


@under_one
@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.9999])
def test_a_kit_that_is_cut_off_fails(kit: Kit, kit_file: Path, source: Source, fraction: float) -> None:
    text = kit_file.read_text()
    assert text.endswith(' _kit "$@" </dev/null\n')
    cut = text[: int((len(text) - 60) * fraction)]
    done = kit("-s", "check", source.backup, program="", stdin=cut)
    assert done.returncode == 2, done
    assert "restore-kit.sh: the file is cut off" in done.stderr or "yntax error" in done.stderr


@under_one
def test_the_kit_through_standard_input(kit: Kit, kit_file: Path, source: Source) -> None:
    """As `kubectl exec -i … sh -s` does it."""
    done = kit("-s", "check", source.backup, program="", stdin=kit_file.read_text())
    assert done.returncode == 0 and ": complete, " in done.stdout, done.stderr


def test_a_temporary_folder_without_space(kit: Kit, source: Source, workspace: Workspace) -> None:
    full = workspace.directory("full", workspace.uid)
    workspace.mount_tmpfs(full, "64k")
    done = kit("check", source.backup, TMPDIR=str(full))
    workspace.unmount(full)
    assert done.returncode == 2, done
    assert "could not be written to" in done.stderr and "set TMPDIR to a folder with free space" in done.stderr
    done = kit("check", source.backup, TMPDIR="/nonexistent")
    assert done.returncode == 2 and "set TMPDIR to a folder that this user may write to" in done.stderr


@under_one
def test_what_is_wrong_with_the_arguments_is_said(kit: Kit, source: Source) -> None:
    assert kit("help").stdout.startswith("usage: sh restore-kit.sh check BACKUP")
    for words in ((), ("check",), ("check", "a", "b"), ("list",), ("restore",), ("restore", *"abcd"), ("run",)):
        done = kit(*words)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("usage: "), words
    done = kit("check", "/nonexistent/a.sql.gz")
    assert done.returncode == 2 and "there is no such file" in done.stderr
    done = kit("restore", source.backup)
    assert done.returncode == 2 and "expected the server's host name" in done.stderr
    for name in ("x" * 64, "a\nb", "template1"):
        assert kit("restore", source.backup, "app", name, PGHOST="127.0.0.1").returncode == 2


def test_an_encrypted_backup_with_an_identity(
    kit: Kit, fresh_server: Server, source: Source, workspace: Workspace
) -> None:
    key = make_key()
    folder = workspace.directory("encrypted-source", workspace.uid)
    path = folder / f"{source.backup.name}.age"
    path.write_bytes(encrypt(source.backup.read_bytes(), key.recipient))
    identity = folder / "identity.txt"
    identity.write_text(key.identity)
    for file in (path, identity):
        file.chmod(0o644)
    more = {"POSTGRES_BACKUP_IDENTITY_FILE": str(identity), "POSTGRES_BACKUP_AGE": str(program("age"))}
    done = kit("check", path, **more)
    assert done.returncode == 0, done.stderr
    assert ": complete, " in done.stdout
    done = kit("restore", path, server=fresh_server, **more)
    assert done.returncode == 0, done.stderr
    assert_restored(fresh_server, source)
    done = kit("restore", path, "app", "again", server=fresh_server, **more)
    assert done.returncode == 0, done.stderr
    assert dumped_alone(fresh_server, "again").replace("again", "app") == dumped_alone(fresh_server, "app")
    path.write_bytes(path.read_bytes()[:-30])
    done = kit("check", path, **more)
    # age decrypts nothing of a chunk that is cut off.
    assert done.returncode == 2
    assert "the backup cannot be decrypted" in done.stderr


def test_an_encrypted_backup_is_not_called_damaged(kit: Kit, workspace: Workspace) -> None:
    folder = workspace.directory("encrypted", workspace.uid)
    path = put_encrypted(folder, "postgres-backup-2026-11-22-020000.sql.gz", make_key())
    path.chmod(0o644)
    done = kit("check", path)
    assert done.returncode == 2
    assert "the backup is encrypted" in done.stderr
    assert "damaged" not in done.stderr


@pytest.mark.parametrize(
    ("identity", "found"),
    [("<(cat {})", "found l"), ("nothing", "found ls: "), ("/tmp", "found d"), ("pipe", "found p")],
    ids=["substitution", "nothing", "folder", "pipe"],
)
def test_an_identity_that_is_no_file(kit_file: Path, workspace: Workspace, identity: str, found: str) -> None:
    """A pipe can be read only once: the backup, which the first program decrypted, looked damaged to the second."""
    key, folder = make_key(), workspace.directory("pipe")
    path = put_encrypted(folder, "postgres-backup-2026-11-22-020000.sql.gz", key)
    (folder / "identity.txt").write_text(key.identity)
    os.mkfifo(folder / "pipe")
    command = (
        f"POSTGRES_BACKUP_IDENTITY_FILE={identity.format('identity.txt')} sh {shlex.quote(str(kit_file))} check {path}"
    )
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "FAILED: the identity cannot be read" in done.stderr
    assert f"expected a file that this user may read, {found}" in done.stderr
    assert "damaged" not in done.stderr


def at_terminal(command: list[str], environment: dict[str, str], typed: bytes) -> str:
    """What a program shows at a terminal, where these letters are typed."""
    ours, theirs = pty.openpty()
    words = [str(program("setsid")), "--ctty", *command]
    process = subprocess.Popen(words, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, typed)
    shown = b""
    # The end of a terminal is an error (pty(7)).
    with contextlib.suppress(OSError):
        while data := os.read(ours, 4096):
            shown += data
    process.wait(60)
    os.close(ours)
    return shown.decode()


def test_an_identity_with_a_passphrase_is_refused_at_a_terminal(
    combination: Combination,
    paths: Callable[[Combination], list[Path]],
    kit_file: Path,
    workspace: Workspace,
    source: Source,
) -> None:
    """age would ask for it, and later, where the kit reads in the background, it cannot: the backup looked damaged."""
    folder = workspace.directory("passphrase", workspace.uid)
    identity, backup = folder / "id", folder / "postgres-backup-2026-11-22-020000.sql.gz.age"
    words = ["-q", "-t", "ed25519", "-N", "secret", "-f", str(identity)]
    subprocess.run([program("ssh-keygen"), *words], check=True)
    backup.write_bytes(encrypt(source.backup.read_bytes(), Path(f"{identity}.pub").read_text().strip()))
    os.chown(identity, workspace.uid, workspace.uid)
    path = [*paths(combination), Path(program("setsid")).parent]
    environment = {
        "PATH": ":".join(map(str, path)),
        "TMPDIR": str(workspace.directory("kit-tmp", workspace.uid)),
        "POSTGRES_BACKUP_IDENTITY_FILE": str(identity),
        "POSTGRES_BACKUP_AGE": str(program("age")),
    }
    shell = next(part / "sh" for part in path if (part / "sh").exists())
    command = [*as_user(workspace.uid), str(shell), str(kit_file), "check", str(backup)]
    shown = at_terminal(command, environment, b"secret\n" * 5)
    assert "FAILED: the backup cannot be decrypted" in shown
    assert "what to do: Give an identity without a passphrase" in shown
