# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Initramfs archives: cpio in the format that the kernel reads ("newc", Documentation/driver-api/early-userspace)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

_TRAILER = "TRAILER!!!"
# Several archives behind each other are one: the kernel wants each to begin at four bytes.
_BLOCK = 512


class Writer:
    """One archive, written to a stream. Files belong to root by default."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._offset = 0
        self._inode = 0

    def add(self, name: str, mode: int, content: bytes = b"", owner: tuple[int, int] = (0, 0)) -> None:
        """A file, folder or link; its content is the link's target."""
        self._inode += 1
        fields = (self._inode, mode, *owner, 1, 0, len(content), 0, 0, 0, 0, len(os.fsencode(name)) + 1, 0)
        self._write(b"070701" + b"".join(b"%08x" % field for field in fields) + os.fsencode(name) + b"\0", 4)
        self._write(content, 4)

    def add_tree(self, root: Path, left_out: frozenset[str]) -> None:
        """A folder's files, folders and links; not what lies below the paths left out (relative to it)."""
        for folder, folders, files in os.walk(root):
            relative = os.path.relpath(folder, root)
            for name in sorted(folders + files):
                path = Path(folder, name)
                inside = os.path.normpath(os.path.join(relative, name))
                if inside in left_out:
                    folders[:] = [other for other in folders if other != name]
                    continue
                status = path.lstat()
                content = b""
                if stat.S_ISLNK(status.st_mode):
                    content = os.fsencode(os.readlink(path))
                elif stat.S_ISREG(status.st_mode):
                    content = path.read_bytes()
                elif not stat.S_ISDIR(status.st_mode):
                    continue  # a device
                self.add(inside, status.st_mode, content, (status.st_uid, status.st_gid))

    def close(self) -> None:
        self.add(_TRAILER, 0)
        self._write(b"", _BLOCK)

    def _write(self, content: bytes, alignment: int) -> None:
        padding = -(self._offset + len(content)) % alignment
        self._stream.write(content + bytes(padding))
        self._offset += len(content) + padding
