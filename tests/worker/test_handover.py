"""Rule D7 in a worker: taps go on from the memory, or from what was written down when the one before left."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from receiver import link
from receiver.archive import names
from receiver.archive.files import Files
from receiver.archive.sidecar import Source
from receiver.media.columns import NOTE
from receiver.worker import notebooks
from tests.worker.office import HORIZON, Dead, Line, Office, die, office

Call = Callable[..., Line]
POSITIONS = names.positions(0)


@pytest.fixture
def another() -> Iterator[int]:
    """The memory of a next version."""
    descriptor = os.memfd_create("another")
    yield descriptor
    os.close(descriptor)


async def leave(one: Office) -> None:
    """As a worker does whose control went, and will be followed."""
    assert await one.worker.end()


def living(*lines: Line) -> dict[str, int]:
    return {each.id: each.slot for each in lines}


async def half(directory: Path, memory: int, *lines: Line) -> None:
    """A first worker, kept: it hears half of what each says, then leaves."""
    async with office(directory, memory, kept=True) as one:
        await one.open(*lines)
        for each in lines:
            each.talk(25)
        one.hear()
        await leave(one)


async def rest(one: Office, *lines: Line) -> None:
    """The next one hears the rest, and everything is there."""
    for each in lines:
        one.take(each.order, each.door.fileno())
        each.talk(25, first=25)
    one.hear()
    for each in lines:
        told = await one.close(each)
        assert (told.outcome, told.absent_frames) == ("complete", 0)
        assert np.array_equal(one.sound(each), each.truth)
        assert told.channels[0].streams[0].packets == 50


async def test_d7_taps_go_on_from_the_memory(tmp_path: Path, memory: int, call: Call) -> None:
    lines = call(0), call(3)
    await half(tmp_path, memory, *lines)
    async with office(tmp_path, memory, kept=True, living=living(*lines)) as one:
        assert one.worker.desk.strangers == {}
        assert not (tmp_path / POSITIONS).exists(), "they hold no longer"
        await rest(one, *lines)


@pytest.mark.parametrize("deaths", [1, 2])
async def test_k3_d7_the_slab_in_hand_is_run_after_all_died_too(
    deaths: int, tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next worker first goes on with what lives, in turns of its own, and may die over it."""
    line = call(0)
    async with office(tmp_path, memory, kept=True) as one:
        await one.open(line)
        monkeypatch.setattr(one.state, "commit", die)
        line.talk(10)
        with pytest.raises(Dead):
            one.worker.intake.read(np.array([0]), time.monotonic_ns(), every=True)
        monkeypatch.undo()
    for _ in range(1, deaths):
        between = Office(tmp_path, memory, kept=True, living=living(line))
        monkeypatch.setattr(between.state, "commit", die)
        with pytest.raises(Dead):
            between.worker.recover()
        await between.leave()
    async with office(tmp_path, memory, kept=True, living=living(line)) as two:
        assert two.worker.recovery.found["datagrams_run_again"] == 10
        await two.open(line)
        told = await two.close(line)
        assert (told.outcome, told.gaps) == ("complete", ())
        assert np.array_equal(two.sound(line), line.truth)


async def test_d7_notes_of_a_version_with_other_columns_are_read(
    tmp_path: Path, memory: int, another: int, call: Call
) -> None:
    """The first worker's notes are laid out as an earlier version would, the second one finds them so."""
    line = call(0)
    await half(tmp_path, memory, line)
    earlier = np.dtype([(name, NOTE[name]) for name in reversed(NOTE.names or ()) if name != "text"])
    files = Files(tmp_path)
    assert notebooks.bring_up(files, earlier) == 1
    files.close()
    async with office(tmp_path, another, kept=True, living=living(line), window=56_000) as one:
        one.take(line.order, line.door.fileno())
        told = await one.close(line)
    [channel] = told.channels
    assert [stream.epochs[0].frame for stream in channel.streams] == [0]
    assert isinstance(channel.source, Source)
    assert channel.source.changes == (), "a note of the source's latch is read, and it is the only one"


@pytest.mark.parametrize("more", [{"window": 56_000}, {"taps": 3}, {"taps": 300}], ids=str)
async def test_d7_taps_go_on_in_a_memory_of_another_shape(
    tmp_path: Path, memory: int, another: int, call: Call, more: dict[str, Any]
) -> None:
    lines = call(0), call(2)
    await half(tmp_path, memory, *lines)
    assert (tmp_path / POSITIONS).exists()
    async with office(tmp_path, another, kept=True, living=living(*lines), **more) as one:
        assert not (tmp_path / POSITIONS).exists()
        await rest(one, *lines)


async def test_d7_a_tap_may_get_another_slot_where_the_memory_is_another(
    tmp_path: Path, memory: int, another: int, call: Call
) -> None:
    first = call(6)
    await half(tmp_path, memory, first)
    moved = Line(first.sender, first.door, replace(first.order, slot=1), first.sent)
    async with office(tmp_path, another, kept=True, taps=2, living={first.id: 1}) as one:
        one.take(moved.order, moved.door.fileno())
        one.hear()
        told = await one.close(moved)
        assert told.outcome == "complete"
        assert np.array_equal(one.sound(moved), first.truth)


