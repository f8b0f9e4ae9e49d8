# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Writes the examples for AWX, with types, defaults and choices from the role's argument specs and the modules.

python -m dev.consoles --write
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
TEMPLATES = CHECKOUT / "docs" / "examples" / "awx" / "job_templates.yml"
_HEADER = """\
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# One job template for each playbook, with a survey of its variables: see docs/consoles.md.
# Written by `python -m dev.consoles --write`. A question without a default that is left empty has no effect.
---
"""


@dataclass(frozen=True)
class Question:
    """One variable in a survey.

    `source` is what it is passed to: `role` for an option of the role of that name, or `module.option`. What differs
    in the playbook is given here: a default, that an answer is needed, or the type of the answer.
    """

    variable: str
    source: str = "role"
    default: Any = None
    required: bool = False
    description: str = ""
    boolean: bool = False


_PLACE = Question(
    "postgres_backup_place",
    "backup_retrieve.place",
    description="Name of the place from which the backup is brought back first.",
)
_RETRIEVED = Question("postgres_backup_retrieve_backup", "backup_retrieve.backup")
_MAX_AGE = Question("postgres_backup_max_age", "backup_job.max_age")
_DRILL_BACKUP = Question("postgres_backup_drill_backup", "restore_drill.backup")
# There is nobody at the terminal whom the playbook could ask.
_CONFIRMED = Question(
    "postgres_backup_restore_confirmed",
    "",
    default="no",
    required=True,
    description="Without yes, the job only shows what the restore would do, and fails.",
    boolean=True,
)


def _of(module: str, *options: str, prefix: str = "postgres_backup_restore_") -> tuple[Question, ...]:
    """Questions about options that are variables under the same name."""
    return tuple(Question(f"{prefix}{option}", f"{module}.{option}") for option in options)


SURVEYS: dict[str, tuple[Question, ...]] = {
    "backup_now": (_MAX_AGE,),
    "backup_user": (
        # The inventory may have another one.
        Question("postgres_backup_user_role", "backup_user.role", default=""),
        *_of("backup_user", "secret_name", "rotate", "bypass_rls", "large_objects", prefix="postgres_backup_user_"),
    ),
    "copy": (Question("postgres_backup_copy_places", "backup_copy.places"),),
    "disaster": (
        *_of("restore_cluster", "backup", "replace", "alter_roles", "terminate_connections", "connections_timeout"),
        *_of("restore_cluster", "timeout"),
        _PLACE,
        _CONFIRMED,
    ),
    "drill": (_DRILL_BACKUP, _PLACE),
    "notify_test": (),
    "report": (
        Question("postgres_backup_max_age", "backup_info.max_age"),
        Question(
            "postgres_backup_report_fail",
            "",
            default="yes",
            required=True,
            description="With yes, the job fails if an installation is not healthy, or cannot be read.",
            boolean=True,
        ),
        Question(
            "postgres_backup_report_on_volume",
            "",
            default="yes",
            required=True,
            description="With yes, the page of each installation is written next to its backups, where it can be read.",
            boolean=True,
        ),
    ),
    "restore": (
        Question("postgres_backup_restore_database", "restore_database.database", required=True),
        # Empty, so that AWX does not replace the live database by itself.
        *_of("restore_database", "new_name", "replace", "backup", "create_roles", "terminate_connections"),
        *_of("restore_database", "connections_timeout", "timeout", "search_path"),
        _PLACE,
        _CONFIRMED,
    ),
    "restore_table": (
        Question("postgres_backup_restore_database", "restore_table.database", required=True),
        Question("postgres_backup_restore_tables", "restore_table.tables", required=True),
        *_of("restore_table", "backup", "target", "merge", "keys", "timeout", "search_path"),
        _PLACE,
        _CONFIRMED,
    ),
    "retention": (
        Question(
            "postgres_backup_retention_apply",
            "",
            default="no",
            required=True,
            description="With yes, the backups that retention does not keep are deleted; otherwise, they are listed.",
            boolean=True,
        ),
    ),
    "retrieve": (
        Question("postgres_backup_place", "backup_retrieve.place", required=True),
        _RETRIEVED,
        Question("postgres_backup_retrieve_timeout", "backup_retrieve.timeout"),
    ),
    "site": (Question("postgres_backup_state"), Question("postgres_backup_delete_data")),
    "unprotected": (
        Question("postgres_backup_max_age", "postgres_discover.max_age"),
        Question(
            "postgres_backup_unprotected_fail",
            "",
            default="yes",
            required=True,
            description="With yes, the job fails if a server has no recent backup.",
            boolean=True,
        ),
    ),
    "upgrade_rehearsal": (
        Question("postgres_backup_upgrade_image", "restore_drill.image", required=True),
        _DRILL_BACKUP,
    ),
    # With a default, the age of a backup from a place would matter.
    "verify": (Question("postgres_backup_max_age", "backup_job.max_age"), _PLACE, _RETRIEVED),
}
"""What each job template asks for. sample_data is for trying things out."""

