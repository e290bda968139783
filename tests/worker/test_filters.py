"""Rule B4: who is dropped by the kernel, and when nobody may be."""

import asyncio
import errno
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import structlog

from receiver import link
from receiver.net import filter as kernel
from receiver.worker.filters import A_SLICE, Filter
from tests.worker.office import Line, Office, line, office

Call = Callable[..., Line]
SECOND = 1_000_000_000


def passes(one: Line, by: Line | None = None) -> bool:
    """Whether a datagram of the sender (or another one) gets through the kernel. Nothing may be waiting."""
    (by or one).sender.sendto(b"a probe", one.door.getsockname())
    found = bool(select.select([one.door], [], [], 0)[0])
    if found:
        one.door.recv(100)
    return found


def latch(one: Office, *lines: Line) -> None:
    """Their sources are heard."""
    for each in lines:
        each.talk(10)
    one.hear()
    review(one)


def review(one: Office, now_ns: int | None = None) -> None:
    one.worker.filters.review(one.worker.intake.everyone(), now_ns or time.monotonic_ns())


async def test_b4_strangers_are_dropped_by_the_kernel_once_a_source_is_latched(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap, stranger = call(), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        assert passes(tap, stranger)
        latch(one, tap)
        assert (passes(tap), passes(tap, stranger)) == (True, False)


@pytest.mark.parametrize(
    ("policy", "port", "stays"),
    [
        ("exact", "the sender's", True), ("announced", "the sender's", True),  # nobody else can ever be admitted
        ("exact", "any", False), ("announced", "any", False), ("any", "any", False), ("address", "any", False),
    ],
)  # fmt: skip
async def test_b5_after_three_seconds_of_silence_whoever_may_be_admitted_is_let_through(
    policy: str, port: str, stays: bool, tmp_path: Path, memory: int, call: Call
) -> None:
    tap, stranger = call(policy=policy), call(1)
    address, number = tap.sender.getsockname()
    announced = address, number if port == "the sender's" else 0
    tap.order = msgspec.structs.replace(tap.order, announced=announced)
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        latch(one, tap)
        assert not passes(tap, stranger)
        heard_ns = int(one.tap(0)["heard_ns"])
        review(one, heard_ns + 3 * SECOND - 1)
        assert not passes(tap, stranger)
        review(one, heard_ns + 3 * SECOND)
        assert passes(tap, stranger) is not stays


async def test_b5_an_unannounced_source_that_is_silent_makes_way_for_the_announced_one(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap, stranger = call(policy="announced", announced=("192.0.2.1", 9)), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        one.state.now.taps["answered_ns"][0] = time.monotonic_ns() - 3 * SECOND
        one.state.touch("taps", 0)
        one.state.commit()
        latch(one, tap)
        assert not passes(tap, stranger)
        review(one, int(one.tap(0)["heard_ns"]) + 3 * SECOND)
        assert passes(tap, stranger)


async def test_b4_with_an_allow_list_the_filter_is_there_from_the_first_datagram_on(
    tmp_path: Path, memory: int, call: Call
) -> None:
    inside, outside, stranger = call(0, policy="allow-list"), call(1, policy="allow-list"), call(2)
    async with office(tmp_path / "a", memory, **made(tmp_path / "a", allow=["127.0.0.0/8"])) as one:
        await one.open(inside)
        assert passes(inside, stranger)
        inside.talk(5)
        await asyncio.sleep(0.03)  # rule B2: not for synchronisation; the proof is over at least 22 ms
        inside.talk(5, first=5)
        latch(one)
        assert not passes(inside, stranger)
        review(one, int(one.tap(0)["heard_ns"]) + 3 * SECOND)  # silent: the networks again, not everybody
        assert one.worker.filters._on[0] == Filter.NETWORKS
        assert passes(inside, stranger)
        one.worker.filters._allow = ["192.0.2.0/24"]
        await one.open(outside)
        assert not passes(outside, stranger)
        one.take(link.Source(1, outside.id, "any", None))  # PATCH: another policy takes the networks off
        review(one)
        assert passes(outside, stranger)


def made(directory: Path, **more: Any) -> dict[str, Any]:
    directory.mkdir()
    return more


async def test_k8_a_filter_that_a_dead_worker_left_is_taken_off_where_its_source_was_silent(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap, stranger = call(policy="any"), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        latch(one, tap)
        assert not passes(tap, stranger)
    async with office(tmp_path, memory) as two:
        await two.open(tap)
        review(two, int(two.tap(0)["heard_ns"]) + 3 * SECOND)
        assert passes(tap, stranger)


async def test_b4_a_kernel_that_takes_no_filter_costs_time_and_not_the_worker(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: Any) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(kernel, "attach", refused)
    taps = [call(slot) for slot in range(3)]
    async with office(tmp_path, memory) as one:
        await one.open(*taps)
        with structlog.testing.capture_logs() as logs:
            latch(one, *taps)
            review(one)
            review(one)
        assert (one.worker.filters.failed, len(logs)) == (3, 1)


async def test_b4_a_few_changes_at_a_time(tmp_path: Path, memory: int) -> None:
    taps = [line(slot) for slot in range(20)]
    async with office(tmp_path, memory, taps=20) as one:
        await one.open(*taps)
        for each in taps:
            each.talk(2)
        one.hear()
        review(one)
        assert int((one.worker.filters._on == Filter.SOURCE).sum()) == A_SLICE
        review(one)
        review(one)
        assert int((one.worker.filters._on == Filter.SOURCE).sum()) == 20
        assert np.array_equal(one.worker.filters._source["port"], [each.sender.getsockname()[1] for each in taps])
    for each in taps:
        each.door.close()
        each.sender.close()
