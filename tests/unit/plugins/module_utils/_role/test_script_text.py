# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The script in its ConfigMap: smaller than Kubernetes allows, and the same program."""

from __future__ import annotations

import re

import pytest

from plugins.module_utils._jobs.restore_plan import plan_restore
from plugins.module_utils._role.script_text import (
    ANNOTATIONS_LIMIT_BYTES,
    deployed_text,
    restore_kit,
    without_comments,
)
from tests.kubectl_copy import copy_bytes
from tests.script.support.restores import request
from tests.script.support.script_files import files_of, source

# As the templates of the ConfigMaps choose them.
COMMANDS = {"run": ("list", "prune", "run"), "drill": ("drill", "_drill_prepare", "_drill_record")}
_HERE_DOCUMENT = re.compile(r"<<-?'?([A-Z]+)'?.*?\n(.*?)\n\1\n", re.DOTALL)


def test_lines_of_comments_are_left_out() -> None:
    text = "#!/bin/sh\n# licence\n# more\n# comment\necho '#' # kept\n  # comment\n\n\t#\nawk '\n    # comment\n'\n"
    assert without_comments(text) == "#!/bin/sh\n# licence\n# more\necho '#' # kept\n\nawk '\n'\n"


def test_awk_programs_have_no_layout_in_a_config_map() -> None:
    text = "# licence\n#\n#\n\nBEGIN {\n    # comment\n\n    x = 1\n}\n"
    assert deployed_text(text, "a.awk") == "# licence\n#\n#\nBEGIN {\nx = 1\n}\n"
    assert deployed_text(text, "a.sh") == without_comments(text)


@pytest.mark.parametrize("cronjob", COMMANDS)
def test_the_config_map_fits(cronjob: str) -> None:
    """kubectl's copy of it in an annotation is JSON; the other annotations and fields are small."""
    files = {name: deployed_text((source() / name).read_text(), name) for name in files_of(*COMMANDS[cronjob])}
    assert copy_bytes(files) < ANNOTATIONS_LIMIT_BYTES - 4096


def test_no_here_document_has_such_a_line() -> None:
    documents = [match[2] for name in files_of() for match in _HERE_DOCUMENT.finditer((source() / name).read_text())]
    assert len(documents) > 10
    assert not [line for text in documents for line in text.splitlines() if line.lstrip(" \t").startswith("#")]


def test_the_kit_fits_into_its_config_map() -> None:
    """With RESTORE.md, a page of about 5 KiB."""
    text = restore_kit({name: (source() / name).read_text() for name in files_of("_kit")})
    assert copy_bytes(text) < ANNOTATIONS_LIMIT_BYTES - 7168


def test_the_kit_has_awk_programs_without_layout() -> None:
    awk, shell = '# licence\n\nBEGIN {\n    print "  x"\n\n}\n', "echo '\n    kept\n\n'\n"
    kit = restore_kit({"a.awk": awk, "a.sh": shell})
    assert "put a.awk <<'==== end of a.awk ===='\nBEGIN {\nprint \"  x\"\n}\n====" in kit
    assert f"put a.sh <<'==== end of a.sh ===='\n{shell}====" in kit


def test_the_kit_lists_only_commands_whose_files_it_has() -> None:
    kit = restore_kit(
        {"a.sh": "\n", "b.awk": "\n", "files.txt": "# licence\nrun: a.sh c.sh\n_kit: a.sh b.awk\n_keys: a.sh\n"}
    )
    assert "put files.txt <<'==== end of files.txt ===='\n_kit: a.sh b.awk\n_keys: a.sh\n====" in kit


@pytest.mark.parametrize("text", ["no newline at its end", "echo\n==== end of a.sh ====\n"])
def test_a_file_that_a_here_document_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a\.sh cannot be put into restore-kit\.sh"):
        restore_kit({"a.sh": text})


def test_the_kit_sets_every_variable_of_a_restore() -> None:
    """restore.sh runs with `set -u`."""
    plan = plan_restore(request("app"))
    kit = (source() / "kit.sh").read_text()
    exported = {
        word for line in kit.splitlines() if line.strip().startswith("export RESTORE_") for word in line.split()
    }
    assert plan.variables.keys() <= exported
