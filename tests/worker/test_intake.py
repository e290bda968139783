"""From sockets to committed columns: one turn per slab, sockets of full rings unread, the tick's time."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver.media import sources
from receiver.media.columns import Role, TapState
from receiver.media.drain import MOST_PACKETS
from receiver.net.slab import PlainSlab
from receiver.worker import intake as intakes
from receiver.worker import process
from tests.media.rig import talk
from tests.worker.office import Line, Office, office

Call = Callable[..., Line]


def read(one: Office, *slots: int, now_ns: int = 1, every: bool = True) -> int:
    """Ask these once."""
    return one.worker.intake.read(np.array(slots), now_ns, every=every)


async def test_every_datagram_is_counted_once_however_many_slabs_it_takes(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SLAB_ROWS", 130)  # of 8 × 64 that may come
    lines = [call(slot) for slot in range(8)]
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        for line in lines:
            line.talk(40)
        generation = one.state.generation
        assert read(one, *range(8)) == 320
        assert one.state.generation - generation > 2
        assert one.state.live.taps["verdicts"][:, 0].tolist() == [40] * 8


async def test_design_3_at_most_64_datagrams_of_one_tap_in_one_tick(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(90)
        assert read(one, 0) == MOST_PACKETS


async def test_k5_room_is_checked_before_a_socket_is_read(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory, window=28_000) as one:
        await one.open(line)
        line.talk(95)
        one.hear()
        assert one.worker.intake.starved.tolist() == [0]
        assert read(one, 0) == 0
        assert one.tap(0)["verdicts"].sum() < 95  # the kernel keeps the rest


async def test_known_is_up_to_when_a_socket_was_read_to_its_end_or_what_was_read_of_it(
    tmp_path: Path, memory: int, call: Call
) -> None:
    emptied, more, quiet, full = (call(slot) for slot in range(4))
    async with office(tmp_path, memory, window=36_000) as one:
        await one.open(emptied, more, quiet, full)
        intake = one.worker.intake
        for first in (0, 65):
            full.talk(65, first=first)
            one.hear()
        assert intake.starved.tolist() == [full.slot]
        before, now_ns = intake.known_ns.copy(), intakes.clocks()[0]
        emptied.talk(3)
        more.talk(MOST_PACKETS + 1)
        read(one, *range(4), now_ns=now_ns)
        heard_ns = one.state.live.taps["heard_ns"]
        assert now_ns < heard_ns[more.slot] < intakes.clocks()[0]
        assert intake.known_ns[:5].tolist() == [*heard_ns[:2], now_ns, before[full.slot], 0]
        now_ns = intakes.clocks()[0]
        read(one, *range(4), now_ns=now_ns)
        assert intake.known_ns[more.slot] == now_ns


async def test_a3_strangers_that_never_let_a_socket_be_emptied_are_given_up_all_the_same(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PROBATION_NS", 1)
    line, flood = call(policy="any"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    async with office(tmp_path, memory) as one:
        await one.open(line)
        with flood:
            for ssrc in range(2 * MOST_PACKETS):
                line.send(talk(1, ssrc=ssrc), by=flood)
            line.sent.clear()
            assert read(one, 0, now_ns=intakes.clocks()[0]) == MOST_PACKETS
            candidates = one.state.live.streams["role"] == Role.PROBATION
            assert np.count_nonzero(candidates) == sources.MOST_CANDIDATES
            one.worker.keeping.review(one.worker.intake.known_ns, 0)
            assert not (one.state.live.streams["role"] == Role.PROBATION).any()


async def test_a_closing_or_held_tap_is_not_read(tmp_path: Path, memory: int, call: Call) -> None:
    closing, held = call(0), call(1, held=True)
    async with office(tmp_path, memory) as one:
        await one.open(closing, held)
        one.worker.closing._taps.close(0)
        one.state.commit()
        closing.talk(3)
        held.talk(3)
        assert read(one, 0, 1) == 0
        assert one.tap(1)["state"] == TapState.HELD


async def test_a_quiet_tap_is_asked_every_half_second(tmp_path: Path, memory: int, call: Call) -> None:
    line, second = call(), 1_000_000_000
    async with office(tmp_path, memory) as one:
        await one.open(line)
        opened_ns = int(one.tap(0)["answered_ns"])
        line.talk(1)
        assert read(one, 0, now_ns=opened_ns + 3 * second, every=False) == 1
        line.talk(1, first=1)
        assert read(one, 0, now_ns=opened_ns + 6 * second, every=False) == 1  # quiet, asked 3 s ago
        line.talk(1, first=2)
        heard_ns = int(one.tap(0)["heard_ns"])
        asked_ns = heard_ns + 4 * second
        assert read(one, 0, now_ns=asked_ns, every=False) in (0, 1)
        line.talk(1, first=3)
        assert read(one, 0, now_ns=int(one.worker.intake._asked_ns[0]) + second // 4, every=False) == 0


async def test_a18_a_tap_is_at_this_tick_when_its_socket_was_emptied_and_not_before(
    tmp_path: Path, memory: int, call: Call
) -> None:
    emptied, full = call(0), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(emptied, full)
        opened_ns = int(one.tap(1)["ticked_ns"])
        emptied.talk(3)
        full.talk(70)
        now_ns = opened_ns + 5
        read(one, 0, 1, now_ns=now_ns)
        assert (one.tap(0)["ticked_ns"], one.tap(1)["ticked_ns"]) == (now_ns, opened_ns)


async def test_a18_a_clock_that_was_set_is_counted(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        real, ahead_ns = intakes.clocks, [0]
        monkeypatch.setattr(intakes, "clocks", lambda: (real()[0], real()[1] + ahead_ns[0]))
        for k, step_ns in enumerate((0, 0, 3_600_000_000_000, 0)):
            ahead_ns[0] += step_ns
            line.talk(1, first=k)
            read(one, 0)
        assert one.state.live.world["clock_changes"][0] == 1


@pytest.mark.parametrize("hours", [1, -1])
async def test_a18_a_clock_that_is_set_before_a_packet_is_read_moves_it_out_of_no_tick(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        real, ahead_ns = intakes.clocks, [0]
        monkeypatch.setattr(intakes, "clocks", lambda: (real()[0], real()[1] + ahead_ns[0]))
        line.talk(1)
        ticked_ns = real()[0]
        read(one, 0, now_ns=ticked_ns)
        line.talk(1, first=1)
        ahead_ns[0] = hours * 3_600_000_000_000
        read(one, 0, now_ns=real()[0])
        arrival_ns = int(one.state.live.streams["arrival_ns"][int(one.tap(line)["stream"])])
        assert ticked_ns <= arrival_ns <= real()[0]
        told = await one.close(line)
    assert (told.outcome, told.frames, told.absent_frames) == ("complete", 320, 0)


async def test_taps_are_spread_over_the_groups_of_a_tick(tmp_path: Path, memory: int, call: Call) -> None:
    lines = [call(slot) for slot in (0, 1, 5, 7)]
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        assert [one.worker.intake.members(group).tolist() for group in range(5)] == [[0, 5], [1], [7 - 5 + 5], [], []]
        one.worker.intake.release(5)
        assert one.worker.intake.members(0).tolist() == [0]


async def test_without_recvmmsg_the_same_is_recorded(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain(buffer: Any, rows: int) -> PlainSlab:
        return PlainSlab(buffer, rows)

    monkeypatch.setattr(process, "open_slab", plain)
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(30)
        one.hear()
        told = await one.close(line)
        assert told.outcome == "complete"
        assert np.array_equal(one.sound(line), line.truth)
