# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The configuration of a watch: what it must know in addition to the volume, and its channels without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .._role.schedules import longest_interval
from .._volume.copy_health import ConfiguredPlace, CopySchedule

# How a message reaches people.
NTFY, WEBHOOK, MAIL, APPRISE = "ntfy", "webhook", "mail", "apprise"
# What is sent at each look, whether something has changed or not.
PING, PUSHGATEWAY = "ping", "pushgateway"
MESSAGE_KINDS, LOOK_KINDS = (NTFY, WEBHOOK, MAIL, APPRISE), (PING, PUSHGATEWAY)


@dataclass(frozen=True)
class Channel:
    """A way to tell people: `name` is unique, `folder` has its secrets, one file each; `options` are those of its kind.

    `secret` is the name of the Secret, for messages; empty without one.
    """

    name: str
    kind: str
    secret: str
    folder: str
    options: Mapping[str, Any]

    @property
    def takes_messages(self) -> bool:
        return self.kind in MESSAGE_KINDS


@dataclass(frozen=True)
class Configuration:
    """An installation as its watch knows it.

    `drill_schedule` is empty without scheduled drills; `digest` is None without digests; `time_zone` is that of the
    schedules. `file_mode` is that of the watch's files, `period` the time between two looks, None if it is not known.
    `copies` is empty without copies at other places.
    """

    name: str
    namespace: str
    max_age: timedelta
    time_zone: str
    drill_schedule: str
    is_suspended: bool
    digest: timedelta | None
    channels: tuple[Channel, ...]
    file_mode: int
    period: timedelta | None
    copies: tuple[CopySchedule, ...] = ()

    @property
    def installation(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_configuration(content: Mapping[str, Any], secrets: str, now: datetime) -> Configuration:
    """The configuration that `watch_configuration` of the role has written; `secrets` is the folder of the channels'.

    Raises KeyError or TypeError for another one.
    """
    digest = content["digest_seconds"]
    return Configuration(
        name=content["name"],
        namespace=content["namespace"],
        max_age=timedelta(seconds=content["max_age_seconds"]),
        time_zone=content["time_zone"],
        drill_schedule=content["drill_schedule"],
        is_suspended=content["suspended"],
        digest=timedelta(seconds=digest) if digest else None,
        channels=tuple(
            Channel(
                name=channel["name"],
                kind=channel["kind"],
                secret=channel["secret"],
                folder=f"{secrets}/{number}",
                options=channel["options"],
            )
            for number, channel in enumerate(content["channels"])
        ),
        file_mode=int(content["file_mode"], 8),
        period=longest_interval(content["schedule"], now, timedelta(days=7)),
        copies=_copies(content["copies"], now) if "copies" in content else (),
    )


def _copies(content: Mapping[str, Any], now: datetime) -> tuple[CopySchedule, ...]:
    """The watch cannot read the CronJobs, so that it knows neither whether one is suspended nor since when it exists.

    A place with `own_job` is mounted, and has a separate CronJob.
    """
    interval = longest_interval(content["schedule"], now, timedelta(days=7))
    places: dict[str, list[ConfiguredPlace]] = {}
    for place in content["places"]:
        delay = timedelta(seconds=place["max_delay_seconds"])
        location = place.get("location", "")
        configured = ConfiguredPlace(place["name"], place["kind"], place["offsite"], delay, location=location)
        places.setdefault(place["name"] if place.get("own_job") else "", []).append(configured)
    return tuple(CopySchedule(False, interval, None, tuple(each), mounts) for mounts, each in places.items())
