# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is expected of the variables of the copies: the places, and where they may connect to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from ..units import format_duration, parse_size
from .checks import (
    CRONJOB_NAME_LIMIT,
    DRILL_SUFFIX,
    INT32_MAX,
    LABEL,
    ONE_LINE,
    SUBDOMAIN,
    Variables,
    is_host,
    is_list,
    is_size,
    is_true,
    number,
    seconds,
)
from .copy_places import (
    CLAIM,
    COMMON_OPTIONS,
    KEEP_COUNTS,
    LOCK_MODES,
    NFS,
    OPTIONS,
    RESTIC,
    S3,
    SCHEME_PORTS,
    SFTP,
    is_set,
    joined,
    location_of,
    mounted_job_name,
    options_of,
    policy_of,
    port_of,
    required_keys,
    store_of,
    value_of,
)
from .copy_times import has_time, longest_pause
from .egress import EGRESS_RULES, are_egress_rules

# The options that are texts.
_TEXTS: Set[str] = frozenset({"repository"}).union(*OPTIONS.values()) - {"port", "lock_days"}
_LEAST_BANDWIDTH = 1000
# What is uploaded with them cannot be read before it is restored, which takes hours.
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
_HIDDEN = "(not shown)"

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
_WINDOW = re.compile(r"(([01][0-9]|2[0-3]):[0-5][0-9])-(([01][0-9]|2[0-3]):[0-5][0-9])")
_PATH = re.compile(r"/(?!(.*/)?[.][.](/|\Z))[^\x00-\x1f\x7f]*")
_FOLDER = re.compile(r"(?!(.*/)?[.]{1,2}(/|\Z))[^\x00-\x1f\x7f/]+(/[^\x00-\x1f\x7f/]+)*/?")


def are_places(value: Any, variables: Variables) -> str | None:
    """What is expected of postgres_backup_copies, None if the value is valid."""
    if not is_list(value) or not all(isinstance(place, Mapping) for place in value):
        return "a list of places, such as [{name: nas, kind: nfs, server: 192.168.2.3, path: /volume1/copies}]"
    names = [str(place.get("name") or "") for place in value]
    if len(set(names)) < len(names):
        return "places with different names"
    locations: dict[tuple[str, ...], str] = {}
    for place, name in zip(value, names):
        expected = _expected(place, variables)
        if expected is not None:
            # A name that is not valid may be anything.
            return f"{expected} in the place {name if LABEL.fullmatch(name) else f'number {names.index(name) + 1}'}"
        # Retention of one would delete the copies of the other.
        other = locations.setdefault(location_of(place), name)
        if other != name:
            return f"another folder in the place {name} than in the place {other}"
    return None


def has_copy_image(value: Any, variables: Variables) -> str | None:
    """What is expected of postgres_backup_copy_image, None if the value is valid."""
    if str(value) or not variables["postgres_backup_copies"]:
        return None
    return "an image with Python 3.11 or newer, sh, awk and rclone, since postgres_backup_copies has places"


def is_copy_egress(value: Any, variables: Variables) -> str | None:
    """What is expected of postgres_backup_copy_egress, None if the value is valid.

    Where a rule selects pods, its port is that of the pod, which may differ from that of the service.
    """
    if not are_egress_rules(value):
        return EGRESS_RULES
    places = variables["postgres_backup_copies"]
    if are_places(places, variables) is not None or any("namespace" in rule for rule in value):
        return None
    allowed = {int(rule["port"]) for rule in value}
    missing: dict[int, str] = {}
    for place in places:
        port = port_of(place)
        if port is not None and port not in allowed:
            missing.setdefault(port, str(place["name"]))
    if not missing:
        return None
    ports = " and ".join(f"the port {port} (of the place {name})" for port, name in missing.items())
    example = ", ".join(f"{{cidr: 0.0.0.0/0, port: {port}}}" for port in missing)
    return f"{'rules' if len(missing) > 1 else 'a rule'} with {ports}, such as [{example}] (for IPv6, with ::/0)"


def shown_places(value: Any) -> Any:
    """The value of postgres_backup_copies for messages: without what may be a secret under a name of another option."""
    if not is_list(value):
        return value
    return [_shown(place) if isinstance(place, Mapping) else _HIDDEN for place in value]


def _shown(place: Mapping[str, Any]) -> dict[str, Any]:
    known = COMMON_OPTIONS | frozenset({"repository"}).union(*OPTIONS.values())
    shown = {str(key): item if key in known else _HIDDEN for key, item in place.items()}
    # A user with a password, of a URL or in front of a host, and the signature of a URL.
    for key, separators in (("endpoint", "@?#"), ("host", "@?#"), ("server", "@?#"), ("user", ":")):
        if set(separators) & set(str(shown.get(key, ""))):
            shown[key] = _HIDDEN
    # The secret itself in place of the name of a Secret.
    if is_set(shown, "secret") and not SUBDOMAIN.fullmatch(str(shown["secret"])):
        shown["secret"] = _HIDDEN
    return shown


