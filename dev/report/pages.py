# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Renders the page of made-up installations with the templates of the playbook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# mypy checks this file under its path in the checkout, and does not know the name that Ansible gives it.
from ansible_collections.homelab.postgres_backup.plugins.filter.report_page import (  # type: ignore[import-untyped]
    report_page,
)

from .samples import HEALTHY, NOW, several

_CHECKOUT = Path(__file__).resolve().parents[2]
TEMPLATES = _CHECKOUT / "playbooks" / "templates" / "report"


def templates() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(TEMPLATES.iterdir())}


def html(installations: Sequence[Mapping[str, Any]]) -> str:
    page = report_page(installations, templates(), NOW.strftime("%Y-%m-%dT%H:%M:%SZ"), inventory=["inventory"])
    return str(page["html"])


def of_one() -> str:
    """The page of a healthy installation."""
    return html([{"host": "localhost", "result": HEALTHY.result()}])


def of_several() -> str:
    """The page of three installations, of which one is healthy."""
    return html(several())
