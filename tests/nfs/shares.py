# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The NFS hosts in the guest, shares on them, and runs of the script on their mounts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count

from dev.nfs.image import PASSWORD
from tests.script.support.sandbox import POLICY, Json, Outcome, parse

from .machine import PATH, Answer, Machine

NAME = "postgres-backup"
POD_USER = 1001
OLDER = ("2026-01-01-020000", "2026-01-02-020000", "2026-01-03-020000")
# A call of each step that the step cannot do without.
STEPS = {
    "dump": "pg_dumpall --globals-only *",
    "read_back": "dd if=*.partial of=/dev/null *",
    "checksum_file_read": "cat *.sql.gz.sha256",
    "publish": "ln *",
    "checksum_file": "chmod *.partial",
    "initdb": "initdb *",
}
# The client "node" is the guest itself, as a pod's node mounts in its first network namespace.
_ADDRESSES = {"nas": 1, "far-nas": 2, "two": 12}
# A file with its final name is complete: checksum file, compression, the end of the text. Checked on the server.
_WHOLE = r"""
cd "$1"
for file in postgres-backup-*.sql.gz; do
    [ -e "$file" ] || continue
    sha256sum --quiet -c "$file.sha256"
    gzip -t "$file"
    [ "$(gzip -dc "$file" | tail -n 3)" = "-- PostgreSQL database cluster dump complete
--" ] || { echo "$file ends before its end"; exit 1; }
done
"""
# In front of one program of the run: a call that matches waits while there is a file `stop`.
_GATE = """#!/bin/sh
PATH=${PATH#*:}
name=${0##*/}
pattern='%s'
case "$name $*" in
    $pattern) : >%s/reached; while [ -e %s/stop ]; do sleep 0.2; done ;;
esac
exec "$name" "$@"
"""
# initdb wants to know the user's name; the drill's pod mounts a passwd file too.
_NAME_USER = """
set -e
{ cat /etc/passwd; echo "drill:x:$2:$2::/:/bin/false"; } >"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
shift 2
exec "$@"
"""
_serial = count(1)


@dataclass
class Run:
    """The script while it runs, or at its end."""

    guest: Guest
    folder: str
    future: Future[Answer]

    @property
    def ended(self) -> bool:
        return self.future.done()

    def wait_for_gate(self, seconds: float = 400) -> None:
        self.guest.wait_until(lambda: self.guest.exists(f"{self.folder}/reached"), "the gate is reached", self, seconds)

    def open_gate(self) -> None:
        self.guest.open_gates(self)

    def finish(self, code: int = 0, seconds: float = 400) -> Outcome:
        """Its end, in good order: nothing of it is left in its temporary folder."""
        answer = self.guest.machine.result(self.future, seconds)
        outcome = Outcome(answer.code, answer.out, answer.log).check(code)
        left = self.guest.sh('ls -A "$1/tmp" "$1/drill" | grep -v -e : -e "^$" || :', self.folder)
        assert left == "", f"left in TMPDIR: {left}\n{answer.log}"
        return outcome

    @property
    def termination(self) -> Json:
        return parse(self.guest.sh('cat "$1/termination-log"', self.folder))


@dataclass
class NfsShare:
    """A file system of a fixed size on a server, and where clients have it mounted."""

    guest: Guest
    server: str
    path: str
    mounts: dict[str, str] = field(default_factory=dict)

    def mount(self, client: str = "node", options: str = "hard,nfsvers=4.2") -> str:
        """As Kubernetes mounts it; twice is the same."""
        key = f"{client} {options}"
        if key not in self.mounts:
            target = f"/mnt/{os.path.basename(self.path)}-{len(self.mounts)}"
            source = f"10.9.0.{_ADDRESSES[self.server]}:{self.path}"
            if client != "node":
                self.guest.host(client)
            self.guest.nfs("mount", client, source, target, options)
            self.mounts[key] = target
        return self.mounts[key]

    # By the server's own eyes.

    def sh(self, script: str, *arguments: str) -> str:
        return self.guest.sh(f'cd "$1"; shift; {script}', self.path, *arguments)

    def names(self) -> list[str]:
        return sorted(self.sh("ls -A").split())

    def backups(self) -> list[str]:
        """Final names without the older ones."""
        older = {backup_name(moment) for moment in OLDER}
        return [name for name in self.names() if name.startswith(NAME) and name.endswith(".gz") and name not in older]

    def partials(self) -> list[str]:
        return [name for name in self.names() if name.endswith(".partial")]

    def put_older(self) -> None:
        """Backups of earlier nights."""
        self.sh("cp -p /older/* . && chown --reference=. -- *")

    def check_older(self) -> None:
        """They are as they were."""
        self.sh('for file in /older/*; do cmp "$file" "${file##*/}"; done')

    def check_whole(self) -> None:
        self.guest.sh(_WHOLE, self.path)

    def leave_free(self, kib: int) -> None:
        """Fill it, on the server, up to so many KiB."""
        self.sh(
            'free=$(stat -f -c "%a*%S/1024" .); dd if=/dev/zero of=filler bs=1024 count=$(($free - $1)) status=none',
            str(kib),
        )

    @property
    def last_run(self) -> Json:
        return parse(self.sh("cat postgres-backup.last-run.json"))


