# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A look from end to end, with a volume, files and channels in memory: what is sent, once, whatever fails."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from plugins.module_utils._watch.configuration import Channel, Configuration
from plugins.module_utils._watch.look import Outcome, SendError, look
from plugins.module_utils._watch.messages import Message

from .volume import Volume, channel, configuration

NIGHT = datetime(2026, 11, 22, 2, tzinfo=UTC)
PERIOD = timedelta(minutes=30)


class KilledError(Exception):
    """The watch was killed."""


@dataclass
class World:
    """Surroundings of a look; each sent message is recorded with its channel."""

    volume: Volume = field(default_factory=Volume)
    now: datetime = NIGHT
    state: str | None = None
    record: str | None = None
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    pings: list[str] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    faults: dict[str, Exception] = field(default_factory=dict)
    after_send: Callable[[], None] = lambda: None

    def read_state(self) -> str | None:
        self._fault("read_state")
        return self.state

    def write_state(self, text: str) -> None:
        self._fault("write_state")
        self.state = text

    def write_record(self, text: str) -> None:
        self._fault("write_state")
        self.record = text

    def list_volume(self) -> list[str]:
        self._fault("list_volume")
        return self.volume.lines()

    def read_series(self) -> str:
        return ""

    def send(self, to: Channel, message: Message) -> None:
        if to.name in self.down:
            raise SendError("connection refused")
        self.sent.append((to.name, message.kind, message.title))
        self.after_send()

    def ping(self, to: Channel, event: str, _text: str) -> None:
        if to.name in self.down:
            raise SendError("connection refused")
        self.pings.append(event)

    def push(self, to: Channel, text: str) -> None:
        self.sent.append((to.name, "push", text))

    def log(self, text: str) -> None:
        pass

    def _fault(self, name: str) -> None:
        if name in self.faults:
            raise self.faults[name]

    def look(self, what: Configuration) -> Outcome:
        self.now += PERIOD
        return look(what, self, self.now)

    def kinds(self, to: str = "phone") -> list[str]:
        return [kind for name, kind, _title in self.sent if name == to]


PHONE = configuration(channel())
BOTH = configuration(channel(), channel("chat", "webhook"))


@pytest.fixture
def world() -> World:
    world = World()
    world.volume.run(NIGHT - timedelta(minutes=5))
    return world


def fail(world: World) -> None:
    world.volume.run(world.now, "failed", reason="the server does not answer")


def test_a_hundred_nights_without_a_fault() -> None:
    """No alarm, and a digest each week; the first look of each night finds an active run."""
    world = World()
    for night in range(100):
        began = NIGHT + timedelta(days=night)
        for number in range(4):
            world.now = began + number * timedelta(hours=6) - PERIOD
            if number == 0:
                world.volume.last_run = {"state": "running", "started": "2026-11-22T02:00:00Z"}
                if night == 0:
                    world.volume.backups = [began - timedelta(days=1)]
            if number == 1:
                world.volume.run(began)
            world.look(PHONE)
    assert world.kinds() == ["digest"] * 14
    assert all("healthy" in title for _to, _kind, title in world.sent)


def test_a_fault_and_its_recovery(world: World) -> None:
    world.look(PHONE)
    fail(world)
    outcomes = [world.look(PHONE) for _look in range(5)]
    assert world.kinds() == ["alarm"]
    assert outcomes[-1].record["state"] == "unhealthy" and outcomes[-1].faults == ()
    assert outcomes[-1].record["problems"][0]["check"] == "last_run"
    world.volume.run(world.now)
    world.look(PHONE), world.look(PHONE), world.look(PHONE)
    assert world.kinds() == ["alarm", "recovery"]
    assert json.loads(world.record or "")["state"] == "healthy"


def test_an_attempt_that_failed_before_its_retry_succeeds(world: World) -> None:
    world.volume.run(world.now + PERIOD - timedelta(minutes=2), "failed", reason="the server restarts")
    world.look(PHONE)
    world.volume.run(world.now)
    world.look(PHONE), world.look(PHONE)
    assert world.sent == []


def test_a_channel_that_is_down_gets_its_messages_later_and_once(world: World) -> None:
    world.down = {"chat"}
    fail(world)
    outcome = [world.look(BOTH) for _look in range(4)][-1]
    assert world.kinds("phone") == ["alarm"] and world.kinds("chat") == []
    assert outcome.faults == ("the channel chat (webhook): connection refused",)
    states = {item["name"]: item["state"] for item in outcome.record["channels"]}
    assert states == {"phone": "works", "chat": "failed"}
    world.volume.run(world.now)
    world.look(BOTH), world.look(BOTH)
    world.down = set()
    assert world.look(BOTH).faults == ()
    world.look(BOTH)
    assert world.kinds("phone") == world.kinds("chat") == ["alarm", "recovery"]