NOT_ASKED = {
    "postgres_backup_drill_backup": "of the playbook retrieve, which only shows it, as the next one",
    "postgres_backup_restore_backup": "of the playbook retrieve",
    "postgres_backup_hosts": "all: the inventory and the limit of the job",
    "postgres_backup_namespace": "the inventory, which has a host for each installation, as for the next ones",
    "postgres_backup_name": "the inventory",
    "postgres_backup_drill_size_limit": "the inventory",
    "postgres_backup_drill_in_memory": "the inventory",
    "postgres_backup_dest": "the files of a job are deleted with its container",
    "postgres_backup_drill_contents": "a file, which a job does not have",
    "postgres_backup_restore_file": "a file, which a job does not have",
    "postgres_backup_restore_keep": "of a file that is uploaded",
    "postgres_backup_identity_file": "of the playbook retrieve, which only shows it",
    "postgres_backup_identity": "a private key: a credential of AWX, not an answer that it keeps",
    "postgres_backup_verify_file": "a file, which a job does not have",
    "postgres_backup_verify_kind": "of a file",
    "postgres_backup_namespaces": "a list: the variables of the job template",
    "postgres_backup_restore_host": "of another server: the variables of the job template, as for the next ones",
    "postgres_backup_restore_port": "of another server",
    "postgres_backup_restore_sslmode": "of another server",
    "postgres_backup_restore_user": "of the server: the inventory",
    "postgres_backup_restore_secret_name": "of the server: the inventory",
    "postgres_backup_restore_secret_key": "of the server: the inventory",
    "postgres_backup_restore_before_sql": "SQL: the variables of the job template, as for the next ones",
    "postgres_backup_restore_after_sql": "SQL",
    "postgres_backup_restore_transform_sql": "SQL",
    "postgres_backup_restore_assert_sql": "SQL",
    "postgres_backup_drill_settings": "a dictionary: the inventory, as for the next ones",
    "postgres_backup_drill_search_path": "a dictionary",
    "postgres_backup_drill_before_sql": "a dictionary",
    "postgres_backup_drill_after_sql": "a dictionary",
    "postgres_backup_drill_image": "the inventory, or the playbook upgrade_rehearsal",
    "postgres_backup_user": "of the installation: the inventory",
    "postgres_backup_secret_name": "of the installation: the inventory",
    "postgres_backup_secret_key": "of the installation: the inventory",
    "postgres_backup_manifest_dir": "the files of a job are deleted with its container",
    "postgres_backup_runbook_dir": "the files of a job are deleted with its container",
    "postgres_backup_local_dir": "an old name",
    "postgres_backup_report_dest": "the files of a job are deleted with its container",
    "postgres_backup_report_mode": "of that file",
    "postgres_backup_state": "the playbook site; others set it themselves",
}
"""The playbooks' other variables, and why no survey asks for them."""


