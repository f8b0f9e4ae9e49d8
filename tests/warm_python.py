# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Python for Ansible's modules that has loaded its libraries already.

To start Python and to load Ansible's and Kubernetes' libraries takes most of a module's time, and one run of the role
is twenty modules. Here a server loads them once, and forks for each module; the interpreter that Ansible is given
hands its arguments, environment, folder and three streams over, waits, and ends as the module ended. Each module runs
in a separate process, from the files that Ansible wrote for it.

Not for a module that is killed while it runs (it is not a child of Ansible), nor for what runs in a mount namespace of
its own. Molecule's walk and what `Ansible.start` begins run under the plain interpreter; with TESTS_PLAIN_PYTHON=1, as
in the weekly run, everything does.
"""

from __future__ import annotations

import array
import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path

# Libraries only: nothing of a collection, which Ansible packs with the module.
LIBRARIES = (
    "ansible.module_utils.basic",
    "ansible.module_utils.urls",
    "jsonpatch",
    "kubernetes.client.api.core_v1_api",
    "kubernetes.config",
    "kubernetes.dynamic.discovery",
    "kubernetes.stream",
    "yaml",
)
# Isolated and without site-packages, it starts in 15 ms. Anything but a script is passed to the plain interpreter.
_CLIENT = """#!{python} -IS
import sys
if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
    import os
    os.execv("{python}", ["{python}", *sys.argv[1:]])
import array, json, os, socket
request = {{"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}}
data = json.dumps(request).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect("{socket}")
    streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    server.sendmsg([len(data).to_bytes(8, "big")], streams)
    server.sendall(data)
    status = server.recv(1)
os._exit(status[0] if status else 255)
"""
_PR_SET_PDEATHSIG = 1


@cache
def warm_python() -> Path:
    """The interpreter of this process; its server ends with it."""
    if os.environ.get("TESTS_PLAIN_PYTHON"):
        return Path(sys.executable)
    folder = Path(tempfile.mkdtemp(prefix="warm-python-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ours, theirs = socket.socketpair()
    with ours:
        command = [sys.executable, __file__, str(folder / "socket"), str(os.getpid()), str(theirs.fileno())]
        # Its own session: a signal meant for the tests must not end it before they have cleaned up.
        server = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True, stdin=subprocess.DEVNULL)
        theirs.close()
        atexit.register(server.wait)
        atexit.register(server.terminate)
        assert ours.recv(1) == b"+", "the server of the warm Python did not start: see above"
    client = folder / "python"
    client.write_text(_CLIENT.format(python=sys.executable, socket=folder / "socket"))
    client.chmod(0o755)
    return client


def _end_with_parent() -> None:
    """What a killed test run had begun must not outlive it; a fork forgets this."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _run(connection: socket.socket) -> int:
    """The module of one request, in the process that was forked for it."""
    streams = array.array("i")
    size, ancillary, _, _ = connection.recvmsg(8, socket.CMSG_LEN(3 * streams.itemsize))
    for _, _, data in ancillary:
        streams.frombytes(data)
    left = int.from_bytes(size, "big")
    parts = []
    while left:
        parts.append(connection.recv(left))
        left -= len(parts[-1])
    request = json.loads(b"".join(parts))
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv = request["argv"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _answer(connection: socket.socket) -> None:
    """Waits for the module and returns its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 255
        _end_with_parent()
        try:
            status = _run(connection)
            # What an interpreter does at its end: Kubernetes' client removes the keys that it wrote to /tmp.
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status & 255)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.sendall(bytes([code if code >= 0 else 128 - code]))


def _serve(path: str, parent: int, ready: int) -> None:
    _end_with_parent()
    if os.getppid() != parent:
        return
    # A tests' folder must not shadow what a module imports.
    del sys.path[0]
    sys.path.insert(0, "")
    for name in LIBRARIES:
        importlib.import_module(name)
    # What is loaded remains: the processes of modules neither scan nor copy it.
    gc.disable()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    os.write(ready, b"+")
    os.close(ready)
    # Nobody waits for the answering processes; a module's own wait is its parent's.
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _end_with_parent()
            try:
                _answer(connection)
            finally:
                os._exit(0)
        connection.close()
        _reap()


def _reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
