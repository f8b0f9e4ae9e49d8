# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Bring the cluster up, heal it, take it down."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dev.buildkit import commands, debian
from dev.buildkit.cache import Cache, exclusive, key, remove
from dev.buildkit.errors import ReportedError
from dev.buildkit.progress import say, step

from . import cgroups, components, containers, debian_programs, golang, health, machine, network, objects, pki
from .api import Api
from .components import Built
from .golang import Program
from .images import Images, make_images
from .settings import API_PORT, Settings

_START_SECONDS = 180.0
_HEAL_SECONDS = 60.0
_TOO_MANY_ENDS = 5
_POLL_SECONDS = 0.2


def up(settings: Settings) -> None:
    """Make sure that the cluster runs, is healthy, and runs these sources."""
    machine.require_root()
    debian.check_machine()
    with locked(settings):
        prepared = _Prepared.of(settings)
        prepared.make()
        fingerprint = _fingerprint(settings, prepared.built)
        running = machine.find(settings) is not None
        recorded = _recorded_fingerprint(settings)
        if running and not recorded:
            say("an earlier up did not finish: starting again")
        elif running and recorded != fingerprint:
            say("the sources have changed since the cluster was started: rebuilding it; its contents are lost")
        elif running:
            if _heal(settings, prepared):
                return
        elif settings.state.exists():
            say("the cluster is no longer running: starting a new, empty one")
        _take_down(settings)
        _start(settings, prepared, fingerprint)


def down(settings: Settings) -> None:
    """End everything and remove the cluster's state; the cache is kept."""
    machine.require_root()
    with locked(settings):
        existed = settings.state.exists()
        _take_down(settings)
    say("the cluster has been removed, including its volumes" if existed else "there was no cluster")


def locked(settings: Settings) -> AbstractContextManager[None]:
    """Let nobody else change the cluster meanwhile."""
    return exclusive(settings.lock, lambda: say("waiting for another command that changes this cluster to end"))


# What is in the cache before the cluster starts


@dataclass(frozen=True)
class _Prepared:
    cache: Cache
    programs: dict[str, Program]
    built: Built

    @classmethod
    def of(cls, settings: Settings) -> _Prepared:
        """Say where everything will lie, without making any of it."""
        cache = Cache(settings.cache)
        programs = {program.name: program for program in golang.programs()}
        built = Built(
            kubernetes=programs["kubernetes"].path(cache),
            coredns=programs["coredns"].path(cache),
            provisioner=programs["provisioner"].path(cache),
            debian=cache.path(debian_programs.NAME, debian_programs.unpacked_key()),
        )
        return cls(cache, programs, built)

    def make(self) -> None:
        """Install and build what is missing. Packages are downloaded while programs are compiled."""
        debian.install(debian_programs.TOOLS)
        with ThreadPoolExecutor() as pool:
            jobs: list[Future[object]] = [
                pool.submit(self._build, "kubernetes", "provisioner"),
                pool.submit(self._build, "coredns"),
                pool.submit(self._make_store),
            ]
            failures = []
            for job in as_completed(jobs):
                try:
                    job.result()
                except ReportedError as error:
                    failures.append(error)
                    say(f"failed: {error.message} (the other builds continue: the next up needs them too)")
        if failures:
            raise failures[0]

    def _build(self, *names: str) -> None:
        for name in names:
            self.programs[name].build(self.cache)

    def _make_store(self) -> None:
        debian_programs.unpacked(self.cache)
        self.store()

    def images(self) -> Images:
        """The images."""
        return make_images(self.cache, self.programs["pause"])

    def store(self) -> Path:
        """The containerd store that holds them."""
        return containers.make_store(self.cache, self.built.debian, self.images())


def _fingerprint(settings: Settings, built: Built) -> str:
    """A hash of what the running cluster is made of (the images can be replaced while it runs)."""
    sources = [Path(__file__).with_name(f"{name}.py") for name in ("cgroups", "network", "pki", "supervisor")]
    return key(
        [
            json.dumps([component.as_json() for component in components.components(settings, built)]),
            json.dumps(components.configuration_files(settings, built)),
            json.dumps(objects.initial_objects(settings)),
            *sources,
        ]
    )


def _recorded_fingerprint(settings: Settings) -> str:
    try:
        return _fingerprint_path(settings).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _fingerprint_path(settings: Settings) -> Path:
    return settings.state / "fingerprint"


# Start, heal, end


