# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Hostile values in every variable: refused, or carried to their place to the letter while nothing else changes.

The table follows meta/argument_specs.yml, so that a new variable is in it by itself. Expressions of Jinja are the
user's own where Ansible trusts them (an inventory); as a value they are text like any other.
"""

from __future__ import annotations

import copy
import functools
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .rendering import OPTIONS, evaluate, render

# No whitespace and no letter in front, so that these pass most checks; then values that YAML reads as other types.
SHELL = "a'b\"c$(>PWNED)`>PWNED`;>PWNED|>PWNED&>PWNED\\{{7*7}}{%raw%}$(POSTGRES_BACKUP_NAME)$$%s!#*?[é\x85\u2028"
HOSTILE = [
    SHELL,
    f"x {SHELL} : - & * ! > # %",
    "x\n  malicious: true\n---\nkind: Pod\n",
    "x\n",
    "yes",
    "-rf",
    "../../etc/passwd",
]
# For each place in a variable that has several: a rendering takes its time.
FEW = HOSTILE[:3]
SERVER = {
    "image": "registry.example/postgresql:18",
    "port": 5432,
    "selector": {"app": "db"},
    "labels": {"app": "db"},
    "pull_secrets": [],
}
# Every object is there, and what belongs together to one option.
BASE: dict[str, Any] = {
    "postgres_backup_drill_schedule": "@weekly",
    "postgres_backup_network_policy": True,
    "postgres_backup_server_network_policy": True,
    "postgres_backup_nfs": {"server": "nas", "path": "/x"},
    "postgres_backup_ssl_ca": {"secret": "ca"},
    "postgres_backup_sslmode": "require",
    # One is left when a pattern excludes the other.
    "postgres_backup_databases": ["x", "other"],
    "postgres_backup_exclude_tables": [{"database": "x", "table": "x"}],
    "postgres_backup_exclude_table_data": [{"database": "x", "table": "x"}],
    "__postgres_backup_server": SERVER,
}
NFS = "postgres_backup_nfs"
Make = Callable[[str], Any]


@dataclass(frozen=True)
class Shape:
    """One place in one variable for a string: `make` gives the variable's value with that string in it."""

    name: str
    make: Make


def in_option(others: dict[str, Any], name: str, make: Make) -> Make:
    return lambda text: {**others, name: make(text)}


def in_list(make: Make, others: list[Any]) -> Make:
    return lambda text: [make(text), *others]


def shapes(option: dict[str, Any], base: Any = None) -> Iterator[Make]:
    """Every place for a string in a value of that type."""
    kind = option["type"]
    if kind == "raw" and isinstance(option.get("default"), (dict, list)):
        # Also one word, such as `auto`.
        yield lambda text: text
        structure = {"type": "dict"} if isinstance(option["default"], dict) else {"type": "list", "elements": "dict"}
        yield from shapes(structure, base)
        return
    if kind == "dict" and "options" in option:
        for name, each in option["options"].items():
            for make in shapes(each, (base or {}).get(name)):
                yield in_option(base or {}, name, make)
    elif kind == "dict":
        yield lambda text: {text: "1"}
        yield lambda text: {"x": text}
    elif kind == "list":
        for make in shapes({**option, "type": option["elements"]}, (base or [None])[0]):
            yield in_list(make, (base or [])[1:])
    else:
        beginning = "/" if str(base).startswith("/") else ""
        yield lambda text: f"{beginning}{text}"


ALL = [
    Shape(name, make)
    for name, option in OPTIONS.items()
    if option["type"] not in {"bool", "int"}
    for make in shapes(option, BASE.get(name))
]
# Its own copy: it fills in what a default of a dictionary leaves out.
VALIDATOR = ArgumentSpecValidator(copy.deepcopy(OPTIONS))


def in_rounds(cases: list[tuple[Shape, str]]) -> list[dict[str, tuple[Shape, str]]]:
    """As few rounds as possible, each with at most one value of a variable."""
    rounds: list[dict[str, tuple[Shape, str]]] = []
    for shape, text in cases:
        free = next((each for each in rounds if shape.name not in each), None)
        if free is None:
            rounds.append(free := {})
        free[shape.name] = (shape, text)
    return rounds


def refused_by_type(shape: Shape, text: str) -> bool:
    return bool(VALIDATOR.validate({shape.name: shape.make(text)}).error_messages)


