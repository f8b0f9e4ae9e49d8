# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The one error that dev/buildkit and dev/cluster raise on purpose."""

from __future__ import annotations


class ReportedError(Exception):
    """A problem that the person at the keyboard has to know about.

    `message` names what was expected and what was found, `advice` what to do about it; `detail` is the end of a log or
    of a program's output.
    """

    def __init__(self, message: str, advice: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.detail = detail

    def render(self) -> str:
        """The lines to print."""
        lines = [f"error: {self.message}"]
        if self.detail:
            lines += [f"  | {line}" for line in self.detail.rstrip().splitlines()]
        if self.advice:
            lines.append(f"what to do: {self.advice}")
        return "\n".join(lines)
