# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the role's variables must be beyond their types, which meta/argument_specs.yml checks."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .._jobs.postgres_server import service_behind
from .checks import (
    CRONJOB_NAME_LIMIT,
    DRILL_SUFFIX,
    INT32_MAX,
    KEY,
    LABEL,
    ONE_LINE,
    SUBDOMAIN,
    Check,
    Variables,
    duration,
    holds,
    id_or_none,
    is_host,
    is_list,
    is_quantity,
    is_size,
    is_true,
    matches,
    number,
    seconds,
    strings,
    whole_number,
)
from .copy_options import are_places, has_copy_image, is_copy_egress, shown_places
from .copy_places import COPY_SUFFIX
from .drill_options import are_texts_of_databases
from .dump_selection import (
    are_arguments_of_pg_dumpall,
    are_databases,
    are_dump_arguments,
    are_tables,
    leave_a_database,
    unsupported_messages,
)
from .recipients import are_recipients, can_decrypt, has_age_image
from .schedules import is_cut_schedule, is_schedule
from .watch_options import are_channels, has_image, is_egress

# A NetworkPolicy selects the pods by these labels.
RESERVED_LABELS = ("app.kubernetes.io/instance", "app.kubernetes.io/component")
WATCH_SUFFIX = "-watch"
DEFAULT_CA_KEY = "ca.crt"
# The options of postgres_backup_ssl_cert that name keys of its Secret, with the names of Secrets of the type tls.
DEFAULT_CERTIFICATE_KEYS = {"cert_key": "tls.crt", "key_key": "tls.key"}
AUTO = "auto"
_KEEP_RULES = ("last", "daily", "weekly", "monthly", "yearly")

