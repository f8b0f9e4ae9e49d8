# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""restore-kit.sh and a backup, and nothing else: root filesystems without network, and a server behind a socket."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dump import truth

from .support.combinations import program
from .support.kits import Source, dumped, make_source
from .support.programs import DEFAULT_VERSION, root_filesystem
from .support.script_files import write_kit
from .support.server import Server
from .support.workspace import Workspace

PSQL = f"/usr/lib/postgresql/{DEFAULT_VERSION}/bin"
# In namespaces without network and with these mounts; folders that root filesystems have.
ENTER = """
set -eu
root=$1 backups=$2 sockets=$3 tmp=$4 libraries=$5
shift 5
mount --make-rprivate /
mount --bind "$root" "$root"
[ -z "$libraries" ] || mount --bind "$libraries" "$root/usr/lib"
[ -c "$root/dev/null" ] || mount --bind /dev/null "$root/dev/null"
for pair in "$backups:mnt" "$sockets:srv" "$tmp:tmp"; do mount --bind "${pair%:*}" "$root/${pair##*:}"; done
mount -o remount,bind,ro "$root/mnt"
exec chroot --userspec=12345:12345 "$root" /bin/sh -c '[ ! -e /proc/net/route ] || exit 9; exec "$@"' sh "$@"
"""


@pytest.fixture(scope="module")
def source(workspace: Workspace, template: Server) -> Iterator[Source]:
    with make_source(workspace, template) as made:
        yield made


@pytest.fixture(params=["debian", "busybox"])
def root(request: pytest.FixtureRequest, workspace: Workspace) -> tuple[Path, str]:
    """The root, and the folder with the libraries and the psql if it does not have them."""
    debian = root_filesystem(DEFAULT_VERSION)
    if request.param == "debian":
        return debian, ""
    made = workspace.directory("busybox-root")
    for name in ("bin", "mnt", "srv", "tmp", "dev", "usr/lib"):
        (made / name).mkdir(parents=True)
    for name in ("lib", "lib64"):
        (made / name).symlink_to(os.readlink(debian / name))
    shutil.copytree(debian / "usr/lib64", made / "usr/lib64", symlinks=True)
    shutil.copy(program("busybox"), made / "bin/busybox")
    for applet in subprocess.run(
        [program("busybox"), "--list"], capture_output=True, text=True, check=True
    ).stdout.split():
        if applet != "busybox":
            (made / "bin" / applet).symlink_to("busybox")
    (made / "dev/null").touch()
    return made, str(debian / "usr/lib")


def test_a_restore_of_everything_with_the_kit_alone(
    root: tuple[Path, str], workspace: Workspace, fresh_server: Server, source: Source
) -> None:
    backups, sockets, tmp = (workspace.directory(name, mode=0o777) for name in ("a NAS's", "sockets", "tmp"))
    write_kit(backups)
    shutil.copy(source.backup, backups)
    fresh_server.stop()
    fresh_server.configure(f"unix_socket_directories = '{sockets}'")
    fresh_server.start()
    fresh_server.sql("CREATE ROLE app LOGIN PASSWORD 'new'; CREATE DATABASE app OWNER app;")
    password = fresh_server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        enter = ["unshare", "--net", "--mount", "sh", "-c", ENTER, "sh"]
        places = [str(root[0]), str(backups), str(sockets), str(tmp), root[1]]
        environment = fresh_server.environment() | {"PGHOST": "/srv", "PATH": f"/usr/bin:/bin:{PSQL}:/usr/sbin:/sbin"}
        return subprocess.run(
            [*enter, *places, "sh", "/mnt/restore-kit.sh", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    path = f"/mnt/{source.backup.name}"
    done = run("check", path)
    assert done.returncode == 0 and ": complete, 11 databases, " in done.stdout, done.stderr
    done = run("restore", path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    counted = truth.everything(source.server).values()
    assert result["rows"] == sum(sum(tables.values()) for tables in counted) > 80
    # The truth is PostgreSQL's: what pg_dumpall writes about both servers, except the role that was there already.
    assert without_role(dumped(fresh_server, "pg_dumpall")) == without_role(source.everything)
    assert truth.everything(fresh_server) == truth.everything(source.server)
    assert fresh_server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'") == password
    done = run("restore", path, "app", "app_2")
    assert done.returncode == 0, done.stderr
    assert truth.tables(fresh_server, "app_2") == truth.tables(source.server, "app")
    assert not list(tmp.iterdir())
    assert {each.name for each in backups.iterdir()} == {"restore-kit.sh", source.backup.name}


def without_role(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("ALTER ROLE app WITH ")]
