# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Backups that are encrypted to recipients: the CronJob's second image, and keys that are refused."""

from __future__ import annotations

import base64
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plugins.module_utils._role.recipients import are_recipients

from .rendering import evaluate, objects, render

RECIPIENTS = [
    "age1p5gymhzpww54ltvh5ekfz9dm4qdlld84jut6l7r8mfxhl2jz847qwyardv",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGeg9APpox3dp/6CIVsn0eyS5t6kuA3NJQEuNdodj+YJ me@nas $(HOME)",
]
SET = {"postgres_backup_recipients": RECIPIENTS, "postgres_backup_tools_image": "tools:1"}


def pod(**variables: Any) -> dict[str, Any]:
    (made,) = (each for each in objects(**variables) if each["kind"] == "CronJob")
    spec: dict[str, Any] = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def refusals(**variables: Any) -> list[str]:
    found: list[str] = evaluate(
        "{{ __postgres_backup_variables | homelab.postgres_backup.refused_variables }}", **variables
    )
    return found


def test_without_recipients_nothing_changes() -> None:
    assert objects(postgres_backup_tools_image="tools:1") == objects()
    assert "initContainers" not in pod()


def test_the_image_is_only_used_to_copy_age() -> None:
    made = pod(**SET)
    (init,), (container,) = made["initContainers"], made["containers"]
    assert init["image"] == "tools:1"
    assert container["image"] == pod()["containers"][0]["image"]
    assert "env" not in init
    assert [mount["name"] for mount in init["volumeMounts"]] == ["age"]
    assert init["securityContext"] == container["securityContext"]
    (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "age")
    assert mount["readOnly"] is True
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["POSTGRES_BACKUP_AGE"] == f"{mount['mountPath']}/age"
    assert environment["POSTGRES_BACKUP_RECIPIENTS"] == "\n".join(RECIPIENTS).replace("$", "$$")
    changed = [each for each, before in zip(objects(**SET), objects(), strict=True) if each != before]
    assert [each["kind"] for each in changed] == ["ConfigMap", "CronJob"]
    page = changed[0]["data"]["RESTORE.md"]
    assert all(f"- `{recipient}`\n" in page for recipient in RECIPIENTS)
    assert "*.sql.gz.age | tail" in page


def runbook(**variables: Any) -> str:
    claim = {"spec": {"volumeName": "pv"}}
    page: str = render(
        "postgres-backup.md.j2", __postgres_backup_claim_now=claim, __postgres_backup_location="nas:/x",
        __postgres_backup_reclaim_policy="Retain", **variables,
    )  # fmt: skip
    return page


@pytest.mark.parametrize("kit", [True, False])
def test_each_command_of_the_pages_that_reads_a_backup_gets_an_identity(kit: bool) -> None:
    page = runbook(**SET, postgres_backup_restore_kit=kit)
    assert all(f"`{recipient}`" in page for recipient in RECIPIENTS)
    (copied,) = [each["data"]["RESTORE.md"] for each in objects(**SET) if "RESTORE.md" in (each.get("data") or {})]
    for text in (page, copied):
        blocks = [block.partition("\n```")[0] for block in text.split("```sh\n")[1:]]
        commands = [line for block in blocks for line in block.splitlines()]
        reading = [
            line
            for line in commands
            if "restore-kit.sh restore" in line or "-s restore" in line or "gzip" in line or "-playbook" in line
        ]
        assert len(reading) >= 4
        for line in reading:
            assert "dentity" in line or line.startswith("sh restore-kit.sh"), line
        assert any("cat >/dev/shm/identity.txt' < identity.txt" in line for line in commands)


def notes(recipients: list[str]) -> str:
    text: str = render(
        "notes.txt.j2", __postgres_backup_prerequisites={"unwanted": {"readable": True}}, __postgres_backup_secret={},
        __postgres_backup_reclaim_policy="Retain", __postgres_backup_class_info={}, __postgres_backup_volume_info={},
        __postgres_backup_policy_info={}, __postgres_backup_claims_now=[], __postgres_backup_removed={},
        __postgres_backup_objects=[], __postgres_backup_check={"result": {"results": []}},
        postgres_backup_recipients=recipients,
    )  # fmt: skip
    return text


def test_a_single_recipient_is_warned_about() -> None:
    assert "WARNING: there is only one recipient" in notes(RECIPIENTS[:1])
    assert "recipient" not in notes(RECIPIENTS) + notes([])


def test_without_recipients_no_page_has_an_identity() -> None:
    assert "dentity" not in runbook() and ".age" not in runbook()