def _start(settings: Settings, prepared: _Prepared, fingerprint: str) -> None:
    with step(f"starting the cluster {settings.full_name}"):
        network.refuse_taken_addresses(settings)
        _write_state(settings, prepared.built)
        containers.provide(settings, prepared.store())
        cgroups.make(settings)
        process = machine.start(settings)
        try:
            network.connect(settings, process)
            with ThreadPoolExecutor() as pool:
                loading = pool.submit(_load_images, settings, prepared)
                _wait_for_api(settings)
                Api.of(settings).apply(objects.initial_objects(settings))
                loading.result()
            remaining = _wait_until_healthy(settings, _START_SECONDS)
            if remaining:
                raise _not_healthy(settings, remaining)
        except BaseException:
            # The state folder is kept, for its logs.
            machine.stop(settings)
            raise
        # Only a complete start is recorded: after an interrupted one, up begins again.
        _fingerprint_path(settings).write_text(fingerprint, encoding="utf-8")
    say("the cluster is ready")


def _heal(settings: Settings, prepared: _Prepared) -> bool:
    """Bring a running cluster back to health; return whether that succeeded."""
    remaining = health.problems(settings)
    if remaining:
        with step(f"healing the cluster: {'; '.join(remaining)}"):
            if not network.connected(settings):
                process = machine.find(settings)
                if process is not None:
                    network.connect(settings, process)
            deadline = time.monotonic() + _HEAL_SECONDS
            while Api.of(settings).ready() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            if not Api.of(settings).ready():
                Api.of(settings).apply(objects.initial_objects(settings))
            remaining = _wait_until_healthy(settings, deadline - time.monotonic())
        if remaining:
            say(f"it is still not healthy: {'; '.join(remaining)}")
            say("rebuilding it; its contents are lost")
            return False
    _load_images(settings, prepared)
    say("the cluster runs and is healthy")
    return True


def _take_down(settings: Settings) -> None:
    machine.stop(settings)
    network.disconnect(settings)
    cgroups.remove(settings)
    remove(settings.state)


def _write_state(settings: Settings, built: Built) -> None:
    settings.state.mkdir(mode=0o755)
    for folder in (settings.logs, settings.programs, settings.volumes, settings.small_volumes):
        folder.mkdir()
    pki.make_pki(settings)
    for name, content in components.configuration_files(settings, built).items():
        path = settings.configuration / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (settings.programs / "kubectl").symlink_to(built.kubernetes)
    plan = {
        "network": network.plan(settings),
        "api_port": API_PORT,
        "keep": [str(settings.state), str(settings.cache)],
        "components": [component.as_json() for component in components.components(settings, built)],
    }
    (settings.state / "supervise.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")


def _load_images(settings: Settings, prepared: _Prepared) -> None:
    if containers.load(settings, prepared.built.debian, prepared.images()):
        say("  the images are imported")


def _wait_for_api(settings: Settings) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while reason := Api.of(settings).ready():
        _raise_if_hopeless(settings)
        if time.monotonic() > deadline:
            raise _not_healthy(settings, [reason])
        time.sleep(_POLL_SECONDS)
    say("  the API server is ready")


def _wait_until_healthy(settings: Settings, seconds: float) -> list[str]:
    """Wait for a healthy cluster; return what still keeps it from being one."""
    deadline = time.monotonic() + seconds
    while remaining := health.problems(settings):
        _raise_if_hopeless(settings)
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    return remaining


def _raise_if_hopeless(settings: Settings) -> None:
    """Do not wait for a component that ends again and again."""
    for name, component in health.supervised(settings).items():
        if not component["pid"] and component["restarts"] >= _TOO_MANY_ENDS:
            raise _failed_component(settings, name, component["last_end"])
    if machine.find(settings) is None:
        log = settings.logs / "supervisor.log"
        raise ReportedError(
            "expected the cluster's supervisor to keep running, but it has ended",
            f"see {log}; was it killed?",
            commands.tail_of_file(log),
        )


def _failed_component(settings: Settings, name: str, last_end: str) -> ReportedError:
    log = settings.logs / f"{name}.log"
    return ReportedError(
        f"expected {name} to keep running, but it ended again and again (last: {last_end})",
        f"complete log: {log}",
        commands.tail_of_file(log),
    )


def _not_healthy(settings: Settings, remaining: list[str]) -> ReportedError:
    ended = {name: item for name, item in health.supervised(settings).items() if item["restarts"]}
    name = next(iter(ended), "kubelet")
    log = settings.logs / f"{name}.log"
    return ReportedError(
        f"expected a healthy cluster within {_START_SECONDS:.0f} s, found: {'; '.join(remaining)}",
        f"the logs are in {settings.logs}; try dev/cluster/up again",
        f"end of {log}:\n{commands.tail_of_file(log)}",
    )
