# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What to do about an error that a new major version of PostgreSQL reports when it restores an older server's dump.

The messages are those of PostgreSQL 13 to 19 in English; tests/script/drill/test_upgrade.py compares them with servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SEVERITY = re.compile(r"^(?:psql:\S+ )?(?:ERROR|FATAL|PANIC): +(?:[0-9A-Z]{5}: )?")
_NEW_DUMP = (
    "Or make the backup with the programs of the new version (postgres_backup_image), or with --quote-all-identifiers "
    "in postgres_backup_extra_args: then the dump quotes the name."
)


def without_severity(message: str) -> str:
    """The message without `ERROR: ` and the SQLSTATE that may follow."""
    return _SEVERITY.sub("", message)


@dataclass(frozen=True)
class Incompatibility:
    """An error and its remedy: `message` is a pattern that it begins with.

    `since` is the first major version that reports it, None if the version does not matter; `remedy` may have the
    groups of `message` in it, and `target`, the new version. An error that `names_cause` is never a consequence of
    another one.
    """

    since: int | None
    sqlstates: str
    message: str
    remedy: str
    names_cause: bool = True

    def remedy_for(self, sqlstate: str, message: str, source: int | None, target: int | None) -> str | None:
        """The remedy if the error is this one; None otherwise, or if the server of the dump had it already."""
        if sqlstate not in self.sqlstates.split():
            return None
        if self.since is not None and ((source or 0) >= self.since or (target or self.since) < self.since):
            return None
        match = re.match(self.message, without_severity(message))
        if match is None:
            return None
        return self.remedy.format(*match.groups(), target=target or "in the image")