def test_the_image_of_the_watch_is_used_and_the_other_way_round() -> None:
    only_watch = {"postgres_backup_recipients": RECIPIENTS, "postgres_backup_watch_image": "watch:1"}
    assert pod(**only_watch)["initContainers"][0]["image"] == "watch:1"
    assert refusals(**only_watch) == []
    watched = {"postgres_backup_watch": True, "postgres_backup_tools_image": "tools:1"}
    assert not [refusal for refusal in refusals(**watched) if "image" in refusal]
    (made,) = (
        each
        for each in objects(**watched)
        if each["metadata"]["name"].endswith("-watch") and "spec" in each and each["kind"] == "CronJob"
    )
    spec = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert {each["image"] for each in [*spec["containers"], *spec["initContainers"]]} == {"tools:1"}
    (refusal,) = refusals(postgres_backup_recipients=RECIPIENTS)
    assert refusal.startswith("postgres_backup_tools_image: expected an image with the program age")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("AGE-SECRET-KEY-1SECRET", "entry 2 is a private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET", "entry 2 is a private key"),
        ("age1SECRET", "entry 2 is not a public key"),
        ("ssh-dss SECRET", "entry 2 is not a public key"),
        (RECIPIENTS[1] + "\nSECRET", "entry 2 is not a public key"),
    ],
)
def test_what_is_no_public_key_is_refused_and_not_printed(entry: str, expected: str) -> None:
    (refusal,) = refusals(**{**SET, "postgres_backup_recipients": [RECIPIENTS[0], entry]})
    assert expected in refusal
    assert "SECRET" not in refusal


def test_a_private_key_instead_of_the_list_is_named_and_not_printed() -> None:
    (refusal,) = refusals(**{**SET, "postgres_backup_recipients": "AGE-SECRET-KEY-1SECRET"})
    assert "it is a private key: set a list with its public key" in refusal
    assert "1SECRET" not in refusal


def test_a_private_key_instead_of_the_name_of_its_secret_is_not_printed() -> None:
    refused = refusals(**{**SET, "postgres_backup_drill_identity_secret": "AGE-SECRET-KEY-1SECRET"})
    assert refused[0].startswith("postgres_backup_drill_identity_secret: expected the name of a Secret (")
    assert refused[0].endswith("; found another value") and "1SECRET" not in "".join(refused)