def _expected(place: Mapping[str, Any], variables: Variables) -> str | None:
    kind, store = str(place.get("kind")), store_of(place)
    if kind not in (*OPTIONS, RESTIC):
        return f"a kind, one of {', '.join((*OPTIONS, RESTIC))},"
    if not LABEL.fullmatch(str(place.get("name") or "")):
        return "a name of lower-case letters, digits and '-'"
    if store not in OPTIONS:
        return f"repository, the kind of the place where it lies, one of {', '.join(OPTIONS)},"
    others = {str(key) for key in place if is_set(place, key)} - options_of(kind, store) - COMMON_OPTIONS
    if others:
        return (
            f"no {', '.join(sorted(others))}, which the kind {kind} does not have (secrets are in a Secret, whose name "
            "is `secret`),"
        )
    for key, item in place.items():
        if isinstance(item, (Mapping, list, tuple)) or (key in _TEXTS and isinstance(item, bool)):
            return f"{key}, a text or a number,"
    check = {S3: _expected_of_s3, SFTP: _expected_of_sftp, NFS: _expected_of_nfs, CLAIM: _expected_of_claim}[store]
    checks = (*_expected_of_restic(place, variables), *check(place, variables), *_expected_of_all(place, variables))
    return next((text for text in checks if text), None)


def _expected_of_restic(place: Mapping[str, Any], variables: Variables) -> Iterator[str | None]:
    if place["kind"] != RESTIC:
        return
    keys = " and ".join(" or ".join(keys) for keys in required_keys(place))
    yield _secret(place, f"the key{'s' if ' and ' in keys else ''} {keys}")
    if variables["postgres_backup_recipients"]:
        yield (
            "no kind restic together with postgres_backup_recipients, since it stores equal parts once, and encrypted "
            "backups have none (restic encrypts its repository itself),"
        )
    if not is_true(value_of(place, "read_back", True)):
        yield "no read_back: false, since the hashes of the store are not those of the backup,"


def _expected_of_s3(place: Mapping[str, Any], _variables: Variables) -> Iterator[str | None]:
    yield _secret(place, "the keys access_key_id and secret_access_key")
    if not _is_endpoint(str(place.get("endpoint") or "")):
        yield "endpoint, a URL such as https://s3.example.com, without a user and a password,"
    if not _BUCKET.fullmatch(str(place.get("bucket") or "")):
        yield "bucket, the name of a bucket of 3 to 63 letters, digits, '-' and '.',"
    yield _folder(place)
    for key in ("region", "provider", "storage_class"):
        if is_set(place, key) and not _WORD.fullmatch(str(place[key])):
            yield f"a {key} of letters, digits, '-', '_' and '.'"
    if str(place.get("storage_class") or "").upper() in _ARCHIVES:
        yield "a storage_class whose objects can be read at once, such as GLACIER_IR, since what is there is read,"
    if is_set(place, "lock_days") and number(0, 36500)(place["lock_days"], {}) is not None:
        yield "lock_days, a number from 0 to 36500,"
    if is_set(place, "lock_mode") and place["lock_mode"] not in LOCK_MODES:
        yield f"a lock_mode, one of {', '.join(LOCK_MODES)},"
    if is_set(place, "lock_mode") and not is_set(place, "lock_days"):
        yield "lock_days with lock_mode, since nothing is locked without them,"


def _expected_of_sftp(place: Mapping[str, Any], _variables: Variables) -> Iterator[str | None]:
    yield _secret(place, "the key known_hosts, and private_key or password")
    if not is_host(place.get("host") or ""):
        yield "host, the name or the address of a server (its port is `port`),"
    if is_set(place, "port") and number(1, 65535)(place["port"], {}) is not None:
        yield "a port from 1 to 65535"
    if not _USER.fullmatch(str(place.get("user") or "")):
        yield "user, the name of a user of the server,"
    # From the user's home, or from the root.
    folder = str(value_of(place, "folder", "x"))
    if f"{folder}/".startswith("~/") or not (_FOLDER.fullmatch(folder) or _PATH.fullmatch(folder)):
        yield "a folder in one line, without .. and ~, such as postgres (in the user's home) or /srv/postgres,"


def _expected_of_nfs(place: Mapping[str, Any], variables: Variables) -> Iterator[str | None]:
    yield _own_job(place, variables)
    if not is_host(place.get("server") or ""):
        yield "server, the name or the address of an NFS server, without a port,"
    if not _PATH.fullmatch(str(place.get("path") or "")):
        yield "path, the path of a share from its root, such as /volume1/copies,"
    yield _folder(place)
    volume = variables["postgres_backup_nfs"]
    if isinstance(volume, Mapping) and volume:
        server, path = str(volume.get("server")).lower().strip("[]"), joined(volume.get("path"))
        _store, place_server, place_path = location_of(place)
        if place_server == server and f"{place_path}/".startswith(f"{path}/"):
            yield "another share than that of the backup volume (postgres_backup_nfs)"


