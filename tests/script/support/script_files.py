# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Which files the script consists of, by its own list, and copies of them where a user without a name can read them."""

from __future__ import annotations

import os
from pathlib import Path

from plugins.module_utils._role.script_text import deployed_text, restore_kit

from .programs import REPOSITORY

# Another folder with the files: for a changed copy that the tests should find fault with.
FILES_VARIABLE = "SCRIPT_TESTS_FILES"


def source() -> Path:
    return Path(os.environ.get(FILES_VARIABLE) or REPOSITORY / "roles" / "postgres_backup" / "files")


def files_of(*commands: str) -> list[str]:
    """The names of the files that these commands need; of all commands without an argument."""
    names = ["backup.sh", "files.txt"]
    for line in (source() / "files.txt").read_text().splitlines():
        command, _, files = line.partition(":")
        if not line.startswith("#") and (command in commands or not commands):
            names += files.split()
    return list(dict.fromkeys(names))


def copy_script(folder: Path, *commands: str) -> Path:
    """The program, in a folder with nothing but what the commands need; read-only as far as its mode can say.

    It is what the role puts into the cluster: without comments.
    """
    for name in files_of(*commands):
        (folder / name).write_text(deployed_text((source() / name).read_text(), name))
        (folder / name).chmod(0o444)
    return folder / "backup.sh"


def write_kit(folder: Path) -> Path:
    """restore-kit.sh as the role makes it, read-only as far as its mode can say."""
    path = folder / "restore-kit.sh"
    path.write_text(restore_kit({name: (source() / name).read_text() for name in files_of("_kit")}))
    path.chmod(0o444)
    return path
