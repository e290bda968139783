"""The route that Prometheus scrapes: it answers whatever the disk does."""

import sqlite3
import threading
import time
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from prometheus_client.parser import text_string_to_metric_families

from receiver import link
from receiver.api import metrics
from receiver.api.metrics import Slow
from receiver.control.changes import WARNINGS
from tests.api.made import Outside, problem

Told = dict[str, dict[str, float]]


async def scrape(client: "TestClient[web.Request, web.Application]") -> Told:
    """Name → label's value → number; a family without a label has the label ""."""
    response = await client.get("/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    told: Told = {}
    for family in text_string_to_metric_families(await response.text()):
        for sample in family.samples:
            told.setdefault(sample.name, {})["".join(sample.labels.values())] = sample.value
    return told


async def test_what_the_house_knows_is_told(outside: Outside) -> None:
    client = await outside.client(client=SimpleNamespace(up=True))
    gauges = {"late_ticks": 3.0, "unsafe_s": 0.25}
    outside.house.counters.note(0, {"accepted": 9, "foreign": 2}, gauges, time.monotonic_ns())
    made = await (await client.post("/v1/taps", json={"source": "any"})).json()
    told = await scrape(client)
    assert told["tapdeck_packets_total"] == {"accepted": 9, "foreign": 2}
    assert told["tapdeck_taps"] == {"requested": 0, "listening": 1, "receiving": 0, "finishing": 0}
    assert told["tapdeck_recordings_total"] == {"complete": 0, "degraded": 0, "empty": 0, "failed": 0}
    assert 0.25 <= told["tapdeck_unsafe_audio_seconds"][""] < 60, "it is told when the report came"
    assert told["tapdeck_late_ticks_total"] == {"": 3}
    assert told["tapdeck_relay_connected"] == {"": 1}
    assert told["tapdeck_free_bytes"] == {"": 5 << 30}
    await client.post(f"/v1/taps/{made['id']}/stop?wait=ready")
    told = await scrape(client)
    assert sum(told["tapdeck_taps"].values()) == 0
    assert told["tapdeck_recordings_total"]["empty"] == 1
    assert made["id"] not in str(told)


async def test_b2_an_unannounced_source_is_in_the_metrics(outside: Outside) -> None:
    client = await outside.client()
    made = await (await client.post("/v1/taps", json={"source": "any"})).json()
    none = dict.fromkeys(sorted(WARNINGS), 0)
    assert (await scrape(client))["tapdeck_source_events_total"] == none
    for event in ("unannounced", "epoch"):
        outside.world.roster.hear(0, link.Happened(0, made["recording_id"], event, 0, {}))
    assert (await scrape(client))["tapdeck_source_events_total"] == none | {"unannounced": 1}


async def test_a_relay_that_is_away_is_told_and_one_that_is_not_wanted_is_not(outside: Outside) -> None:
    without = await outside.client()
    assert "tapdeck_relay_connected" not in await scrape(without)
    away = await outside.client(client=SimpleNamespace(up=False))
    assert (await scrape(away))["tapdeck_relay_connected"] == {"": 0}


async def test_openmetrics_is_there_for_who_accepts_it(outside: Outside) -> None:
    client = await outside.client()
    response = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert (await response.text()).endswith("# EOF\n")


async def test_d10_with_a_token_it_is_asked_for(outside: Outside) -> None:
    client = await outside.client(token="correct horse")
    await problem(await client.get("/metrics"), 401, "unauthorized")
    assert (await client.get("/metrics", headers={"Authorization": "Bearer correct horse"})).status == 200


async def test_a_query_that_is_not_known_is_refused(outside: Outside) -> None:
    client = await outside.client()
    await problem(await client.get("/metrics?name[]=up"), 400, "query")


async def test_a_disk_that_fails_takes_its_own_numbers_away_and_no_others(outside: Outside) -> None:
    def gone() -> int:
        raise OSError("Input/output error")

    client = await outside.client(free=gone)
    await outside.house.clerk.do(outside.house.clerk.ledger._base.execute, "DROP TABLE tally")
    told = await scrape(client)
    assert {"tapdeck_taps", "tapdeck_kernel_drops_total", "tapdeck_build_info"} <= told.keys()
    assert not {"tapdeck_recordings_total", "tapdeck_free_bytes"} & told.keys()


async def test_a_disk_that_hangs_is_asked_once_and_not_waited_for(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = [], threading.Event()

    def hang() -> int:
        asked.append(1)
        released.wait(30)
        return 1_000

    monkeypatch.setattr(metrics, "PATIENCE_S", 0.01)
    client = await outside.client(free=hang)
    try:
        for _ in range(3):
            assert "tapdeck_free_bytes" not in await scrape(client)
        assert len(asked) == 1
    finally:
        released.set()
    monkeypatch.setattr(metrics, "PATIENCE_S", 30.0)
    assert (await scrape(client))["tapdeck_free_bytes"] == {"": 1_000}


async def test_a_defect_is_not_taken_for_a_disk() -> None:
    async def broken() -> int:
        raise ZeroDivisionError

    async def locked() -> int:
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(ZeroDivisionError):
        await Slow(broken).answer()
    assert await Slow(locked).answer() is None
