# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The list of the copies in a restic repository, which lies there as a snapshot, `<name>.copies.json`.

A repository has the uncompressed text of a backup, of which only equal parts are stored once. So the list has what
else belongs to a copy: the hashes of both, the manifest and the checksum file. A snapshot that the list does not name
is not a copy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_FORMAT = 1


@dataclass(frozen=True)
class ListedCopy:
    """A copy: `snapshot` is its ID, and `path` its file in it.

    `sha256` and `size_bytes` are those of the backup, the others those of the text in the snapshot. `texts` has the
    checksum file and the manifest by their suffixes.
    """

    snapshot: str
    path: str
    sha256: str
    size_bytes: int
    text_sha256: str
    text_bytes: int
    texts: Mapping[str, str] = field(default_factory=dict)


def parse_copy_list(text: bytes) -> dict[str, ListedCopy]:
    """The copies by the names of their backups. Raises ValueError for a text of another form."""
    try:
        content = json.loads(text)
        if content["format"] != _FORMAT:
            raise ValueError(f"expected the format {_FORMAT}, found {content['format']}")
        return {str(name): _copy(copy) for name, copy in content["copies"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"expected a list of copies, found another text ({type(error).__name__})") from None


def _copy(copy: Mapping[str, Any]) -> ListedCopy:
    return ListedCopy(
        snapshot=str(copy["snapshot"]),
        path=str(copy["path"]),
        sha256=str(copy["sha256"]),
        size_bytes=int(copy["size_bytes"]),
        text_sha256=str(copy["text_sha256"]),
        text_bytes=int(copy["text_bytes"]),
        texts={str(suffix): str(text) for suffix, text in copy["texts"].items()},
    )


def dump_copy_list(copies: Mapping[str, ListedCopy]) -> bytes:
    """The text of a list. The newest copy is the last one, so that a repository stores little of the next list."""
    content = {
        "format": _FORMAT,
        "copies": {
            name: {
                "snapshot": copy.snapshot,
                "path": copy.path,
                "sha256": copy.sha256,
                "size_bytes": copy.size_bytes,
                "text_sha256": copy.text_sha256,
                "text_bytes": copy.text_bytes,
                "texts": dict(copy.texts),
            }
            for name, copy in sorted(copies.items())
        },
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"