class Guest:
    """What the tests do in the guest."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.sh = machine.sh
        self._hosts: set[str] = set()
        self.host("nas")
        self.nfs("server", "nas")

    def host(self, name: str) -> None:
        """A server or client in addition to the node, created at its first use."""
        if name not in self._hosts:
            self.nfs("host", name, str(_ADDRESSES[name]))
            self._hosts.add(name)

    def open_gates(self, *runs: Run) -> None:
        """All at once."""
        self.sh('rm -- "$@"', *(f"{run.folder}/stop" for run in runs))

    def nfs(self, *arguments: str) -> str:
        return self.sh('sh /nfs.sh "$@"', *arguments)

    def exists(self, path: str) -> bool:
        return self.machine.result(self.machine.start(["test", "-e", path])).code == 0

    def wait_until(self, condition: Callable[[], bool], what: str, run: Run, seconds: float = 400) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if run.ended:
                raise AssertionError(f"the run ended before: {what}\n{run.future.result()}")
            assert time.monotonic() < deadline, f"waited {seconds} s for: {what}"
            time.sleep(0.1)

    def share(
        self,
        *,
        options: str = "root_squash",
        size: str = "16m",
        owner: int = POD_USER,
        mode: str = "0755",
        server: str = "nas",
        older: bool = True,
    ) -> NfsShare:
        number = next(_serial)
        share = NfsShare(self, server, f"/srv/share{number}")
        self.nfs("share", server, share.path, str(number), size, str(owner), mode, options)
        if older:
            share.put_older()
        return share

    def start(
        self,
        command: str,
        volume: str,
        *,
        gate: str = "",
        user: int = POD_USER,
        env: Mapping[str, str] | None = None,
        shims: Mapping[str, str] | None = None,
    ) -> Run:
        """The script as in its pod. `gate`: a step that it stops at until the gate is opened."""
        number = next(_serial)
        folder = f"/pods/{number}"
        programs = dict(shims or {})
        if gate:
            programs[STEPS[gate].split()[0]] = _GATE % (STEPS[gate], folder, folder)
        self.sh(
            'mkdir -p "$1/bin" "$1/tmp" "$1/drill"; chmod 0777 "$1"; : >"$1/stop"; : >"$1/termination-log"; '
            'chown "$2" "$1"/*; folder=$1; shift 2; '
            'while [ $# -gt 0 ]; do printf %s "$2" >"$folder/bin/$1"; chmod 0755 "$folder/bin/$1"; shift 2; done',
            folder,
            str(user),
            *(word for pair in programs.items() for word in pair),
        )
        values = {
            "PATH": f"{folder}/bin:{PATH}",
            "HOME": "/",
            "TMPDIR": f"{folder}/tmp",
            "POSTGRES_BACKUP_NAME": NAME,
            "POSTGRES_BACKUP_DIR": volume,
            **POLICY,
            "POSTGRES_BACKUP_TIME_LIMIT": "10m",
            "POSTGRES_BACKUP_EXPECTED_MOUNT": "any",
            "POSTGRES_BACKUP_JOB": f"{NAME}-{number}",
            "POSTGRES_BACKUP_POD": f"{NAME}-{number}-abcde",
            "POSTGRES_BACKUP_TERMINATION_LOG": f"{folder}/termination-log",
        }
        if command == "drill":
            values |= {"POSTGRES_BACKUP_DRILL_DATA": f"{folder}/drill", "LANG": "C.UTF-8"}
        else:
            values |= {"PGPASSWORD": PASSWORD, "POSTGRES_BACKUP_HOST": "127.0.0.1", "POSTGRES_BACKUP_USER": "postgres"}
        enter = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        if command == "drill":
            enter = ["unshare", "--mount", "sh", "-c", _NAME_USER, "sh", folder, str(user), *enter]
        argv = [*enter, "sh", "/script/backup.sh", *command.split()]
        return Run(self, folder, self.machine.start(argv, values | dict(env or {})))

    def run(self, command: str, volume: str, code: int = 0, **options: object) -> Outcome:
        return self.start(command, volume, **options).finish(code)  # type: ignore[arg-type]


class LongStop:
    """Two runs whose dedicated server is stopped while they write the dump; one has a short time limit."""

    # More than a run needs on a busy machine before it begins to dump.
    LIMIT_SECONDS = 90

    def __init__(self, guest: Guest) -> None:
        guest.host("far-nas")
        guest.nfs("server", "far-nas")
        self.share, self.limited_share = (guest.share(server="far-nas") for _ in range(2))
        # However long the other tests take.
        limits = [{"POSTGRES_BACKUP_TIME_LIMIT": limit} for limit in ("1h", f"{self.LIMIT_SECONDS}s")]
        self.run = guest.start("run", self.share.mount(), gate="dump", env=limits[0])
        self.limited = guest.start("run", self.limited_share.mount(), gate="dump", env=limits[1])
        for run in (self.run, self.limited):
            run.wait_for_gate()
        guest.nfs("stop", "far-nas")
        self.since = time.monotonic()
        guest.open_gates(self.run, self.limited)


def backup_name(moment: str) -> str:
    return f"{NAME}-{moment}.sql.gz"