_NAME = re.compile(rf"(?=.{{1,{CRONJOB_NAME_LIMIT}}}\Z)(?!.*{DRILL_SUFFIX}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_TIME_ZONE = re.compile(r"(?!(?i:local)\Z)[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
# The name of a server, alone or after its kind.
_SERVER = re.compile(r"(?=.{1,253}\Z)([A-Za-z]+/)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_FILE_MODE = re.compile(r"0[67][0-7][0-7]")
_IMAGE = re.compile(r"[^ \t\r\n]*")
_USER_ID = re.compile(r"[1-9][0-9]{0,9}")
_GROUP_ID = re.compile(r"[0-9]{1,10}")
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*")
_SETTING_VALUE = re.compile(r"[^\x00-\x1f\x7f]*")
_NFS_PATH = re.compile(r"/(?!(.*/)?[.][.](/|\Z))[^\x00-\x1f\x7f]*")

_LETTERS = "lower-case letters, digits and '-'"
_DOTTED_LETTERS = f"{_LETTERS} and '.'"


@dataclass(frozen=True)
class Rule:
    """A rule for one variable, named in full."""

    name: str
    check: Check


def refused_variables(variables: Variables) -> list[str]:
    """A message for each rule that a variable of the role violates, with its name, the expected value and its value.

    `variables` holds the value of every variable of the role (defaults/main.yml) by its full name.
    """
    messages = []
    for rule in RULES:
        value = variables[rule.name]
        expected = rule.check(value, variables)
        if expected is not None:
            messages.append(_message(rule.name, value, expected))
    return messages or unsupported_messages(variables, str(variables["postgres_backup_image"]))


def _message(name: str, value: object, expected: str) -> str:
    shown = shown_places(value) if name == "postgres_backup_copies" else value
    found = "another value" if _may_be_a_key(name, value) else json.dumps(_plain(shown), default=str)
    message = f"{name}: expected {expected}; found {found}"
    if name.endswith("schedule") and is_cut_schedule(str(value)):
        message += (
            ", which appears to be cut at a space: with -e, quote it inside the shell's quotes too: "
            f"""-e '{name}="0 2 * * *"'"""
        )
    return message


def _may_be_a_key(name: str, value: object) -> bool:
    """Whether it may be a private key, in place of a public one or of the name of a Secret."""
    is_name = name == "postgres_backup_drill_identity_secret" and SUBDOMAIN.fullmatch(str(value))
    return name in ("postgres_backup_recipients", "postgres_backup_drill_identity_secret") and not is_name


def _plain(value: Any) -> Any:
    """A copy in plain dicts and lists, because json's C encoder bypasses the methods of Ansible's lazy containers."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if is_list(value):
        return [_plain(item) for item in value]
    return value


# Checks of individual variables


def _keeps_something(_value: object, variables: Variables) -> str | None:
    counts = [whole_number(variables[f"postgres_backup_keep_{rule}"]) or 0 for rule in _KEEP_RULES]
    if max(counts) > 0 or str(variables["postgres_backup_keep_within"]):
        return None
    return (
        "at least one retention rule: one of postgres_backup_keep_last, _daily, _weekly, _monthly, _yearly above 0, "
        "or postgres_backup_keep_within"
    )


def _is_number_or_empty(value: object, variables: Variables) -> str | None:
    expected = None if str(value) == "" else number(1, 100000)(value, variables)
    return f"{expected}, or an empty string" if expected else None


def _is_date_or_empty(value: object) -> bool:
    if str(value) == "":
        return True
    try:
        return datetime.date.fromisoformat(str(value)).isoformat() == str(value)
    except ValueError:
        return False


def _is_ca(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    if not value:
        return True
    if ("config_map" in value) == ("secret" in value):
        return False
    name = value["config_map"] if "config_map" in value else value["secret"]
    return bool(SUBDOMAIN.fullmatch(str(name)) and KEY.fullmatch(str(value.get("key", DEFAULT_CA_KEY))))


def _is_certificate(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    keys = [str(value.get(option, default)) for option, default in DEFAULT_CERTIFICATE_KEYS.items()]
    has_names = SUBDOMAIN.fullmatch(str(value.get("secret", ""))) and all(KEY.fullmatch(key) for key in keys)
    return not value or bool(has_names and len(set(keys)) == len(keys))


def _has_tls_for_certificate(value: object, variables: Variables) -> str | None:
    if not value or str(variables["postgres_backup_sslmode"]) != "disable":
        return None
    return "none, or another postgres_backup_sslmode than disable: a client certificate is only sent with TLS"


def _is_secret_or_certificate(value: object, variables: Variables) -> str | None:
    certificate = variables["postgres_backup_ssl_cert"]
    if SUBDOMAIN.fullmatch(str(value)) or (str(value) == "" and certificate and _is_certificate(certificate)):
        return None
    return f"the name of a Secret ({_DOTTED_LETTERS}), or an empty string with postgres_backup_ssl_cert"


def _has_password_for_restores(value: object, variables: Variables) -> str | None:
    user, key = (str(variables[f"postgres_backup_restore_{name}"]) for name in ("user", "secret_key"))
    if str(value) or str(variables["postgres_backup_secret_name"]) or not user + key:
        return None
    return "a Secret with the password of postgres_backup_restore_user, since postgres_backup_secret_name is empty"


def _has_ca_to_verify(value: object, variables: Variables) -> str | None:
    if not str(value).startswith("verify-") or variables["postgres_backup_ssl_ca"]:
        return None
    return "another mode, or a postgres_backup_ssl_ca to verify the server's certificate"


def _is_drill_schedule(value: object, variables: Variables) -> str | None:
    text = str(value)
    longest_name = CRONJOB_NAME_LIMIT - len(DRILL_SUFFIX)
    if not text or (is_schedule(text) and len(str(variables["postgres_backup_name"])) <= longest_name):
        return None
    return (
        'five cron fields that match existing dates, such as "0 4 * * 0", or an empty string; '
        f"with a postgres_backup_name of at most {longest_name} characters"
    )


def _is_schedule_of(suffix: str, is_wanted: Callable[[Variables], bool]) -> Check:
    """A check of the schedule of the CronJob whose name ends in `suffix`, and that exists where it is wanted."""
    longest = CRONJOB_NAME_LIMIT - len(suffix)
    expected = f'five cron fields, such as "*/30 * * * *", with a postgres_backup_name of at most {longest} characters'

    def check(value: object, variables: Variables) -> str | None:
        is_too_long = is_wanted(variables) and len(str(variables["postgres_backup_name"])) > longest
        return None if is_schedule(str(value)) and not is_too_long else expected

    return check


def _are_settings(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        _SETTING.fullmatch(str(name))
        and isinstance(setting, (str, int, float))
        and _SETTING_VALUE.fullmatch(str(setting))
        for name, setting in value.items()
    )


def _are_alerts(value: object, variables: Variables) -> str | None:
    if value == AUTO:
        return None
    if str(value).lower() not in {"true", "false", "yes", "no"}:
        return f"{AUTO}, true or false"
    return _has_metrics(value, variables)


def _has_metrics(value: object, variables: Variables) -> str | None:
    if not is_true(value) or is_true(variables["postgres_backup_metrics"]):
        return None
    return "false, or postgres_backup_metrics: true, which it needs"


def _is_nfs(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    return not value or bool(
        is_host(value.get("server", ""))
        and _NFS_PATH.fullmatch(str(value.get("path", "")))
        and not isinstance(value.get("mount_options", []), str)
    )


def _are_server_pods(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    labels, port = value.get("labels", {}), value.get("port", 1)
    return (
        isinstance(labels, Mapping)
        and all(isinstance(text, str) for text in labels.values())
        and number(1, 65535)(port, {}) is None
    )


def _has_image_or_service(value: object, variables: Variables) -> str | None:
    host, namespace = str(variables["postgres_backup_host"]), str(variables["postgres_backup_namespace"])
    if str(value) or service_behind(host, namespace) is not None:
        return None
    return (
        "an image with pg_dumpall of the server's major version, since postgres_backup_host is not a service of this "
        "cluster"
    )


def _or_auto(check: Check) -> Check:
    """A check that also accepts the text `auto`: the value is read from the server's pod."""
    return lambda value, variables: None if value == AUTO else check(value, variables)


def _are_resources(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        kind in {"requests", "limits"}
        and isinstance(amounts, Mapping)
        and all(is_quantity(amount) for amount in amounts.values())
        for kind, amounts in value.items()
    )


# The rules, in the order of defaults/main.yml


_is_duration_or_empty = holds(
    lambda value: str(value) == "" or seconds(value) is not None, "a duration, such as 36h or 14d, or an empty string"
)


def _rules() -> tuple[Rule, ...]:
    schedule = (
        'five cron fields that match existing dates, such as "0 2 * * *" (Sunday is 0), '
        "or one of @hourly, @daily, @weekly, @monthly, @yearly"
    )
    checks: list[tuple[str, Check]] = [
        # Names and schedule
        (
            "name",
            matches(
                _NAME,
                f"a DNS label ({_LETTERS}) of at most {CRONJOB_NAME_LIMIT} characters, as a CronJob's name must be, "
                f"that does not end in {DRILL_SUFFIX}",
            ),
        ),
        ("namespace", matches(LABEL, f"a namespace, a DNS label ({_LETTERS}) of at most 63 characters")),
        ("schedule", holds(lambda value: is_schedule(str(value)), schedule)),
        ("time_zone", matches(_TIME_ZONE, "the name of a time zone, such as Etc/UTC or Europe/Berlin")),
        ("starting_deadline", duration(60, INT32_MAX, "a duration of at least 1m, such as 10h")),
        ("time_limit", duration(1, 82800, "a duration of at most 23h, such as 6h")),
        ("lock_timeout", duration(1, 82800, "a duration of at most 23h, such as 15m")),
        ("backoff_limit", number(0, 100)),
        ("successful_jobs_history", number(0, 1000)),
        ("failed_jobs_history", number(0, 1000)),
        ("job_ttl", duration(1, INT32_MAX, "a duration, such as 1d")),
        # Server
        ("server", matches(_SERVER, "auto, none, or the name of a server, such as shop or CloudNativePG/shop")),
        ("host", holds(is_host, "a host name or an address, without a port")),
        ("port", number(1, 65535)),
        ("user", matches(ONE_LINE, "the name of a PostgreSQL role, in one line")),
        ("database", matches(ONE_LINE, "the name of a database, in one line")),
        ("secret_name", _is_secret_or_certificate),
        ("secret_key", matches(KEY, "a key of a Secret (letters, digits, '-', '_' and '.')")),
        ("restore_user", matches(ONE_LINE, "the name of a PostgreSQL role, or an empty string", or_empty=True)),
        (
            "restore_secret_name",
            matches(SUBDOMAIN, f"the name of a Secret ({_DOTTED_LETTERS}), or an empty string", or_empty=True),
        ),
        ("restore_secret_name", _has_password_for_restores),
        (
            "restore_secret_key",
            matches(KEY, "a key of a Secret (letters, digits, '-', '_' and '.'), or an empty string", or_empty=True),
        ),
        ("sslmode", _has_ca_to_verify),
        ("ssl_ca", holds(_is_ca, "a mapping with either config_map or secret, and key if that is not ca.crt")),
        (
            "ssl_cert",
            holds(
                _is_certificate,
                "a mapping with secret, and cert_key and key_key if those are not tls.crt and tls.key",
            ),
        ),
        ("ssl_cert", _has_tls_for_certificate),
        # What to dump
        ("databases", are_databases),
        ("exclude_databases", leave_a_database),
        ("exclude_tables", are_tables("public.log")),
        ("exclude_table_data", are_tables("public.session")),
        ("dump_args", are_dump_arguments),
        ("extra_args", are_arguments_of_pg_dumpall),
        # Backups and their retention
        ("recipients", are_recipients),
        (
            "key_rehearsal",
            holds(lambda value: str(value) == "0" or bool(seconds(value)), "a duration such as 90d, or 0"),
        ),
        ("file_mode", matches(_FILE_MODE, 'a quoted octal mode that lets the owner read and write, such as "0640"')),
        *((f"keep_{rule}", number(0, 100000)) for rule in _KEEP_RULES),
        ("keep_last", _keeps_something),
        ("keep_within", _is_duration_or_empty),
        ("max_deletions", _is_number_or_empty),
        (
            "allow_deletions",
            holds(_is_date_or_empty, 'a date (UTC), as a quoted string such as "2026-12-31", or an empty string'),
        ),
        # Restore drills
        ("drill_schedule", _is_drill_schedule),
        ("drill_size_limit", holds(is_size, "a size, such as 10Gi")),
        (
            "drill_settings",
            holds(
                _are_settings,
                "a mapping of PostgreSQL settings to one-line values, such as {shared_preload_libraries: timescaledb}",
            ),
        ),
        ("drill_image", matches(_IMAGE, "the name of an image, without whitespace")),
        ("drill_search_path", are_texts_of_databases("{netbox: public}", in_one_line=True)),
        ("drill_before_sql", are_texts_of_databases("{shop: SELECT prepare_restore()}")),
        ("drill_after_sql", are_texts_of_databases("{shop: SELECT finish_restore()}")),
        (
            "drill_identity_secret",
            matches(SUBDOMAIN, f"the name of a Secret ({_DOTTED_LETTERS}), or an empty string", or_empty=True),
        ),
        ("drill_identity_secret", can_decrypt),
        # Monitoring
        ("alerts", _are_alerts),
        ("alert_max_age", _is_duration_or_empty),
        ("alert_labels", strings("a mapping of labels to quoted strings")),
        ("dashboard", _has_metrics),
        ("dashboard_labels", strings("a mapping of labels to quoted strings")),
        # Watch
        ("tools_image", matches(_IMAGE, "the name of an image, without whitespace")),
        ("tools_image", has_age_image),
        ("watch_image", matches(_IMAGE, "the name of an image, without whitespace")),
        ("watch_image", has_image),
        ("watch_schedule", _is_schedule_of(WATCH_SUFFIX, lambda them: is_true(them["postgres_backup_watch"]))),
        ("watch_max_age", duration(1, INT32_MAX, "a duration, such as 26h")),
        (
            "watch_digest",
            holds(
                lambda value: str(value) == "" or seconds(value) is not None,
                "a duration, such as 7d, or an empty string",
            ),
        ),
        ("watch_channels", are_channels),
        ("watch_egress", is_egress),
        # Copies
        ("copies", are_places),
        ("copy_schedule", _is_schedule_of(COPY_SUFFIX, lambda them: bool(them["postgres_backup_copies"]))),
        ("copy_image", matches(_IMAGE, "the name of an image, without whitespace")),
        ("copy_image", has_copy_image),
        ("copy_egress", is_copy_egress),
        # Volume
        ("claim_name", matches(SUBDOMAIN, f"the name of a PersistentVolumeClaim ({_DOTTED_LETTERS})")),
        (
            "storage_class",
            matches(SUBDOMAIN, f"the name of a StorageClass ({_DOTTED_LETTERS}), or an empty string", or_empty=True),
        ),
        ("storage_size", holds(is_size, "a size, such as 10Gi")),
        (
            "volume_name",
            matches(
                SUBDOMAIN, f"the name of a PersistentVolume ({_DOTTED_LETTERS}), or an empty string", or_empty=True
            ),
        ),
        (
            "nfs",
            holds(
                _is_nfs,
                "a mapping with server (a name or an address) and path (from the root, such as /volume1/backups), "
                "and mount_options as a list",
            ),
        ),
        ("bind_timeout", duration(1, 86400, "a duration of at most 1d, such as 2m")),
        # Pods
        ("image", matches(_IMAGE, "the name of an image, without whitespace")),
        ("image", _has_image_or_service),
        (
            "image_pull_secrets",
            holds(
                lambda value: is_list(value) and all(SUBDOMAIN.fullmatch(str(name)) for name in value),
                "a list of names of Secrets",
            ),
        ),
        ("run_as_user", id_or_none(_USER_ID, "a user id above 0, or null if the platform assigns one")),
        ("fs_group", id_or_none(_GROUP_ID, "a group id, or null")),
        (
            "resources",
            holds(
                _are_resources,
                "requests and limits with quantities, "
                "such as {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 512Mi}}",
            ),
        ),
        ("node_selector", _or_auto(strings("a mapping of labels to quoted strings, or auto"))),
        (
            "tolerations",
            _or_auto(
                holds(
                    lambda value: is_list(value) and all(isinstance(item, Mapping) for item in value),
                    "a list of tolerations, as in a manifest, or auto",
                )
            ),
        ),
        ("affinity", holds(lambda value: isinstance(value, Mapping), "an affinity, as in a manifest")),
        (
            "pod_labels",
            strings(f"a mapping of labels to quoted strings, without {' and '.join(RESERVED_LABELS)}", RESERVED_LABELS),
        ),
        ("pod_annotations", strings("a mapping of annotations to quoted strings")),
        # Network
        (
            "server_pods",
            holds(
                _are_server_pods,
                "a mapping with labels (quoted strings) and port of the server's pods, "
                "such as {labels: {app: postgres}, port: 5432}",
            ),
        ),
    ]
    return tuple(Rule(f"postgres_backup_{name}", check) for name, check in checks)


RULES = _rules()
