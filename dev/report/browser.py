# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Pages in Debian's Chromium, without a window: pictures, PDF, and the result of axe-core, which finds barriers."""

from __future__ import annotations

import html
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHECKOUT = Path(__file__).resolve().parents[2]
# dev/lib.sh installs it there.
AXE = _CHECKOUT / ".ansible" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
# Without the last ones, Chromium looks up hosts of its vendor at each start.
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_LIGHT, _DARK = 1, 0  # blink::mojom::PreferredColorScheme
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_SECONDS = 300


class BrowserError(Exception):
    """The browser did not do what it was asked for."""


def picture(page: str, width: int, height: int, is_dark: bool = False) -> bytes:
    """The top of the page as a PNG of that size in pixels."""
    return _file(page, "picture.png", is_dark, f"--window-size={width},{height}", "--screenshot={}")


def pdf(page: str) -> bytes:
    """The page as it is printed."""
    return _file(page, "page.pdf", False, "--no-pdf-header-footer", "--print-to-pdf={}")


@dataclass(frozen=True)
class Look:
    """What axe-core found: `violations` are the rules that the page breaks, each with the elements concerned.

    `passes` are the rules that some element meets. `width` is that of the page in pixels, which is more than the
    window's if one must scroll to the right.
    """

    violations: dict[str, list[str]]
    passes: set[str]
    width: int


def look(page: str, width: int, is_dark: bool) -> Look:
    """The page in a window of that width, at least 500."""
    # The page forbids scripts, also this one.
    without_policy, count = _POLICY.subn("", page)
    if count != 1:
        raise BrowserError("expected one Content-Security-Policy in the page, found none")
    run = (
        "axe.run().then(found => { document.title = ''; document.body.textContent = JSON.stringify("
        "{violations: found.violations, passes: found.passes, width: document.documentElement.scrollWidth}); });"
    )
    tested = f"{without_policy}<script>{AXE.read_text()}</script><script>{run}</script>"
    with tempfile.TemporaryDirectory() as folder:
        done = _run(tested, Path(folder), is_dark, f"--window-size={width},1200", "--dump-dom")
    body = re.search(r"<body[^>]*>(\{.*\})</body>", done, re.DOTALL)
    if body is None:
        raise BrowserError(f"expected the result of axe-core, found {done[-500:]}")
    result: dict[str, Any] = json.loads(html.unescape(body[1]))
    return Look(
        violations={rule["id"]: [node["html"][:200] for node in rule["nodes"]] for rule in result["violations"]},
        passes={rule["id"] for rule in result["passes"]},
        width=result["width"],
    )


def _file(page: str, name: str, is_dark: bool, *options: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        _run(page, Path(folder), is_dark, *(option.format(path) for option in options))
        return path.read_bytes()


def _run(page: str, folder: Path, is_dark: bool, *options: str) -> str:
    source = folder / "page.html"
    source.write_text(page)
    command = [
        *("chromium", *_OPTIONS, f"--user-data-dir={folder / 'profile'}"),
        *(f"--blink-settings=preferredColorScheme={_DARK if is_dark else _LIGHT}", *options, source.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    if done.returncode:
        raise BrowserError(f"chromium: {done.stderr[-2000:]}")
    return done.stdout
