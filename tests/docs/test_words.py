# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Pages, documentation of plugins, messages, task names and comments use the words that words.py prescribes."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .pages import CHECKOUT, NAMES, ROLE
from .words import EXEMPTIONS, NOT_YET, RULES, Rule

Lines = Iterator[tuple[int, str]]


def markdown(text: str) -> Lines:
    """Without code, which is quoted: fenced blocks and code spans."""
    without_blocks = re.sub(r"^```.*?^```$", lambda block: "\n" * block[0].count("\n"), text, flags=re.M | re.S)
    for number, line in enumerate(without_blocks.splitlines(), start=1):
        yield number, re.sub(r"`[^`]+`", "`code`", line)


def every_line(text: str) -> Lines:
    """Without code spans and the names of options in Ansible's markup."""
    for number, line in enumerate(text.splitlines(), start=1):
        yield number, re.sub(r"`[^`]+`|\b[A-Z]{1,2}\([^)]*\)", "`code`", line)


def shell(text: str) -> Lines:
    """Comments and quoted strings of several words."""
    for number, line in enumerate(text.splitlines(), start=1):
        comment = re.search(r"(?:^|\s)#\s.*", line)
        strings = re.findall(r"\"[^\"]*\s[^\"]*\"|'[^']*\s[^']*'", line[: comment.start()] if comment else line)
        for piece in [*strings, *([comment[0]] if comment else [])]:
            yield number, piece


def python(text: str) -> Lines:
    """Comments, and strings of several words: messages and docstrings. A plugin's documentation is read by itself."""
    documentation = {number for node in documentation_of(text) for number in range(node.lineno, node.end_lineno or 0)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_string = tokenize.tok_name[token.type] in {"STRING", "FSTRING_MIDDLE"} and " " in token.string.strip()
        if (is_string or token.type == tokenize.COMMENT) and token.start[0] not in documentation:
            for number, line in every_line(token.string):
                yield token.start[0] + number - 1, line


def documentation_of(text: str) -> Iterator[ast.Assign]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"DOCUMENTATION", "EXAMPLES", "RETURN"}:
            yield node


def descriptions(value: Any) -> Iterator[str]:
    """The texts of a plugin's documentation without the names and values of options and results."""
    if isinstance(value, list):
        for item in value:
            yield from descriptions(item)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in {"default", "sample"}:
                yield from descriptions(item)


def plugin_documentation(text: str) -> Lines:
    """The documentation of a plugin or of a fragment; the line is the one where it begins."""
    for node in documentation_of(text):
        source = str(ast.literal_eval(node.value))
        is_example = ast.unparse(node.targets[0]) == "EXAMPLES"
        texts = source.splitlines() if is_example else descriptions(yaml.safe_load(source))
        for each in texts:
            for _, line in every_line(" ".join(each.split())):
                yield node.lineno, line


def below(folder: str, pattern: str) -> list[Path]:
    return sorted(path for path in (CHECKOUT / folder).rglob(pattern) if path.is_file())


Reader = Callable[[str], Lines]
# The texts that users read, each with its reader.
PAGES: dict[Path, Reader] = {
    **{CHECKOUT / name: markdown for name in [*NAMES, "docs/examples/README.md", "CHANGELOG.md"]},
    **dict.fromkeys([*below("docs/examples", "*.yaml"), *below("docs", "*.svg")], every_line),
    **dict.fromkeys(below("docs/examples", "*.sh"), shell),
    **dict.fromkeys([*below("changelogs", "*.yaml"), *below("changelogs/fragments", "*.yml")], every_line),
    **dict.fromkeys([ROLE / "meta" / "argument_specs.yml", ROLE / "defaults" / "main.yml"], every_line),
    **dict.fromkeys([*below("roles/postgres_backup/templates", "*.md.j2"), CHECKOUT / "galaxy.yml"], every_line),
    ROLE / "templates" / "notes.txt.j2": every_line,
    **dict.fromkeys(below("plugins", "*.py"), plugin_documentation),
}
READERS: dict[str, Reader] = {
    ".awk": shell,
    ".j2": every_line,
    ".md": markdown,
    ".py": python,
    ".sh": shell,
    ".yml": every_line,
}
# Messages, task names, comments; without the generated copies of the script, and the words in this test.
SOURCES: dict[Path, Reader] = {
    path: READERS[path.suffix]
    for folder in ("plugins", "roles", "playbooks", "dev", "molecule", "tests")
    for path in below(folder, "*")
    if path.suffix in READERS
    and (path not in PAGES or path.suffix == ".py")
    and not {"_script", "script.py", "words.py", "test_words.py"} & set(path.parts)
}


def findings(path: Path, reader: Reader) -> list[str]:
    name = str(path.relative_to(CHECKOUT))
    exempt = [exemption.text for exemption in EXEMPTIONS if exemption.path == name]
    return [
        f"{name}:{number}: {match[0]!r}: {rule.reason} (such as {rule.good!r} instead of {rule.bad!r}): {line.strip()}"
        for number, line in reader(path.read_text())
        for rule in RULES
        if (match := rule.search(line)) and not any(text in line for text in exempt)
    ]


def is_not_held_yet(path: Path) -> bool:
    return str(path.relative_to(CHECKOUT)).startswith(tuple(NOT_YET))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.bad)
def test_a_rule_finds_its_example(rule: Rule) -> None:
    assert rule.search(rule.bad)
    assert not rule.search(rule.good)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_page_has_no_such_words(path: Path) -> None:
    assert findings(path, PAGES[path]) == []


def test_a_source_has_no_such_words() -> None:
    held = [path for path in SOURCES if not is_not_held_yet(path)]
    assert [found for path in held for found in findings(path, SOURCES[path])] == []


@pytest.mark.parametrize("beginning", NOT_YET)
def test_path_in_not_yet_breaks_a_rule(beginning: str) -> None:
    paths = [path for path in SOURCES if str(path.relative_to(CHECKOUT)).startswith(beginning)]
    assert any(findings(path, SOURCES[path]) for path in paths), f"remove {beginning} from NOT_YET"


def test_an_exemption_is_needed() -> None:
    for exemption in EXEMPTIONS:
        path = CHECKOUT / exemption.path
        lines = [line for _, line in (PAGES | SOURCES)[path](path.read_text()) if exemption.text in line]
        assert any(rule.search(line) for rule in RULES for line in lines), exemption


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (markdown, "The file has a sidecar."),
        (every_line, "  - name: Look at the sidecar"),
        (shell, "# compares the sidecar"),
        (shell, 'fail "the sidecar is missing"'),
        (python, "# compares the sidecar"),
        (python, 'raise Error(f"{name} has no sidecar")'),
        (plugin_documentation, 'RETURN = r"""\npath:\n  description: Its sidecar.\n"""'),
        (plugin_documentation, 'EXAMPLES = r"""\n- name: Read the sidecar\n"""'),
    ],
)
def test_reader_finds_messages_and_comments(reader: Reader, text: str) -> None:
    assert any(rule.search(line) for rule in RULES for _, line in reader(text))


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (markdown, "`the sidecar names the path`\n```sh\nlook at\n```"),
        (every_line, "      - Compares O(sidecar)."),
        (shell, "sidecar=$backup.sha256"),
        (python, "sidecar = parameters['sidecar']"),
        (plugin_documentation, 'DOCUMENTATION = r"""\noptions:\n  sidecar:\n    description: The file.\n"""'),
    ],
)
def test_reader_skips_names_and_quotations(reader: Reader, text: str) -> None:
    assert not any(rule.search(line) for rule in RULES for _, line in reader(text))