def rsa(bits: int) -> str:
    """A public key of SSH (RFC 4253, 6.6); its number is as good as another for what is compared."""
    parts = (b"ssh-rsa", b"\1\0\1", b"\0" + (2**bits - 1).to_bytes(bits // 8, "big"))
    return f"ssh-rsa {base64.b64encode(b''.join(struct.pack('>I', len(part)) + part for part in parts)).decode()}"


@pytest.mark.parametrize("bits", [1024, 2040, 2048, 4096])
def test_an_rsa_key_is_taken_if_age_takes_it(bits: int) -> None:
    text = rsa(bits)
    done = subprocess.run(["age", "-r", text], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert (are_recipients([RECIPIENTS[0], text], {}) is None) == (done.returncode == 0)


PLUGIN_KEY = "age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt"
MISTAKE = "entry 2 is not a public key: it has a mistake, or lacks characters"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("", "entry 2 is not a public key in one line: it is empty"),
        ("# mine", "entry 2 is not a public key in one line: it is a comment"),
        *[(text, "it begins or ends with a space or a line break") for text in [" age1x", "age1x ", "age1x\r\n"]],
        (f"{RECIPIENTS[0]}\n{RECIPIENTS[1]}", "it has more than one line"),
        (f"{RECIPIENTS[0]} # mine", "a text follows the key"),
        (PLUGIN_KEY, "keys of plugins are not supported: the pods have no plugin"),
        ("age1pq1" + "q" * 1900, "post-quantum keys are not supported"),
        ("ecdsa-sha2-nistp256 AAAAE2VjZHNh me", "of SSH keys, age takes ssh-ed25519 and ssh-rsa"),
        ("sk-ssh-ed25519@openssh.com AAAAGnNr", "of SSH keys, age takes ssh-ed25519 and ssh-rsa"),
        (f'command="x y" {RECIPIENTS[1]}', "a text, such as options, is before the key"),
        # One letter is another one; one is missing.
        (RECIPIENTS[0][:20] + ("q" if RECIPIENTS[0][20] == "p" else "p") + RECIPIENTS[0][21:], MISTAKE),
        (RECIPIENTS[0][:-1], MISTAKE),
        (RECIPIENTS[1].replace("YJ me", " me"), MISTAKE),
        (RECIPIENTS[1].replace("-ed25519 ", "-rsa "), MISTAKE),
        (RECIPIENTS[1].replace("YJ me", "YJ= me"), MISTAKE),
        (rsa(2048)[:-40], MISTAKE),
        (rsa(1024), "entry 2 is not a public key: of RSA keys, age takes those of 2048 bits or more"),
        (RECIPIENTS[0], "entry 2 is the same key as entry 1"),
    ],
)
def test_the_message_says_why_a_key_is_refused(entry: str, expected: str) -> None:
    found = are_recipients([RECIPIENTS[0], entry], {})
    assert expected in (found or "")
    assert not entry or entry not in (found or "")


def test_the_comment_does_not_make_another_key() -> None:
    """The run would not warn that there is only one recipient."""
    found = are_recipients([RECIPIENTS[1], RECIPIENTS[1].replace("me@nas", "spare")], {})
    assert "entry 2 is the same key as entry 1" in (found or "")


def test_a_comment_may_mention_a_private_key() -> None:
    assert are_recipients([RECIPIENTS[0], RECIPIENTS[1].replace("me@nas", "for my private key")], {}) is None
    assert "private key" in (are_recipients([RECIPIENTS[1].replace("me@nas", "age-secret-key-1x")], {}) or "")


def test_age_is_copied_with_its_libraries(tmp_path: Path) -> None:
    """The copy runs without the libraries of the image that it came from."""
    script = pod(**SET)["initContainers"][0]["command"][2].replace("$$", "$")
    for name in ("bin", "to"):
        (tmp_path / name).mkdir()
    done = subprocess.run(["sh", "-c", script, "sh", tmp_path / "to"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.strip()
        == subprocess.run(["age", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    )
    key = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    recipient = key.split("public key: ")[1].splitlines()[0]
    command = [str(tmp_path / "to" / "age"), "-r", recipient]
    done_bytes = subprocess.run(command, input=b"x", capture_output=True, check=True)
    assert done_bytes.stdout.startswith(b"age-encryption.org/v1")
    assert (tmp_path / "to" / "age").read_bytes().startswith(b"#!/bin/sh")


def test_an_image_without_age_is_named(tmp_path: Path) -> None:
    script = pod(**SET)["initContainers"][0]["command"][2].replace("$$", "$")
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", tmp_path],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "postgres_backup_tools_image" in done.stderr


DRILLS = {**SET, "postgres_backup_drill_schedule": "@weekly", "postgres_backup_drill_identity_secret": "drill-keys"}


def test_drills_without_an_identity_are_refused() -> None:
    (refusal,) = refusals(**{**DRILLS, "postgres_backup_drill_identity_secret": ""})
    assert refusal.startswith("postgres_backup_drill_identity_secret: expected a Secret with the private key of one of")
    assert refusals(**DRILLS) == []
    (refusal,) = refusals(postgres_backup_drill_identity_secret="drill-keys")  # noqa: S106 - a name
    assert "expected postgres_backup_recipients with it" in refusal


def test_only_the_container_of_the_drill_has_its_identity() -> None:
    made = {(each["kind"], each["metadata"]["name"]): each for each in objects(**DRILLS)}
    drill = made["CronJob", "postgres-backup-drill"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    containers = {each["name"]: each for each in [*drill["initContainers"], *drill["containers"]]}
    assert list(containers) == ["age", "prepare", "drill", "record"]
    mounts = {name: [mount["name"] for mount in each["volumeMounts"]] for name, each in containers.items()}
    assert [name for name, those in mounts.items() if "identity" in those] == ["drill"]
    environment = {entry["name"]: entry.get("value") for entry in containers["drill"]["env"]}
    assert environment["POSTGRES_BACKUP_IDENTITY_FILE"] == "/opt/postgres-backup-identity/identity"
    assert environment["POSTGRES_BACKUP_AGE"] == "/opt/postgres-backup-age/age"
    backup = made["CronJob", "postgres-backup"]
    assert backup["metadata"]["annotations"]["postgres-backup.homelab/drill-identity-secret"] == "drill-keys"
    assert "drill-keys" not in str(backup["spec"])


def test_without_recipients_the_drill_is_as_before() -> None:
    made = [each for each in objects(postgres_backup_drill_schedule="@weekly") if each["kind"] == "CronJob"]
    assert len(made) == 2
    assert "identity" not in str(made) and "postgres-backup-age" not in str(made)