@functools.cache
def accepted() -> list[tuple[Shape, str]]:
    """What neither the types nor the role's own checks refuse."""
    left = [
        (shape, text)
        for shape in ALL
        for text in (FEW if OPTIONS[shape.name]["type"] == "dict" else HOSTILE)
        if not refused_by_type(shape, text)
    ]
    found = []
    for cases in in_rounds(left):
        given = {name: shape.make(text) for name, (shape, text) in cases.items()}
        messages = evaluate("{{ __postgres_backup_refused_variables }}", **{**BASE, **given})
        refused = {str(message).partition(": expected ")[0] for message in messages}
        found += [case for name, case in cases.items() if name not in refused]
    return found


def loaded(text: str) -> list[Any]:
    # Ansible's own kind of string is none to the C loader.
    return [each for each in yaml.load_all("".join(text), yaml.CSafeLoader) if each]


def kubelet(value: Any) -> Any:
    """What the kubelet makes of a variable's value (Container v1 core, env.value)."""
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda found: "$" if found[0] == "$$" else f"EXPANDED {found[1]}", value)


def printed(value: Any) -> Any:
    """The value with bytes in octal digits as `printf %b` prints them."""
    return re.sub(
        r"(\\0[0-7]{3})+", lambda match: bytes(int(each, 8) for each in match[0].split("\\0")[1:]).decode(), value
    )


