# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The page in Chromium: axe-core finds no barrier, nothing is cut off, it is light and dark, and printed on A4."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from dev.report.browser import look, pdf, picture
from dev.report.pages import html, of_one, of_several
from dev.report.pictures import size_of
from dev.report.samples import Installation, many
from tests.in_turn import weekly

# Rules that must have had something to check.
CHECKED = {"color-contrast", "document-title", "html-has-lang", "link-name", "list", "svg-img-alt", "td-headers-attr"}


@pytest.mark.parametrize(
    ("page", "width", "is_dark"),
    [
        pytest.param(of_several, 1000, False, id="light"),
        pytest.param(of_several, 500, True, id="narrow-dark"),
        weekly(lambda: html(many(11, days=40)), 1000, True, id="compact-dark"),
    ],
)
def test_page_has_no_barrier(page: Callable[[], str], width: int, is_dark: bool) -> None:
    seen = look(page(), width, is_dark)
    assert seen.violations == {}
    assert seen.passes >= CHECKED
    assert seen.width == width, "the page must not be wider than the window"


def test_a_barrier_is_seen() -> None:
    page = html([{"host": "localhost", "result": Installation("data", days=9).result()}])
    page = page.replace("--soft: #59636f", "--soft: #b0b0b0").replace('role="img" aria-label', 'role="img" data-label')
    assert {"color-contrast", "svg-img-alt"} <= look(page, 1000, False).violations.keys()


def test_page_is_light_or_dark() -> None:
    page = of_one()
    light, dark = (picture(page, 500, 300, is_dark) for is_dark in (False, True))
    assert size_of(light) == size_of(dark) == (500, 300)
    assert light != dark


def test_page_is_printed_on_a4() -> None:
    printed = pdf(of_several())
    boxes = {tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox ?\[([^]]+)\]", printed)}
    assert {tuple(round(number) for number in box) for box in boxes} == {(0, 0, 595, 842)}
    assert 3 <= len(re.findall(rb"/Type ?/Page\b", printed)) <= 8
