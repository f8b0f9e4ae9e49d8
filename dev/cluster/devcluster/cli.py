# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The commands in `dev/cluster/`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable

from dev.buildkit.cache import Cache
from dev.buildkit.errors import ReportedError
from dev.buildkit.progress import say

from . import (
    containers,
    debian_images,
    debian_programs,
    golang,
    health,
    images,
    lifecycle,
    machine,
    program_images,
    rootfs,
    status,
    volumes,
)
from .settings import Settings, from_environment

_ROOTFS_NAMES = (*rootfs.NAMES, *debian_images.BY_NAME, *program_images.BY_NAME)


def _up(settings: Settings) -> int:
    parser = argparse.ArgumentParser(
        prog="up", description="Bring the cluster up: install, build, start, or heal what is missing."
    )
    parser.add_argument("--print-env", action="store_true", help="only print the shell lines that select the cluster")
    options = parser.parse_args()
    if not options.print_env:
        lifecycle.up(settings)
        say("to use it in this shell: " + "; ".join(_environment(settings)))
        return 0
    print("\n".join(_environment(settings)))
    return 0


def _environment(settings: Settings) -> list[str]:
    return [f"export KUBECONFIG={settings.kubeconfig}", f'export PATH="{settings.programs}:$PATH"']


def _down(settings: Settings) -> int:
    argparse.ArgumentParser(
        prog="down", description="End the cluster and remove its state, volumes included. The cache is kept."
    ).parse_args()
    lifecycle.down(settings)
    return 0


def _status(settings: Settings) -> int:
    argparse.ArgumentParser(
        prog="status", description="Tell what runs. The exit status is 0 only when the cluster is healthy."
    ).parse_args()
    machine.require_root()
    print(status.render(settings, golang.kubernetes_version()))
    return 1 if health.problems(settings) else 0


def _volume(settings: Settings) -> int:
    parser = argparse.ArgumentParser(
        prog="volume", description="Make a PersistentVolume that really fills up, and print its name."
    )
    parser.add_argument("--remove", action="store_true", help="remove the volume and what is on it")
    parser.add_argument("name", help="name of the PersistentVolume")
    parser.add_argument("size", nargs="?", help="size, for example 16M (1024 * 1024 bytes each)")
    options = parser.parse_args()
    if options.remove == (options.size is not None):
        parser.error("give either NAME SIZE or --remove NAME")
    machine.require_root()
    with lifecycle.locked(settings):
        if options.remove:
            volumes.remove_volume(settings, options.name)
        else:
            volumes.make_volume(settings, options.name, options.size)
            print(options.name)
    return 0


def _rootfs(settings: Settings) -> int:
    parser = argparse.ArgumentParser(
        prog="rootfs", description="Make sure that an unpacked root filesystem is in the cache, and print its path."
    )
    parser.add_argument("name", choices=_ROOTFS_NAMES)
    options = parser.parse_args()
    machine.require_root()
    rootfs.install_tools()
    cache = Cache(settings.cache)
    if options.name in debian_images.BY_NAME:
        print(debian_images.make_rootfs(cache, options.name))
    elif options.name in program_images.BY_NAME:
        print(program_images.make_rootfs(cache, options.name))
    else:
        print(rootfs.make_rootfs(cache, options.name).root)
    return 0


def _image(settings: Settings) -> int:
    parser = argparse.ArgumentParser(
        prog="image", description="Import an image of a root filesystem into the running cluster, and print its name."
    )
    parser.add_argument("name", choices=_ROOTFS_NAMES)
    options = parser.parse_args()
    machine.require_root()
    rootfs.install_tools()
    cache = Cache(settings.cache)
    # Not under the cluster's lock: a program may take minutes to build.
    if options.name in debian_images.BY_NAME:
        made = debian_images.make_image(cache, options.name)
    elif options.name in program_images.BY_NAME:
        made = program_images.make_image(cache, options.name)
    else:
        made = images.make_image(cache, options.name)
    with lifecycle.locked(settings):
        containers.load(settings, debian_programs.unpacked(cache), made)
    print(*made.digests)
    return 0


def _enter(settings: Settings) -> int:
    parser = argparse.ArgumentParser(
        prog="enter", description="Run a program in the cluster's namespaces, as on its node."
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="program and arguments; a shell when left out")
    options = parser.parse_args()
    machine.require_root()
    command = machine.inside(settings, options.command or ["/bin/bash"])
    return subprocess.run(command, check=False).returncode


_COMMANDS: dict[str, Callable[[Settings], int]] = {
    "down": _down,
    "enter": _enter,
    "image": _image,
    "rootfs": _rootfs,
    "status": _status,
    "up": _up,
    "volume": _volume,
}


def main(name: str) -> int:
    """Run one of the commands; return its exit status."""
    try:
        return _COMMANDS[name](from_environment())
    except ReportedError as error:
        print(error.render(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next up continues where this one ended", file=sys.stderr)
        return 130