def seen_by_pods(value: Any) -> Any:
    """The object with commands, arguments and environments as the pods get them."""
    if isinstance(value, list):
        return [seen_by_pods(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {key: seen_by_pods(each) for key, each in value.items()}
    for container in (*(made.get("containers") or []), *(made.get("initContainers") or [])):
        for entry in container.get("env", []):
            if "value" in entry:
                entry["value"] = kubelet(entry["value"])
            if entry["name"].startswith("POSTGRES_BACKUP_DRILL_"):
                entry["value"] = printed(entry["value"])
        for words in {"command", "args"} & container.keys():
            container[words] = [kubelet(word) for word in container[words]]
    return made


def without_page(objects: list[Any]) -> list[Any]:
    """The objects without RESTORE.md, a page for people, which quotes values for a shell."""
    (kit,) = (each for each in objects if each["metadata"]["name"].endswith("-kit"))
    return [each if each is not kit else {**kit, "data": kit["data"].keys()} for each in objects]


def replaced(value: Any, texts: dict[str, str]) -> Any:
    """The object with other texts in place of the tokens, wherever they stand."""
    if isinstance(value, list):
        return [replaced(each, texts) for each in value]
    if isinstance(value, dict):
        return {replaced(key, texts): replaced(each, texts) for key, each in value.items()}
    if isinstance(value, str):
        return re.sub(r"token[a-z]+z", lambda found: texts.get(found[0], found[0]), value)
    return value


def token(number: int) -> str:
    return "token" + "".join(chr(ord("a") + int(digit)) for digit in str(number)) + "z"


def test_hostile_values_are_mostly_refused() -> None:
    """The rest are free texts; a new variable in this list needs a reason."""
    assert {shape.name for shape, text in accepted() if SHELL in text} == {
        "postgres_backup_restore_user",
        "postgres_backup_user",
        "postgres_backup_database",
        "postgres_backup_databases",
        "postgres_backup_exclude_databases",
        "postgres_backup_exclude_tables",  # the database; tables have patterns
        "postgres_backup_exclude_table_data",
        "postgres_backup_drill_settings",
        "postgres_backup_drill_image",
        "postgres_backup_tools_image",
        "postgres_backup_watch_image",
        "postgres_backup_copy_image",
        "postgres_backup_drill_search_path",
        "postgres_backup_drill_before_sql",
        "postgres_backup_drill_after_sql",
        "postgres_backup_nfs",  # its path and its mount options
        "postgres_backup_image",
        "postgres_backup_affinity",
        "postgres_backup_node_selector",
        "postgres_backup_pod_annotations",
        "postgres_backup_pod_labels",
        "postgres_backup_alert_labels",
        "postgres_backup_dashboard_labels",
        "postgres_backup_resources",  # names of resources
        "postgres_backup_tolerations",
        "postgres_backup_manifest_dir",
        "postgres_backup_runbook_dir",
        "postgres_backup_server_pods",  # labels
    }


def test_hostile_value_is_passed_unchanged_and_changes_nothing_else() -> None:
    # An NFS share takes the place of storage class and volume.
    shares = in_rounds([case for case in accepted() if case[0].name == NFS])
    others = in_rounds([case for case in accepted() if case[0].name != NFS])
    assert len(shares) >= 4 and len(others) >= len(HOSTILE)
    for number_of_round, cases in enumerate((*others, *shares)):
        base = {name: value for name, value in BASE.items() if name != NFS or name in cases}
        tokens = {name: token(number) for number, name in enumerate(cases)}
        harmless = {name: shape.make(tokens[name]) for name, (shape, _) in cases.items()}
        hostile = {name: shape.make(text) for name, (shape, text) in cases.items()}
        texts = {tokens[name]: text for name, (_, text) in cases.items()}
        expected = loaded(render("objects.yaml.j2", **{**base, **harmless}))
        objects = loaded(render("objects.yaml.j2", **{**base, **hostile}))
        assert without_page(seen_by_pods(objects)) == replaced(without_page(seen_by_pods(expected)), texts)
        if number_of_round > 2:
            continue
        # The same in the files for people, which take as long: with the values that are worst.
        written = [
            each
            for name in ("backup-pvc.yaml.j2", "backup-cronjob.yaml.j2")
            for each in loaded(render(name, **{**base, **hostile, "__postgres_backup_objects": objects}))
        ]
        assert written == objects


STUBS = {
    # Runs what follows --, as the pod would.
    "kubectl": "case $1 in get) echo Complete; exit ;; esac\n"
    'for word; do shift; if [ "$word" = -- ]; then exec "$@"; fi; done',
    "psql": '{ printf "%s\\n" "$@"; echo "as $PGUSER"; echo "in $PGDATABASE"; echo =; cat; } >"$OUT/${0##*/}.$$"',
    # restore-kit.sh, in the pod and on another machine.
    "sh": 'case $1 in *restore-kit.sh) exec psql "$@" ;; *) exec /bin/sh "$@" ;; esac',
    "gzip": ":",
    "age": ":",
    "ansible-playbook": ":",
    "touch": ":",
    "ls": "echo backup",
    "sha256sum": ":",
}


@pytest.mark.parametrize("recipients", [[], ["age1p5gymhzpww54ltvh5ekfz9dm4qdlld84jut6l7r8mfxhl2jz847qwyardv"]])
@pytest.mark.parametrize("template", ["postgres-backup.md.j2", "RESTORE.md.j2"])
@pytest.mark.parametrize("text", ["postgres", "my-admin", "it's", f'{SHELL} "^.*[x]\\/$ '])
def test_hostile_value_in_a_page_runs_nothing_else(
    tmp_path: Path, text: str, template: str, recipients: list[str]
) -> None:
    """Each block as a person would paste it, with stand-ins for the programs."""
    programs, out, work = (tmp_path / name for name in ("programs", "out", "work"))
    for folder in (programs, out, work):
        folder.mkdir()
    for name, body in STUBS.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    for name in ("sed", "cat", "env", "date", "grep", "tail", "head", "sleep", "awk", "mktemp", "mv", "rm"):
        (programs / name).symlink_to(str(shutil.which(name)))
    page = render(
        template,
        postgres_backup_user=text,
        postgres_backup_database=text,
        postgres_backup_recipients=recipients,
        __postgres_backup_claim_now={"spec": {"volumeName": "pv"}},
        __postgres_backup_location="nas:/x",
        __postgres_backup_reclaim_policy="Retain",
    )
    # Lines of a page end where a terminal's do.
    blocks = [block.partition("\n```")[0] for block in page.split("```sh\n")[1:]]
    assert len(blocks) > 3
    environment = {"PATH": str(programs), "OUT": str(out), "backup": "b", "database": "d", "server": "s", "port": "5"}
    for block in blocks:
        subprocess.run(
            ["/bin/sh", "-c", block], cwd=work, env=environment, stdin=subprocess.DEVNULL, check=False, timeout=30
        )
    assert not list(tmp_path.rglob("PWNED*"))
    calls = [path.read_text().partition("=\n")[0].split("\n") for path in out.iterdir()]
    restores = [words for words in calls if "restore" in words]
    assert len(restores) == 3
    for words in restores:
        assert text == "\n".join(words).partition("\nas ")[2].partition("\nin ")[0], words
        assert f"\nin {text}\n" in "\n".join(words)
    assert all(words[words.index("-U") + 1] == text for words in calls if "-U" in words)
    assert all(words[words.index("-d") + 1] == text for words in calls if "-d" in words)