# The first match counts.
INCOMPATIBILITIES = (
    # Extensions
    Incompatibility(
        17,
        "0A000 58P01",
        r'(?:extension "adminpack" is not available|could not open extension control file ".*/adminpack\.control")',
        "PostgreSQL 17 removed adminpack, which only old versions of pgAdmin used: DROP EXTENSION adminpack.",
    ),
    Incompatibility(
        15,
        "0A000 58P01",
        r'(?:extension "plpython2?u" is not available|could not open extension control file ".*/plpython2?u\.control")',
        "PostgreSQL 15 removed Python 2: create the functions again in plpython3u, and drop the old language.",
    ),
    Incompatibility(
        None,
        "0A000 58P01",
        r'(?:extension "([^"]*)" is not available|could not open extension control file ".*/([^/"]*)\.control")',
        "Use an image that has the extension, or drop it in the live database if nothing uses it (DROP EXTENSION).",
    ),
    # Settings of databases and roles
    Incompatibility(
        19,
        "0A000",
        r"non-standard string literals are not supported",
        "PostgreSQL 19 has only standard_conforming_strings = on: reset the setting (ALTER DATABASE or ALTER ROLE ... "
        "RESET standard_conforming_strings), write backslash escapes in the form E'...', and make a new backup.",
    ),
    Incompatibility(
        None,
        "42704",
        r'unrecognized configuration parameter "([^"]*)"',
        "PostgreSQL {target} does not have this setting: reset it in the live server (ALTER DATABASE or ALTER ROLE ... "
        'RESET "{0}"). If it is one of an extension, the image must load its library.',
        names_cause=False,
    ),
    Incompatibility(
        14,
        "22023",
        r'invalid value for parameter "password_encryption"',
        "Since PostgreSQL 14 the value is a method: in the live server, SET password_encryption TO 'scram-sha-256' (or "
        "'md5', for clients that cannot do better) with ALTER ROLE or ALTER DATABASE, or RESET it.",
    ),
    Incompatibility(
        None,
        "22023",
        r'(?:invalid value for )?parameter "?([A-Za-z0-9_.]+)',
        "PostgreSQL {target} does not accept the value of the setting {0}: change or reset it in the live server "
        "(ALTER DATABASE or ALTER ROLE).",
    ),
    # Roles and names
    Incompatibility(
        None,
        "42939",
        r'role name "([^"]*)" is reserved',
        'Names that begin with pg_ are reserved: ALTER ROLE "{0}" RENAME TO another name in the live server.',
    ),
    Incompatibility(
        None,
        "42939",
        r'unacceptable (schema|tablespace) name "([^"]*)"',
        'Names that begin with pg_ are reserved: rename the {0} "{1}" in the live server.',
    ),
    Incompatibility(
        19,
        "22023",
        r"(role|database|tablespace) name ",
        "PostgreSQL 19 does not accept line breaks in the name of a {0}: ALTER ... RENAME TO another name in the live "
        "server.",
    ),
    Incompatibility(
        16,
        "42501",
        r'permission denied to grant (?:privileges|role) (?:as role )?"([^"]*)"',
        "Since PostgreSQL 16, who grants a role must have its ADMIN option. In the live server, give it to "
        '"{0}" (GRANT ... TO "{0}" WITH ADMIN OPTION), or revoke the membership and grant it as a superuser.',
    ),
    Incompatibility(
        16,
        "42601",
        r'syntax error at or near "system_user"',
        "system_user is a reserved word since PostgreSQL 16: rename the column or function. " + _NEW_DUMP,
    ),
    # Operators
    Incompatibility(
        14,
        "42P13 42601",
        r"operator right argument type must be specified|postfix operators are not supported",
        "PostgreSQL 14 removed postfix operators: drop the operator (DROP OPERATOR), and call its function instead.",
    ),
    Incompatibility(
        14,
        "42601",
        r'syntax error at or near "\)"',
        "PostgreSQL 14 removed postfix operators such as the factorial !: use the function, such as factorial(n).",
    ),
    Incompatibility(
        14,
        "42883",
        r"operator does not exist: !! ",
        "PostgreSQL 14 removed the operators ! and !!: use factorial(n).",
    ),
    Incompatibility(
        14,
        "42883",
        r"operator does not exist: (\S+) (@|~) (\S+)",
        "PostgreSQL 14 removed the operators @ and ~ for containment: use <@ and @>.",
    ),
    # Functions and types
    Incompatibility(
        14,
        "42883",
        r"function (?:pg_catalog\.)?(array_append|array_prepend|array_cat|array_position|array_positions|array_remove"
        r"|array_replace|width_bucket)\(any(?:array|element)",
        "Since PostgreSQL 14 the arguments of {0} are anycompatiblearray and anycompatible: create the aggregate or "
        "operator again with these types (for servers before 14, drop it, and create it after the upgrade).",
    ),
    Incompatibility(
        15,
        "42883",
        r"function (?:pg_catalog\.)?(pg_is_in_backup|pg_backup_start_time)\(\)",
        "PostgreSQL 15 removed exclusive backups and {0}(): drop what uses it.",
    ),
    Incompatibility(
        15,
        "42883",
        r"function (?:pg_catalog\.)?pg_(start|stop)_backup\(",
        "PostgreSQL 15 renamed the function to pg_backup_{0}: change what uses it.",
    ),
    Incompatibility(
        12,
        "42704",
        r'type "(?:pg_catalog\.)?(abstime|reltime|tinterval)" does not exist',
        "PostgreSQL 12 removed the type {0}: change the column (ALTER TABLE ... ALTER COLUMN ... TYPE timestamptz or "
        "interval).",
    ),
    Incompatibility(
        12,
        "42601 42704 22023 0A000",
        r'syntax error at or near "OIDS"|tables declared WITH OIDS are not supported'
        r'|parameter "default_with_oids"|unrecognized configuration parameter "default_with_oids"',
        "PostgreSQL 12 removed tables WITH OIDS: ALTER TABLE ... SET WITHOUT OIDS in the live database.",
    ),
    Incompatibility(
        None,
        "42703",
        r"column (pg_\w+)\.(\w+) does not exist",
        "PostgreSQL {target} has no column {1} in {0}: drop the view or function, or create it again without the "
        "column. Monitoring tools create such views again.",
    ),
    Incompatibility(
        None,
        "42P01",
        r'relation "(pg_catalog\.pg_\w+|pg_stat\w+)" does not exist',
        "PostgreSQL {target} has no {0}: drop what uses it, or create it again without.",
    ),
    # Tables
    Incompatibility(
        18,
        "0A000",
        r"partitioned tables cannot be unlogged",
        "Since PostgreSQL 18 only partitions can be UNLOGGED: create the partitioned table again without it, and "
        "attach the partitions.",
    ),
    # Databases
    Incompatibility(
        19,
        "42704 22023 42601",
        r"(?:invalid encoding name|MULE_INTERNAL)",
        "PostgreSQL 19 removed the encoding MULE_INTERNAL: convert the database to UTF8 (pg_dump --encoding=UTF8).",
    ),
    Incompatibility(
        None,
        "22023 42704 58P01",
        r"(?:invalid|unrecognized|could not create) (?:LC_\w+|\w+)? ?locale|locale .* is not",
        "Use an image that has the locale, or generate it there. Another locale changes the order of text.",
        names_cause=False,
    ),
    Incompatibility(
        None,
        "42601",
        r"syntax error at or near",
        "If the object has a name that has become a reserved word, such as that of a column: rename it. " + _NEW_DUMP,
        names_cause=False,
    ),
)


