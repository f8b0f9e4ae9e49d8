# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The one error that this package raises on purpose."""

from __future__ import annotations


class ClusterError(Exception):
    """Something the person at the keyboard has to know: what was expected, found, and what to do.

    :param message: what was expected and what was found.
    :param advice: what to do about it.
    :param detail: the tail of a log or of a program's output.
    """

    def __init__(self, message: str, advice: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.detail = detail

    def render(self) -> str:
        """Return the error as the lines to print."""
        lines = [f"error: {self.message}"]
        if self.detail:
            lines += [f"  | {line}" for line in self.detail.rstrip().splitlines()]
        if self.advice:
            lines.append(f"what to do: {self.advice}")
        return "\n".join(lines)
