# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The page as HTML: valid, without scripts and other files, small, and the same whatever names are in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.report.pages import html, of_one, of_several, templates
from dev.report.pictures import HEIGHT, PICTURES, WIDTH, Picture, digest, page_of, size_of
from dev.report.samples import NOT_READABLE, Installation, many, several
from plugins.module_utils._report.text import printable
from tests.processor_time import ratio

PAGES: dict[str, Callable[[], str]] = {
    "one": of_one,
    "several": of_several,
    "none": lambda: html([]),
    "unreadable": lambda: html([{"host": "localhost", "result": NOT_READABLE}]),
    "new": lambda: html([{"host": "localhost", "result": Installation("data", days=0, drills=False).result()}]),
    "many": lambda: html(many(12, days=30)),
}
# An element that a browser would fetch, or run.
ACTIVE = {"script", "iframe", "object", "embed", "link", "img", "image", "base", "form", "foreignobject"}


def tree(text: str) -> Element:
    """The page as browsers read it; fails where the HTML standard has a parse error."""
    root: Element = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    return root


def local(name: str) -> str:
    return name.rpartition("}")[2]


def elements(root: Element) -> Iterator[tuple[str, dict[str, str]]]:
    for element in root.iter():
        if isinstance(element.tag, str):  # no comment
            yield local(element.tag), {local(name): value for name, value in element.attrib.items()}


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]()


def test_page_is_valid(page: str) -> None:
    found = list(elements(tree(page)))
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert max(Counter(ids).values()) == 1
    links = [attributes["href"] for _, attributes in found if "href" in attributes]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert [name for name, _ in found].count("h1") == 1
    for name, attributes in found:
        assert name != "svg" or "aria-label" in attributes or attributes.get("aria-hidden") == "true"
        if name == "th":
            assert attributes["scope"] in ("col", "row")


def test_page_needs_nothing_else_and_runs_nothing(page: str) -> None:
    found = list(elements(tree(page)))
    assert not {name for name, _ in found} & ACTIVE
    for _, attributes in found:
        assert not any(name.startswith("on") or name in ("src", "srcset", "style", "action") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"(?i)url\(|@import|https?:", page)
    policy = next(of["content"] for _, of in found if of.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_page_answers_the_questions() -> None:
    text = " ".join(" ".join(tree(of_several()).itertext()).split())
    for answer in (
        "1 of 3 installations is not healthy, 1 could not be read",
        "Runs have failed since 26 Nov 2026, 02:00 UTC. Not safe since 25 Nov 2026, 02:00 UTC",
        "A restore takes 47s measured by the restore drill of 22 Nov 2026",
        "Volume full in 107 days on 15 Mar 2027",
        "A scheduled restore drill (postgres_backup_drill_schedule): nobody has measured that",
        "All backups are on one volume: 192.168.2.2:/volume1/k8s-data/data-postgres-backup-pvc-1",
        "ansible-playbook homelab.postgres_backup.backup_now -i inventory -e postgres_backup_hosts=shop",
        "Kept are the newest 7, and the newest of each of the latest 7 days and 4 weeks.",
        "monitoring/postgres-backup: expected a CronJob, found none. Is the namespace right?",
    ):
        assert answer in text


def test_places_are_shown_where_there_are_copies() -> None:
    assert "Newest copy" not in of_one() and "3-2-1" not in of_several()
    result = Installation("data", days=9).result()
    rule = {"holds": True, "copies": 4, "storages": 3, "offsite": True, "reason": None}
    result |= {"places": [{**PLACE, "is_behind": False}], "three_two_one": rule}
    text = " ".join(" ".join(tree(html([{"host": "localhost", "result": result}])).itertext()).split())
    for words in ("Newest copy", "cloud", "3 copies", "b-1", "not behind"):
        assert words in text
    assert "follows the rule 3-2-1: 4 copies of the data on 3 storages" in text
    assert "No copy at another place is known" not in text and "All backups are on one volume" not in text


def test_a_hundred_installations_and_a_year() -> None:
    distinct = many(20)
    for item in distinct[1:]:  # the first one has none
        item["result"]["places"] = [{**PLACE, "is_behind": True}] * 3
    installations = [{**item, "host": f"{item['host']}-{copy}"} for item in distinct for copy in range(5)]
    assert len(html(installations).encode()) < 500_000
    assert ratio(lambda: html(installations), lambda: json.dumps(installations)) < 12  # about 4


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_the_picture_in_the_docs_is_of_this_page(picture: Picture) -> None:
    """Otherwise make it again: `python -m dev.report`."""
    image = picture.path.read_bytes()
    assert page_of(image) == digest(picture.page())
    assert size_of(image) == (WIDTH, HEIGHT)
    assert len(image) < 150_000
    assert f"]({picture.name})" in (picture.path.parent / "report.md").read_text()


# What a name, a message or a reason may be: somebody else writes them.
HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "'><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% endmacro %}",
    "{% autoescape false %}",
    "]]><!--",
    "--><b>",
    "&lt;b&gt;&amp;#0;",
    "\x00\x1b[31m\u202e\ud800\ufffe",
    "javascript:alert(1)",
    "a\r\nb\tc",
    "`\\\u2028",
]
PLACE = {"name": "cloud", "kind": "s3", "copies": 3, "size_bytes": 9, "newest": "b-1", "error": None}
# The texts of a result that come from the cluster, the server or the volume, and not from the collection.
FREE_KEYS = {
    *("namespace", "name", "check", "message", "reason", "job", "newest", "claim", "class", "nfs_server", "nfs_path"),
    *("kind", "error"),
    *("cron", "time_zone", "verdict", "keep_within", "backup", "sha256"),
}
FREE_LISTS = {"reasons", "dumped", "missing", "notes", "excluded_databases", "skipped_databases", "invalid_databases"}