def remedy_of(
    sqlstate: str | None, message: str, source: int | None, target: int | None, *, only_causes: bool = False
) -> str | None:
    """The remedy for an error of an upgrade from one major version to another; None if it is not a known one."""
    return next(_remedies(sqlstate or "", message, source, target, only_causes), None)


def _remedies(sqlstate: str, message: str, source: int | None, target: int | None, only_causes: bool) -> Iterator[str]:
    for each in INCOMPATIBILITIES:
        remedy = each.remedy_for(sqlstate, message, source, target)
        if remedy is not None and (each.names_cause or not only_causes):
            yield remedy


@dataclass(frozen=True)
class RemovedFunction:
    """A function that PostgreSQL does not have any more since the major version `since`."""

    since: int
    instead: str


# From pg_proc of PostgreSQL 13 to 19. PostgreSQL does not check the bodies of functions when a dump is restored.
REMOVED_FUNCTIONS = {
    "currtid": RemovedFunction(14, "currtid2"),
    "pg_start_backup": RemovedFunction(15, "pg_backup_start"),
    "pg_stop_backup": RemovedFunction(15, "pg_backup_stop"),
    "pg_is_in_backup": RemovedFunction(15, "nothing: exclusive backups were removed"),
    "pg_backup_start_time": RemovedFunction(15, "nothing: exclusive backups were removed"),
    "pg_read_file_old": RemovedFunction(17, "pg_read_file"),
    "pg_rotate_logfile_old": RemovedFunction(17, "pg_rotate_logfile"),
    "pg_stat_get_bgwriter_timed_checkpoints": RemovedFunction(17, "pg_stat_get_checkpointer_num_timed"),
    "pg_stat_get_bgwriter_requested_checkpoints": RemovedFunction(17, "pg_stat_get_checkpointer_num_requested"),
    "pg_stat_get_bgwriter_buf_written_checkpoints": RemovedFunction(17, "pg_stat_get_checkpointer_buffers_written"),
    "pg_stat_get_buf_written_backend": RemovedFunction(17, "pg_stat_io"),
    "pg_stat_get_buf_fsync_backend": RemovedFunction(17, "pg_stat_io"),
    "pg_stat_get_checkpoint_write_time": RemovedFunction(17, "pg_stat_get_checkpointer_write_time"),
    "pg_stat_get_checkpoint_sync_time": RemovedFunction(17, "pg_stat_get_checkpointer_sync_time"),
}
