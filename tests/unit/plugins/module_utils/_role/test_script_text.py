# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The script in its ConfigMap: smaller than Kubernetes allows, and the same program."""

from __future__ import annotations

import json
import re

import pytest

from plugins.module_utils._role.script_text import (
    ANNOTATIONS_LIMIT_BYTES,
    without_comments,
)
from tests.script.support.script_files import files_of, source

# As the templates of the ConfigMaps choose them.
COMMANDS = {"run": ("list", "prune", "run"), "drill": ("drill", "_drill_prepare", "_drill_record")}
_HERE_DOCUMENT = re.compile(r"<<-?'?([A-Z]+)'?.*?\n(.*?)\n\1\n", re.DOTALL)


def test_lines_of_comments_are_left_out() -> None:
    text = "#!/bin/sh\n# licence\n# more\n# comment\necho '#' # kept\n  # comment\n\n\t#\nawk '\n    # comment\n'\n"
    assert without_comments(text) == "#!/bin/sh\n# licence\n# more\necho '#' # kept\n\nawk '\n'\n"


@pytest.mark.parametrize("cronjob", COMMANDS)
def test_the_config_map_fits(cronjob: str) -> None:
    """kubectl's copy of it in an annotation is JSON; the other annotations and fields are small."""
    files = {name: without_comments((source() / name).read_text()) for name in files_of(*COMMANDS[cronjob])}
    assert len(json.dumps(files)) < ANNOTATIONS_LIMIT_BYTES - 4096


def test_no_here_document_has_such_a_line() -> None:
    documents = [match[2] for name in files_of() for match in _HERE_DOCUMENT.finditer((source() / name).read_text())]
    assert len(documents) > 10
    assert not [line for text in documents for line in text.splitlines() if line.lstrip(" \t").startswith("#")]