def variables_of(playbook: str) -> set[str]:
    """The variables that the playbook itself reads."""
    text = (CHECKOUT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8")
    imported = (CHECKOUT / "playbooks" / "vars" / "renamed.yml").read_text(encoding="utf-8")
    values: dict[str, str] = dict(re.findall(r"(?m)^(__postgres_backup_\w+): (.*(?:\n  .*)*)", imported))
    text += "".join(value for name, value in values.items() if name in text and name != "__postgres_backup_renamed")
    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return set(re.findall(r"(?<![\w.])postgres_backup_\w+", body))


def job_templates() -> list[dict[str, Any]]:
    """The job templates as awx.awx.job_template wants them."""
    return [
        {
            "name": f"PostgreSQL backup: {playbook}",
            "description": _summary(playbook),
            "playbook": f"postgres_backup/{playbook}.yml",
            "survey": {
                "name": playbook,
                "description": _summary(playbook),
                "spec": [_item(question) for question in questions],
            },
        }
        for playbook, questions in SURVEYS.items()
    ]


def render() -> str:
    """The text of TEMPLATES."""
    document = {"postgres_backup_job_templates": job_templates()}
    return _HEADER + yaml.dump(document, Dumper=_Indented, sort_keys=False, width=150, allow_unicode=True)


class _Indented(yaml.SafeDumper):
    """Indents lists, as yamllint wants it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  # PyYAML calls it so
        super().increase_indent(flow, False)


def _summary(playbook: str) -> str:
    (play,) = yaml.safe_load((CHECKOUT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8"))
    return str(play["name"])


def _item(question: Question) -> dict[str, Any]:
    """A question as AWX wants it: all keys are there, and choices are a list."""
    option = _option(question)
    default = question.default if question.default is not None else option.get("default")
    if isinstance(default, str) and "{{" in default:
        default = None
    kind, choices = _type(question, option)
    item = {
        "question_name": question.variable.removeprefix("postgres_backup_").replace("_", " ").capitalize(),
        "question_description": question.description or _plain(option["description"]),
        "variable": question.variable,
        "type": kind,
        "required": question.required,
        "choices": choices,
    }
    if default not in (None, "", []):
        item["default"] = ("yes" if default else "no") if isinstance(default, bool) else default
    return item


def _type(question: Question, option: dict[str, Any]) -> tuple[str, list[str]]:
    if question.boolean or option["type"] == "bool":
        return "multiplechoice", ["yes", "no"]
    if option.get("choices"):
        return "multiplechoice", [*option["choices"]]
    return ("integer" if option["type"] == "int" else "text"), []


def _option(question: Question) -> dict[str, Any]:
    """Type, default, choices and description, as documented."""
    if not question.source:
        return {"type": "str"}
    if question.source == "role":
        specs = yaml.safe_load((CHECKOUT / "roles/postgres_backup/meta/argument_specs.yml").read_text(encoding="utf-8"))
        found: dict[str, Any] = specs["argument_specs"]["main"]["options"][question.variable]
        return found
    module, option = question.source.split(".")
    return _documented(CHECKOUT / "plugins" / "modules" / f"{module}.py", option)


def _documented(module: Path, option: str) -> dict[str, Any]:
    """An option of a module, or of a documentation fragment that it uses."""
    documentation = _constant(module, "DOCUMENTATION")
    fragments = [name.rpartition(".")[2] for name in documentation.get("extends_documentation_fragment", [])]
    places = [documentation]
    for name in fragments:
        path = CHECKOUT / "plugins" / "doc_fragments" / f"{name}.py"
        if path.exists():
            places.append(_constant(path, "DOCUMENTATION"))
    return next(place["options"][option] for place in places if option in place.get("options", {}))


def _constant(path: Path, name: str) -> dict[str, Any]:
    """A constant with YAML, of a module or of a class in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and any(
            isinstance(each, ast.Name) and each.id == name for each in node.targets
        ):
            found: dict[str, Any] = yaml.safe_load(ast.literal_eval(node.value))
            return found
    raise LookupError(f"{path} has no {name}")


def _plain(description: str | list[str]) -> str:
    """The first sentence without Ansible's markup."""
    text = description if isinstance(description, str) else description[0]
    text = re.sub(r"\b[A-Z]\(([^()]*)\)", lambda found: found[1].rpartition(".")[2], text)
    return re.split(r"(?<=[.])\s+(?=[A-Z])", " ".join(text.split()), maxsplit=1)[0]


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    TEMPLATES.write_text(render(), encoding="utf-8")
