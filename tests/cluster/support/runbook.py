# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The commands of a runbook, run as a person pastes them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


class Runbook:
    """The shell blocks of the page, by the heading they stand under, run by one shell after the other."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.blocks: dict[str, list[str]] = {}
        heading = ""
        for part in re.split(r"^(## [^\n]*|```sh\n.*?^```)$", path.read_text(), flags=re.MULTILINE | re.DOTALL):
            if part.startswith("## "):
                heading = part.removeprefix("## ")
            elif part.startswith("```sh"):
                self.blocks.setdefault(heading, []).append(part.removeprefix("```sh\n").removesuffix("```"))
        self.folder = folder
        self.variables = ""
        self.ran: set[tuple[str, int]] = set()

    def run(self, heading: str, number: int = 0, *, is_cut: bool = False) -> str:
        """Runs one block as a person pastes it; `is_cut` if `head` ends a pipe before the program that writes to it."""
        block = self.blocks[heading][number]
        self.ran.add((heading, number))
        program = (
            f'set -eu\n{self.variables}\n{block}\nprintf \'\\nbackup=%s database=%s\' "${{backup-}}" "${{database-}}"'
        )
        shell = ["bash", *([] if is_cut else ["-o", "pipefail"]), "-c", program]
        folder = self.folder
        done = subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        output, _, self.variables = done.stdout.rpartition("\n")
        return output

    @property
    def left(self) -> list[str]:
        every = [(heading, number) for heading, blocks in self.blocks.items() for number in range(len(blocks))]
        return [self.blocks[heading][number] for heading, number in every if (heading, number) not in self.ran]