@pytest.mark.parametrize("before", [0, 1], ids=["the first tap", "the second"])
async def test_p3_a_worker_that_dies_while_it_takes_positions_is_followed_by_one_that_takes_them(
    tmp_path: Path, memory: int, another: int, call: Call, before: int
) -> None:
    lines = call(0), call(3)
    await half(tmp_path, memory, *lines)
    shape: dict[str, Any] = {"kept": True, "window": 56_000, "living": living(*lines)}
    first = Office(tmp_path, another, **shape)
    unpack, left = first.worker.handover._carry.unpack, [None] * before

    def die(*given: Any) -> None:
        left.pop()
        unpack(*given)

    first.worker.handover._carry.unpack = die  # type: ignore[method-assign, assignment]
    with pytest.raises(IndexError):  # nobody catches it: the process is gone
        first.worker.recover()
    await first.leave()
    async with office(tmp_path, another, **shape) as one:
        assert one.worker.desk.strangers == {}
        assert not (tmp_path / POSITIONS).exists()
        await rest(one, *lines)


async def test_p3_a3_where_every_slot_is_taken_a_candidate_moves_into_a_spare_row(
    tmp_path: Path, memory: int, another: int, call: Call
) -> None:
    lines = call(0), call(1)
    async with office(tmp_path, memory, kept=True, taps=2) as one:
        await one.open(*lines)
        for each in lines:
            each.talk(25)
            each.talk(1, first=25, ssrc=9)
        one.hear()
        assert (one.state.live.rows["tap"] >= 0).sum() == 4
        await leave(one)
    async with office(tmp_path, another, kept=True, taps=2, window=56_000, living=living(*lines)) as one:
        assert one.worker.desk.strangers == {}
        assert (one.state.live.rows["tap"] >= 0).sum() == 4
        for each in lines:
            one.take(each.order, each.door.fileno())
            each.talk(25, first=26, ssrc=9)
        one.hear()
        for each in lines:
            told = await one.close(each)
            assert {stream.ssrc: stream.packets for stream in told.channels[0].streams}[9] == 26


async def test_what_does_not_live_any_more_is_free(tmp_path: Path, memory: int, call: Call) -> None:
    stays, goes = call(0), call(1)
    await half(tmp_path, memory, stays, goes)
    async with office(tmp_path, memory, kept=True, living=living(stays), repair=True) as one:
        assert one.worker.handover.held() == living(stays)
        await one.worker.begin(link.Ready(0, 1, False))
        (repaired,) = one.heard(link.Repaired)
        assert len(repaired.sidecars) == 1
        assert goes.id.encode() in repaired.sidecars[0]
        await rest(one, stays)


async def test_who_lives_and_is_known_nowhere_is_ended_by_c5_and_never_begun_anew(
    tmp_path: Path, memory: int, another: int, call: Call
) -> None:
    lost = call(0)
    await half(tmp_path, memory, lost)
    (tmp_path / POSITIONS).unlink()
    async with office(tmp_path, another, kept=True, window=56_000, living=living(lost), repair=True) as one:
        assert one.worker.desk.strangers == living(lost)
        one.take(lost.order, lost.door.fileno())
        await one.worker.begin(link.Ready(0, 1, False))
        (repaired,) = one.heard(link.Repaired)
        assert lost.id.encode() in repaired.sidecars[0]
        assert not one.heard(link.Opened)
        assert not one.heard(link.Refused)
        assert one.told(lost)["ending"] == "recovered"
        sound = one.sound(lost)
        assert np.array_equal(sound, lost.truth[: sound.size])
        assert sound.size == 25 * 160 - HORIZON, "what was still waited for lay in the memory alone"


async def test_who_lives_and_has_left_nothing_at_all_is_refused(tmp_path: Path, memory: int, call: Call) -> None:
    never = call(0)
    async with office(tmp_path, memory, kept=True, living=living(never), repair=True) as one:
        await one.worker.begin(link.Ready(0, 1, True))
        (refused,) = one.heard(link.Refused)
        assert (refused.slot, refused.recording_id, refused.code) == (never.slot, never.id, "lost")


@pytest.mark.parametrize("octets", [b"", b"\x00garbage", b"\x93\x63\x01\x80"], ids=["empty", "garbage", "another form"])
async def test_positions_that_mean_nothing_are_none(
    tmp_path: Path, memory: int, another: int, call: Call, octets: bytes
) -> None:
    lost = call(0)
    await half(tmp_path, memory, lost)
    (tmp_path / POSITIONS).write_bytes(octets)
    async with office(tmp_path, another, kept=True, window=56_000, living=living(lost)) as one:
        assert one.worker.desk.strangers == living(lost)
        assert not (tmp_path / POSITIONS).exists()


async def test_positions_of_a_recording_that_is_malformed_cost_only_that_one(
    tmp_path: Path, memory: int, another: int, call: Call
) -> None:
    well, ill = call(0), call(1)
    await half(tmp_path, memory, well, ill)
    told = msgspec.msgpack.decode((tmp_path / POSITIONS).read_bytes())
    told["taps"][ill.id]["rows"][0]["edge"] = "x"
    (tmp_path / POSITIONS).write_bytes(msgspec.msgpack.encode(told))
    async with office(tmp_path, another, kept=True, window=56_000, living=living(well, ill)) as one:
        assert one.worker.desk.strangers == living(ill)
        await rest(one, well)


async def test_without_a_keeper_nothing_is_written_down_and_all_is_concluded(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call(0)
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(25)
        await leave(one)
        rows, row = one.state.live.rows, one.tap(line)["row"]
        assert rows["playout"][row] == rows["edge"][row] > 0
    assert not (tmp_path / POSITIONS).exists()