def _expected_of_claim(place: Mapping[str, Any], variables: Variables) -> Iterator[str | None]:
    yield _own_job(place, variables)
    name = str(place.get("claim_name") or "")
    if not SUBDOMAIN.fullmatch(name):
        yield "claim_name, the name of a PersistentVolumeClaim,"
    if name == str(variables["postgres_backup_claim_name"]):
        yield "another claim_name than that of the backup volume"
    yield _folder(place)


def _expected_of_all(place: Mapping[str, Any], variables: Variables) -> Iterator[str | None]:
    if is_set(place, "bandwidth") and not _is_bandwidth(place["bandwidth"]):
        yield "a bandwidth in bytes a second, such as 10Mi, and at least 1k,"
    if is_set(place, "window") and not _is_window(str(place["window"])):
        yield "a window such as 22:00-06:00, with two different times from 00:00 to 23:59,"
    for key in KEEP_COUNTS:
        if place.get(key) is not None and number(0, 100000)(place[key], {}) is not None:
            yield f"{key}, a number from 0 to 100000,"
    if is_set(place, "keep_within") and seconds(place["keep_within"]) is None:
        yield "keep_within, a duration such as 14d,"
    if is_set(place, "max_deletions") and number(1, 100000)(place["max_deletions"], {}) is not None:
        yield "max_deletions, a number from 1 to 100000,"
    for key in ("read_back", "offsite"):
        if is_set(place, key) and str(place[key]).lower() not in {"true", "false", "yes", "no"}:
            yield f"{key}, true or false,"
    if is_set(place, "window") and not _has_time(str(place["window"]), variables):
        yield "a window in which postgres_backup_copy_schedule has a time, since nothing is copied at other times,"
    if is_set(place, "max_delay"):
        yield _expected_delay(place, variables)
    if not _keeps_something(place, variables):
        yield "at least one keep_* above 0, or keep_within,"


def _expected_delay(place: Mapping[str, Any], variables: Variables) -> str | None:
    """What is expected of max_delay. Before a Job could have copied a backup, nothing is wrong."""
    delay, window = seconds(place["max_delay"]), str(value_of(place, "window", ""))
    if delay is None or delay > INT32_MAX:
        return "max_delay, a duration such as 24h,"
    pause = longest_pause(str(variables["postgres_backup_copy_schedule"]), window if _is_window(window) else None)
    if timedelta(seconds=delay) >= pause:
        return None
    return (
        f"a max_delay of at least {format_duration(pause)}, the longest time between two Jobs of "
        f"postgres_backup_copy_schedule{' in its window' if window else ''},"
    )


def _has_time(window: str, variables: Variables) -> bool:
    """Whether the schedule of the copies has a time in the window; also where one of them is refused by itself."""
    return not _is_window(window) or has_time(str(variables["postgres_backup_copy_schedule"]), window)


def _keeps_something(place: Mapping[str, Any], variables: Variables) -> bool:
    try:
        policy = policy_of(place, variables)
    except ValueError:
        return True  # refused for that
    return bool(policy["keep_within"]) or any(policy[key] > 0 for key in KEEP_COUNTS)


def _own_job(place: Mapping[str, Any], variables: Variables) -> str | None:
    """What is expected of the name of a mounted place, which is a part of the name of its CronJob."""
    job = mounted_job_name(place, variables)
    if len(job) > CRONJOB_NAME_LIMIT:
        return (
            f"a name that is at least {len(job) - CRONJOB_NAME_LIMIT} characters shorter, or a shorter "
            f"postgres_backup_name, since its CronJob is {job}, which may have {CRONJOB_NAME_LIMIT} characters,"
        )
    if job.endswith(DRILL_SUFFIX):
        return f"a name that does not end in drill, as that of a CronJob of drills does, since its CronJob is {job},"
    return None


def _secret(place: Mapping[str, Any], keys: str) -> str | None:
    return None if SUBDOMAIN.fullmatch(str(place.get("secret") or "")) else f"secret, the name of a Secret with {keys},"


def _folder(place: Mapping[str, Any]) -> str | None:
    if _FOLDER.fullmatch(str(value_of(place, "folder", "x"))):
        return None
    return "a folder such as postgres/home, without . and .. and empty parts, and not from the root,"


def _is_endpoint(text: str) -> bool:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    return bool(
        ONE_LINE.fullmatch(text)
        and not set(text) & set(" \"'\\<>")
        # rclone takes HTTPS:// for the name of a host.
        and text.startswith(f"{url.scheme}://")
        and url.scheme in SCHEME_PORTS
        and is_host(url.hostname or "")
        and "@" not in url.netloc
        and not (url.query or url.fragment)
        and port != 0
    )


def _is_bandwidth(value: Any) -> bool:
    """Whether it is a size. Less than 1000 bytes a second were meant as another unit."""
    return is_size(value) and parse_size(value) >= _LEAST_BANDWIDTH


def _is_window(text: str) -> bool:
    match = _WINDOW.fullmatch(text)
    return match is not None and match[1] != match[3]
