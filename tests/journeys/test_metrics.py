"""What Prometheus sees of a real daemon: true numbers that outlive a worker and the daemon, in a form that it likes."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from receiver.watch.metrics import HELP
from tests.journeys.host import PATIENCE_S, Host, host
from tests.journeys.test_daemon_journey import speak
from tests.tools import needs

Series = tuple[str, str]
"""A name, and its label's value ("" without)."""


def scraped(one: Host) -> str:
    """The text that Prometheus gets."""
    status, text = one.get("/metrics")
    assert status == 200
    return text.decode()


def read(text: str) -> dict[Series, float]:
    """Name and label's value → number."""
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counters(told: dict[Series, float]) -> dict[Series, float]:
    """Those that must never fall."""
    return {name: value for name, value in told.items() if name[0].endswith("_total")}


def until(one: Host, come: Callable[[dict[Series, float], dict[str, Any]], bool]) -> dict[Series, float]:
    """What is told once it has come to that; a worker reports once a second."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not come(told := read(scraped(one)), one.state()):
        assert time.monotonic() < deadline_s, one.log()
        select.select([], [], [], 0.02)
    return told


@pytest.mark.all
def test_no_counter_falls_when_a_worker_or_the_daemon_dies(tmp_path: Path) -> None:
    with host(tmp_path) as one:
        tap = speak(one, tmp_path / "logs")
        one.ask("tap", "stop", tap["id"], "--wait")
        (sidecar,) = one.sidecars()
        (channel,) = json.loads(sidecar.read_bytes())["channels"]
        packets = sum(stream["packets"] for stream in channel["streams"])
        assert packets > 50
        before = until(one, lambda told, _: told["tapdeck_packets_total", "accepted"] == packets)
        assert before["tapdeck_recordings_total", "complete"] == 1
        assert {name for name, _ in before} == set(HELP) - {"tapdeck_relay_connected", "tapdeck_hook_deliveries_total"}

        os.kill(one.state()["workers"][0]["pid"], signal.SIGKILL)
        after = until(one, lambda _, state: state["workers"][0]["deaths"] == 1 and state["ready"])
        assert {name for name in counters(before) if after[name] < before[name]} == set()
        first = one.state()["workers"][0]["gauges"]
        after = until(one, lambda _, state: state["workers"][0]["gauges"] != first)  # the new one has reported
        assert {name for name in counters(before) if after[name] < before[name]} == set()

        one.kill_all()
        one.start()
        assert read(scraped(one))["tapdeck_recordings_total", "complete"] == 1


@pytest.mark.all
@needs("promtool")
def test_prometheus_finds_nothing_to_blame(tmp_path: Path) -> None:
    with host(tmp_path) as one:
        text = scraped(one)
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
