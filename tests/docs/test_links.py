# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Links between the pages lead somewhere, also in the built collection; the picture is one."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
import yaml

from .pages import CHECKOUT, NAMES, PAGES, prose

LEFT_OUT = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["build_ignore"]


def anchor(heading: str) -> str:
    """A heading as GitHub names it in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", NAMES)
def test_every_link_has_a_target(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        name, _, fragment = target.partition("#")
        path = ((CHECKOUT / page).parent / name).resolve() if name else CHECKOUT / page
        assert path.is_file(), target
        assert str(path.relative_to(CHECKOUT)).partition("/")[0] not in LEFT_OUT, (
            f"{target} is not in the built collection"
        )
        if fragment:
            assert fragment in map(anchor, re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)), target


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (CHECKOUT / "README.md").read_text()
    for path in PAGES[1:]:
        assert f"]({path.relative_to(CHECKOUT)})" in readme


@pytest.mark.parametrize("path", sorted((CHECKOUT / "docs").glob("*.svg")), ids=lambda path: path.name)
def test_picture_has_a_description_and_a_background(path: object) -> None:
    root = ElementTree.parse(str(path)).getroot()  # noqa: S314 - our own file
    name = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{name}title") and root.findtext(f"{name}desc")
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    (first, *_) = root.iter(f"{name}rect")
    assert (float(first.attrib["width"]), float(first.attrib["height"])) >= (width - 2, height - 2)
