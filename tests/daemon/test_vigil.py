"""What the service manager hears: ready once, a status, and that we live, as long as every worker does."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from receiver.daemon.recorder import Recorder
from receiver.daemon.vigil import Vigil
from receiver.watch.counters import Counters
from receiver.watch.health import Health

SECOND = 1_000_000_000
WELL = {"tick_age_s": 0.02, "writer_age_s": 0.0, "writer_at_disk": 0.0, "packets_per_s": 50.4}


class Ear:
    """Hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def ready(self) -> None:
        self.heard.append("ready")

    def status(self, text: str) -> None:
        self.text = text

    def alive(self) -> None:
        self.heard.append("alive")

    def patience(self, span_ns: int) -> None:
        self.heard.append("patience")


class House:
    """A recorder as far as a vigil looks into it."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.state = "starting"
        self.ear, self.counters, self.health = Ear(), Counters(), Health()
        self.recorder = SimpleNamespace(
            records=asyncio.Event(), counters=self.counters, health=self.health,
            roster=SimpleNamespace(states=lambda: {"receiving": 2, "listening": 1}),
            crew=SimpleNamespace(states=lambda: [{"worker": 0, "state": self.state, "pid": 1, "deaths": 0}]),
        )  # fmt: skip
        self.vigil = Vigil(cast(Recorder, cast(Any, self.recorder)), self.ear, lambda: self.now_ns)

    def watch(self, seconds: float = 1.0, **gauges: float) -> list[str]:
        """Time goes by, a report comes (if there are gauges), and the vigil looks; what was heard."""
        self.now_ns += round(seconds * SECOND)
        if gauges:
            self.counters.note(0, {}, WELL | gauges, self.now_ns)
        before = len(self.ear.heard)
        self.vigil.watch()
        return self.ear.heard[before:]

    def begin(self) -> None:
        self.state = "ready"
        self.recorder.records.set()
        assert self.watch(backlog=0) == ["ready"]


async def test_it_is_ready_once_and_then_alive() -> None:
    house = House()
    assert house.watch() == []
    house.begin()
    assert [house.watch(backlog=0) for _ in range(3)] == [["alive"]] * 3


async def test_a_start_that_brings_recordings_to_their_end_may_take_longer() -> None:
    house = House()
    house.state = "repairing"
    assert [house.watch(20) for _ in range(3)] == [["patience"]] * 3
    house.begin()


async def test_a_worker_that_does_not_tick_starves_the_watchdog_and_one_that_comes_back_feeds_it() -> None:
    house = House()
    house.begin()
    assert house.watch(4.9) == ["alive"]
    assert house.watch(0.2) == []
    house.state = "restarting"
    assert house.watch(1.0) == []
    house.state = "ready"
    assert house.watch(backlog=0) == ["alive"]


async def test_a_disk_that_hangs_is_said_and_starves_nobody() -> None:
    house = House()
    house.begin()
    assert house.watch(writer_age_s=6.0, writer_at_disk=1.0) == ["alive"]
    assert "disk 0" in house.health.complaints
    assert house.watch(writer_age_s=6.0, writer_at_disk=0.0) == []
    assert house.watch(backlog=0) == ["alive"]
    assert house.health.ready


async def test_the_status_tells_taps_packets_and_complaints() -> None:
    house = House()
    house.begin()
    assert house.ear.text == "3 taps, 50 packets/s; ready"
    house.health.complain("relay", "connecting")
    house.watch(backlog=0)
    assert house.ear.text == "3 taps, 50 packets/s; relay: connecting"