def test_a_channel_that_is_down_for_long_gets_the_newest_digest(world: World) -> None:
    world.down = {"chat"}
    for day in range(60):
        world.volume.run(world.now - timedelta(minutes=2))
        world.now = NIGHT + timedelta(days=day)
        world.look(BOTH)
    world.down = set()
    world.look(BOTH)
    assert world.kinds("chat") == ["digest"] and len(world.kinds("phone")) == 8


def test_killed_after_sending_it_says_it_again(world: World) -> None:
    def kill() -> None:
        raise KilledError

    fail(world)
    world.after_send = kill
    with pytest.raises(KilledError):
        world.look(BOTH)
    world.after_send = lambda: None
    assert world.kinds("phone") == ["alarm"] and world.kinds("chat") == []
    for _look in range(5):
        world.look(BOTH)
    assert world.kinds("phone") == ["alarm", "alarm"] and world.kinds("chat") == ["alarm"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format":2}', '{"format":1}', "\x00", "[" * 100_000])
def test_a_damaged_state_begins_anew_without_a_flood(world: World, text: str) -> None:
    fail(world)
    world.look(PHONE), world.look(PHONE)
    world.state = text
    for _look in range(20):
        world.look(PHONE)
    assert world.kinds() == ["alarm", "alarm"]


@pytest.mark.parametrize("fault", ["read_state", "write_state"])
def test_a_watch_that_cannot_remember_tells_what_is_wrong_four_times_a_day(world: World, fault: str) -> None:
    world.faults[fault] = OSError(errno.EROFS, "Read-only file system")
    outcomes = [world.look(PHONE) for _look in range(48)]
    assert world.kinds() == ["alarm"] * 4
    assert all("record" in title for _to, _kind, title in world.sent)
    assert all("Read-only file system" in outcome.faults[0] for outcome in outcomes)
    world.faults.clear()
    assert world.look(PHONE).faults == () and len(world.sent) == 4


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), TimeoutError(0, "no listing")])
def test_a_volume_that_cannot_be_listed(world: World, error: Exception) -> None:
    world.look(PHONE)
    world.faults["list_volume"] = error
    for _look in range(5):
        world.look(PHONE)
    del world.faults["list_volume"]
    for _look in range(5):
        world.look(PHONE)
    assert [title for _to, _kind, title in world.sent] == [
        "data/postgres-backup: PROBLEM volume",
        "data/postgres-backup: healthy again",
    ]


def test_records_of_any_form_are_a_message(world: World) -> None:
    world.volume.last_run = {"state": "failed", "failed_databases": 7, "server_warnings": 3}
    world.look(PHONE), world.look(PHONE)
    assert [title for _to, _kind, title in world.sent] == ["data/postgres-backup: PROBLEM volume"]


def test_pings_say_whether_all_is_well(world: World) -> None:
    what = configuration(channel("phone"), channel("switch", "ping"))
    world.look(what)
    assert world.pings == ["start", ""]
    fail(world)
    world.look(what), world.look(what)
    assert world.pings[-2:] == ["start", "fail"]
    world.volume.run(world.now)
    world.look(what), world.look(what)
    assert world.pings[-2:] == ["start", ""]
    world.down = {"switch"}
    assert world.look(what).faults == ("the channel switch (ping): connection refused",)
    world.down = {"phone"}
    fail(world)
    world.look(what), world.look(what)
    world.volume.run(world.now)
    assert world.look(what).faults == ("the channel phone (ntfy): connection refused",)


def test_a_ping_fails_as_long_as_a_channel_does_not_work(world: World) -> None:
    what = configuration(channel("phone"), channel("switch", "ping"))
    world.down = {"phone"}
    fail(world)
    world.look(what), world.look(what)
    world.volume.run(world.now)
    for _look in range(4):
        world.look(what)
    assert world.pings[-1] == "fail"
    world.down = set()
    world.look(what)
    assert world.pings[-1] == ""


def test_a_pushgateway_gets_series_at_each_look(world: World) -> None:
    world.look(configuration(channel("metrics", "pushgateway")))
    [(to, _kind, text)] = world.sent
    assert to == "metrics" and "\npostgres_backup_watch_healthy 1\n" in text


def test_a_channel_that_is_no_longer_configured_is_forgotten(world: World) -> None:
    world.down = {"chat"}
    fail(world)
    world.look(BOTH), world.look(BOTH)
    assert world.look(PHONE).faults == ()
    world.down = set()
    world.look(BOTH)
    assert world.kinds("chat") == []