def with_text(value: Any, text: str, key: str = "") -> Any:
    """The result, with another text in every place where one may be."""
    if isinstance(value, dict):
        return {name: with_text(item, text, name) for name, item in value.items()}
    if isinstance(value, list):
        return [text if isinstance(item, str) and key in FREE_LISTS else with_text(item, text, key) for item in value]
    return text if isinstance(value, str) and key in FREE_KEYS else value


def hostile_page(text: str, count: int) -> str:
    """The page of installations of which everything is named `text`."""
    result = Installation("data", days=8, databases=("a", "b"), missing=("b",), failed_days={0: "x", 5: "y"}).result()
    result["last_run"] = {"excluded_databases": ["x"], "skipped_databases": ["x"], "invalid_databases": []}
    result["notes"] = ["note"]
    result["places"] = [
        {**PLACE, "is_behind": False},
        {**PLACE, "is_behind": True, "newest": result["backups"][0]["name"], "error": "x"},
    ]
    result["three_two_one"] = {"holds": False, "copies": 2, "storages": 1, "offsite": False, "reason": "x"}
    items = [{"host": text, "result": with_text(result, text)}, {"host": text, "result": {"failed": True, "msg": text}}]
    return html(items * (count // 2))


def shape(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(name, tuple(sorted(attributes))) for name, attributes in elements(tree(text))]


SHAPES = {count: shape(hostile_page("plain", count)) for count in (2, 12)}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("count", SHAPES, ids=["full", "compact"])
def test_hostile_names_change_nothing_but_text(text: str, count: int) -> None:
    page = hostile_page(text, count)
    assert shape(page) == SHAPES[count]
    shown = "".join(tree(page).itertext())
    assert printable(text) in shown.replace("\r", "")


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(), min_size=1, max_size=40))
def test_no_name_changes_anything_but_text(text: str) -> None:
    assert shape(hostile_page(text, 2)) == SHAPES[2]


def test_filter_in_a_template_of_ansible() -> None:
    variables = {"installations": several(), "files": templates(), "now": "2026-11-28T10:24:00Z"}
    expression = "{{ installations | homelab.postgres_backup.report_page(files, now, inventory=['inventory']) }}"
    result = Templar(DataLoader(), variables=variables).template(trust_as_template(expression))
    assert result["html"] == of_several()
    assert result["lines"][0] == "1 of 3 installations is not healthy, 1 could not be read"
    assert result["healthy"] is False


def test_healthy() -> None:
    expression = "{{ [{'host': 'localhost', 'result': result}] | homelab.postgres_backup.report_page(files, now) }}"
    files = {"page.html.j2": "{{ page.verdict }}"}
    variables = {"result": Installation("data", days=9).result(), "files": files, "now": "2026-11-28T10:24:00Z"}
    result = Templar(DataLoader(), variables=variables).template(trust_as_template(expression))
    assert result == {"html": "Healthy", "lines": ["Healthy"], "healthy": True}


def test_a_time_that_is_none_is_a_filters_error() -> None:
    with pytest.raises(AnsibleError, match="report_page: expected a time such as"):
        Templar(DataLoader(), variables={}).template(
            trust_as_template("{{ [] | homelab.postgres_backup.report_page({}, 'yesterday') }}")
        )
