# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The script's files as the role puts them into a ConfigMap, and the program that it makes of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

# kubectl and kubernetes.core keep a copy of an object in one of its annotations, which together have no more bytes
# (apimachinery, pkg/api/validation/objectmeta.go, TotalAnnotationSizeLimitB).
ANNOTATIONS_LIMIT_BYTES = 256 * 1024
_COMMENT = re.compile(r"[ \t]*#")
# The interpreter, and the licence.
_KEPT_LINES = 3
# The files of each command of the script.
COMMANDS = "files.txt"


def without_comments(text: str, kept_lines: int = _KEPT_LINES) -> str:
    """The text of a shell, awk or list file without its lines of comments, except the first lines.

    The script is larger than an annotation may be. No line of a here-document of the script begins with `#` (a test
    checks this).
    """
    lines = text.splitlines(keepends=True)
    return "".join(line for number, line in enumerate(lines) if number < kept_lines or not _COMMENT.match(line))


def deployed_text(text: str, file: str = "") -> str:
    """The text of a file of the script as a ConfigMap has it; `file` is its name."""
    program = without_comments(text)
    return _without_layout(program) if file.endswith(".awk") else program


def _without_layout(program: str) -> str:
    """An awk program without indentation and empty lines, which mean nothing in awk: no token has a line end."""
    lines = (line.lstrip(" \t") for line in program.splitlines(keepends=True))
    return "".join(line for line in lines if line != "\n")


def _with_files(commands: str, files: Collection[str]) -> str:
    """The lines of files.txt for the commands that these files are enough for."""
    lines = commands.splitlines(keepends=True)
    return "".join(line for line in lines if set(line.partition(":")[2].split()) <= set(files))


def restore_kit(files: Mapping[str, str]) -> str:
    """The text of restore-kit.sh: one program that consists of these files of the script, by their names.

    It puts them into a temporary folder and calls `backup.sh _kit`. A copy that is cut off ends with an error, because
    its last line has not been run. Raises ValueError if a file has the line that ends a file.
    """
    parts = [_KIT_BEGIN]
    for name, text in files.items():
        end = f"==== end of {name} ===="
        if end in text or not text.endswith("\n"):
            raise ValueError(f"{name} cannot be put into restore-kit.sh")
        # The kit has the licence once.
        program = without_comments(text, 0)
        if name.endswith(".awk"):
            program = _without_layout(program)
        elif name == COMMANDS:
            program = _with_files(program, files)
        parts.append(f"put {name} <<'{end}'\n{program}{end}\n")
    return "".join([*parts, _KIT_END])


_KIT_BEGIN = """\
#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Checks, lists and restores a backup of homelab.postgres_backup without Kubernetes and Ansible: sh restore-kit.sh help
set -u
umask 077
folder= status=2 fault='the file is cut off: copy it again'
trap 'rm -rf "$folder"; echo "FAILED: restore-kit.sh: $fault" >&2; exit "$status"' EXIT
trap 'status=143 fault="it was terminated"; exit' TERM INT HUP
folder=$(mktemp -d "${TMPDIR:-/tmp}/postgres-backup.XXXXXX") || {
    fault="no temporary folder: set TMPDIR to a folder that this user may write to"
    exit
}
put() {
    cat >"$folder/$1" || {
        fault="$1 could not be written to $folder: set TMPDIR to a folder with free space"
        exit
    }
}
"""
_KIT_END = """\
export KIT_FOLDER="$folder"
exec sh "$folder/backup.sh" _kit "$@" </dev/null
"""
