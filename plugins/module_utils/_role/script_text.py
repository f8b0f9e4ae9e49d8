# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The script's files as the role puts them into a ConfigMap."""

from __future__ import annotations

import re

# kubectl and kubernetes.core keep a copy of an object in one of its annotations, which together have no more bytes
# (apimachinery, pkg/api/validation/objectmeta.go, TotalAnnotationSizeLimitB).
ANNOTATIONS_LIMIT_BYTES = 256 * 1024
_COMMENT = re.compile(r"[ \t]*#")
# The interpreter, and the licence.
_KEPT_LINES = 3


def without_comments(text: str) -> str:
    """The text of a shell, awk or list file without its lines of comments, except the first lines.

    The script is larger than an annotation may be. No line of a here-document of the script begins with `#` (a test
    checks this).
    """
    lines = text.splitlines(keepends=True)
    return "".join(line for number, line in enumerate(lines) if number < _KEPT_LINES or not _COMMENT.match(line))
