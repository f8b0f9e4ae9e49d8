# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Words that the texts of this project do not use, and what to write instead. docs/architecture.md has the glossary."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """`pattern` is a regular expression, without regard to case; `good` is how to write `bad`, which it matches."""

    pattern: str
    reason: str
    bad: str
    good: str

    def search(self, text: str) -> re.Match[str] | None:
        return re.search(self.pattern, text, re.IGNORECASE)


@dataclass(frozen=True)
class Exemption:
    """A line of the file `path` that contains `text` may break the rules."""

    path: str
    text: str
    reason: str


TERM = "one word for one thing: the glossary in docs/architecture.md"
LITERAL = "programs and files do not speak or move"
IDIOM = "not idiomatic English"

RULES = [
    # Not the names of a mesh's settings, such as sidecar.istio.io/inject and kuma.io/sidecar-injection.
    Rule(
        r"(?<![/-])\bsidecars?\b(?! containers?\b)(?!\.istio\.io)",
        TERM,
        "compared with its sidecar",
        "compared with its checksum file",
    ),
    Rule(r"\brehears", TERM, "rehearses a restore", "runs a restore drill"),
    Rule(r"\bthrow(?:n )?-?away\b", TERM, "a throwaway PostgreSQL", "a temporary server"),
    Rule(
        r"\b(?:a|each|its|no|that|the|their|this) partials?\b(?! (?:file|download|result)s?\b)|\bpartials\b",
        TERM,
        "removes its partial",
        "removes its partial file",
    ),
    Rule(
        r"(?<!\bas a )\bwhole\b(?! numbers?\b)",
        "complete (dump), intact (file), all databases",
        "the dump is whole",
        "the dump is complete",
    ),
    Rule(r"\b(?:good|bad) (?:backup|run|dump)s?\b", "complete, successful, failed", "a good run", "a successful run"),
    Rule(r"\brooms?\b", "free space, disk space, memory", "needs room on the node", "needs free space on the node"),
    Rule(
        r"(?<!\bthere )\b(?:is|are|was|were) no (?!longer\b|more\b|less\b)\w",
        IDIOM,
        "the file is no backup",
        "the file is not a backup",
    ),
    Rule(
        r"\blook(?:s|ed|ing)? (?:at|for|whether|into|where)\b", "check, read, see", "look at the node", "check the node"
    ),
    Rule(r"\b(?:says|said|tells|told|hears|heard)\b", LITERAL, "its log says why", "its log contains the reason"),
    Rule(r"\b(?:left|leaves?|without|last) (?:a |no |its )?words?\b", LITERAL, "without a word", "without a result"),
    Rule(r"\bg(?:ave|ive|ives) no answer\b", LITERAL, "the server gave no answer", "the server did not respond"),
    Rule(r"\b(?:go|goes|going|went) (?:on|well|by itself)\b", LITERAL, "the run goes on", "the run continues"),
    Rule(r"\bstay(?:s|ed)?\b", "is kept, remains, is still", "three backups stay", "three backups are kept"),
    Rule(r"\b(?:came|comes?)\b(?! from\b)", LITERAL, "the reason comes last", "the reason is printed last"),
    Rule(r"\b(?:broke|breaks) off\b|\btak(?:e|es|en) up again\b", IDIOM, "takes up again what broke off", "resumes it"),
    Rule(r"\b(?:ended|ends|is|are) well\b", "succeeded, is healthy", "all is well", "it is healthy"),
    Rule(r"\bwhoever\b", "users who, anyone who, the imperative", "whoever reads it", "anyone who reads it"),
    Rule(
        r"(?:^|[.:;|] )who (?:[a-z]+)\b(?!.*\?)",
        "users who",
        "Who may create Jobs can",
        "Users who may create Jobs can",
    ),
    Rule(r"\| the same(?: [a-z]+ [a-z]+)? (?=\|)", "repeat what is the same", "| the same |", "| check the share |"),
    Rule(r"^\W*the same(?: for [a-z ]+)?\.?$", "repeat what is the same", "The same for months.", "How many months."),
    Rule(
        r"\bof (?:its|their|your|one's) own\b",
        "separate, dedicated, your own",
        "in a pod of its own",
        "in a separate pod",
    ),
    Rule(
        r"\bof (?:another|other|any) (?:hand|make)s?\b|\bor a hand\b",
        IDIOM,
        "a CronJob of another hand",
        "a CronJob that the role did not create",
    ),
    Rule(r"\bbesides?\b", "next to, in addition to", "beside the backup", "next to the backup"),
    Rule(r"\bfence[sd]? in\b", IDIOM, "a server that is fenced in", "a server that another NetworkPolicy isolates"),
    Rule(r"\blest\b", IDIOM, "lest it be lost", "so that it is not lost"),
    Rule(r"\bat work\b", "is running, is in progress", "a run is at work", "a run is in progress"),
    Rule(r"\bin (?:the|its|their) middle\b", "during, while it runs", "in its middle", "while it runs"),
    Rule(r"\b\w+n't\b|\b(?:it|that|there|what)'s\b", "no contractions", "it's not there", "it is not there"),
    Rule(r"\b(?:behavior|color|honor|canceled)\b", "British spelling", "the behavior", "the behaviour"),
]

# Quotations in code spans of Markdown are exempt by themselves: test_messages.py compares them with the sources.
EXEMPTIONS: list[Exemption] = [
    *(
        Exemption(path, text, "the cache of dev/cluster is keyed by this file, and would be built again")
        for path, text in [
            ("dev/buildkit/bootstrap.py", "name server is no part of it"),
            ("dev/cluster/devcluster/containers.py", "In namespaces of its own"),
            ("dev/cluster/images/bitnami/entrypoint.sh", "Whole or not at all"),
            ("dev/cluster/images/debian/docker-entrypoint.sh", "started as root it goes on"),
            ("dev/nfs/finish.sh", "the kernel beside the root filesystem"),
            ("dev/nfs/finish.sh", "an initramfs of their own"),
        ]
    ),
    Exemption(
        "tests/unit/plugins/module_utils/_watch/test_delivery.py", "/_matrix/client/v3/rooms/", "a path of Matrix' API"
    ),
    Exemption("roles/postgres_backup/files/postgres.sh", "doesn't allow an argument", "a message of getopt_long(3)"),
    Exemption("molecule/default/verify.yml", "sidecar: required", "an option of backup_verify"),
    *(
        Exemption(path, text, "output of another program, or data with a quote")
        for path, text in [
            ("tests/cluster/test_run_faults.py", "couldn't find key"),
            ("tests/dump/foreign.py", "If you don't see a command prompt"),
            ("tests/script/drill/test_drill.py", "cluster_name = it's"),
            ("tests/script/drill/test_drill_partitions.py", "it's"),
            ("tests/script/test_config.py", "it's $HOME"),
            ("tests/script/test_security.py", "host=nowhere it's"),
            ("tests/script/volume/test_list.py", "it said "),
            ("tests/unit/dev/test_quickstart.py", "it's a $HOME"),
            ("tests/unit/plugins/module_utils/_jobs/test_pod_diagnosis.py", "didn't match Pod's"),
            ("tests/unit/plugins/module_utils/_jobs/test_pod_diagnosis.py", "couldn't parse image name"),
            ("tests/unit/plugins/module_utils/_jobs/test_pod_diagnosis.py", "couldn't find key"),
        ]
    ),
]

# Beginnings of the paths whose messages, task names and comments do not follow the rules yet. test_words.py fails for
# an entry that is no longer needed.
NOT_YET: list[str] = []
