"""Rule A12 in a worker: two SSRCs alive at once are two channels of one file, whatever dies and rolls meanwhile."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.archive.check import check
from receiver.worker import rolling
from tests.archive.world import read_wav
from tests.media.rig import Sent, linear, talk
from tests.worker.office import Line, Office, office, until

Call = Callable[..., Line]


@pytest.fixture
def another() -> Iterator[int]:
    """The memory of a next version."""
    descriptor = os.memfd_create("another")
    yield descriptor
    os.close(descriptor)


class Pair:
    """Two SSRCs from one source to one tap."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.sent: tuple[list[Sent], list[Sent]] = ([], [])

    def talk(self, one: Office, count: int, first: int) -> None:
        """Both speak at once; the worker hears each packet as if a second had passed where it must."""
        for k in range(first, first + count):
            for number, ssrc in enumerate((7, 8)):
                packets = talk(1, sequence=100 + k, timestamp=(number << 30) + 160 * k, seed=number + 1, ssrc=ssrc)
                self.line.send(packets)
                self.sent[number].extend(packets)
        one.hear()

    def truth(self, number: int) -> NDArray[np.int16]:
        return np.concatenate([linear(packet.payload) for packet in self.sent[number]])


def age(one: Office, seconds: int = 2) -> None:
    """As if what was heard had begun so long ago: it is not wall time that decides here."""
    streams = one.state.now.streams
    streams["born_ns"] -= seconds * 1_000_000_000
    one.state.touch("streams", np.arange(streams.size))
    one.state.commit()


def assert_exact(one: Office, pair: Pair, channels: int = 2) -> None:
    """Each SSRC is in a channel of its own, from the frame that its epoch names, and nothing else is."""
    told = one.told(pair.line)
    files = [told["file"]] if told["file"] else [part["file"] for part in told["parts"]]
    whole = np.concatenate([_wide(read_wav(one.directory / "ready" / name), channels) for name in files])
    assert [channel["party"] for channel in told["channels"]] == ["unknown"] * channels
    for number, channel in enumerate(told["channels"]):
        [stream] = channel["streams"]
        assert (stream["ssrc"], stream["packets"], stream["lost"]) == (7 + number, len(pair.sent[number]), 0)
        sound, first = np.zeros(len(whole), np.int16), stream["epochs"][0]["frame"]
        sound[first : first + pair.truth(number).size] = pair.truth(number)
        assert np.array_equal(whole[:, number], sound)
    assert check(one.directory) == []


def _wide(samples: NDArray[np.int16], channels: int) -> NDArray[np.int16]:
    """A file of a time when there was one channel less."""
    return np.pad(samples, ((0, 0), (0, channels - samples.shape[1])))


async def begun(one: Office, pair: Pair) -> None:
    """Both are heard, each on a row of its own."""
    await one.open(pair.line)
    pair.talk(one, 30, 0)
    age(one)
    pair.talk(one, 5, 30)
    assert one.tap(pair.line)["further"] == 1


async def test_a12_two_ssrcs_at_once_are_two_channels_in_order_of_arrival(
    tmp_path: Path, memory: int, call: Call
) -> None:
    pair = Pair(call())
    async with office(tmp_path, memory) as one:
        await begun(one, pair)
        one.drain()
        pair.talk(one, 20, 35)
        told = await one.close(pair.line)
        assert (told.outcome, told.layout) == ("complete", "mono")
        assert_exact(one, pair)
        assert one.spooled() == [f"{pair.line.id}.done"]
        await one.forget(pair.line)
        assert one.spooled() == []


async def test_k5_a_next_worker_goes_on_with_both_rows(tmp_path: Path, memory: int, call: Call) -> None:
    pair = Pair(call())
    async with office(tmp_path, memory) as one:
        await begun(one, pair)
        await one.commit()
        pair.talk(one, 10, 35)
    async with office(tmp_path, memory) as one:
        await one.open(pair.line)
        pair.talk(one, 10, 45)
        assert (await one.close(pair.line)).outcome == "complete"
        assert_exact(one, pair)


async def test_d7_both_go_on_in_a_memory_of_another_shape(
    tmp_path: Path, memory: int, another: int, call: Call
) -> None:
    pair = Pair(call())
    async with office(tmp_path, memory, kept=True) as one:
        await begun(one, pair)
        assert await one.worker.end()
    living = {pair.line.id: pair.line.slot}
    async with office(tmp_path, another, kept=True, living=living, window=56_000) as one:
        assert one.worker.desk.strangers == {}
        await one.open(pair.line)
        pair.talk(one, 10, 35)
        assert (await one.close(pair.line)).outcome == "complete"
        assert_exact(one, pair)


async def test_c5_what_a_power_cut_left_of_both_is_brought_to_its_end(
    tmp_path: Path, memory: int, another: int, call: Call
) -> None:
    pair = Pair(call())
    async with office(tmp_path, memory) as one:
        await begun(one, pair)
        await one.commit()
    async with office(tmp_path, another, repair=True) as one:
        await one.worker._repair()
        told = one.told(pair.line)
        assert (told["outcome"], told["ending"], len(told["channels"])) == ("degraded", "recovered", 2)
        whole = read_wav(tmp_path / "ready" / told["file"])
        for number in (0, 1):
            [stream] = told["channels"][number]["streams"]
            first, truth = stream["epochs"][0]["frame"], pair.truth(number)
            assert np.array_equal(whole[first : first + truth.size, number], truth)
        assert one.spooled() == []
        assert check(tmp_path) == []


async def test_k5_a_death_between_the_roll_and_the_first_write_of_a_channel_loses_nothing(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "LOOK_AGAIN_S", 0.0)
    pair = Pair(call())
    async with office(tmp_path, memory, segment_frames=8_000) as one:
        await begun(one, pair)
        pair.talk(one, 40, 35)

        def die(cut: object) -> None:
            raise KeyError(cut)

        monkeypatch.setattr(one.worker.shelf, "write", die)
        with pytest.raises(KeyError):
            one.drain()
        assert one.tap(pair.line)["segment"] == 1
        monkeypatch.undo()
    async with office(tmp_path, memory, segment_frames=8_000) as one:
        await one.open(pair.line)
        pair.talk(one, 10, 75)
        told = await one.close(pair.line)
        assert (told.outcome, len(told.parts)) == ("complete", 2), str(told.gaps)
        assert_exact(one, pair)


async def test_c7_both_roll_over_together(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "LOOK_AGAIN_S", 0.0)
    pair = Pair(call())
    async with office(tmp_path, memory, segment_frames=8_000) as one:
        await begun(one, pair)
        pair.talk(one, 40, 35)
        one.drain()
        assert one.tap(pair.line)["segment"] == 1
        pair.talk(one, 2, 75)  # what lies before the cut of the one that is ahead is handed on later
        one.drain()
        await until(lambda: not one.worker.shelf.taps[pair.line.slot].is_rolling)
        pair.talk(one, 10, 77)
        told = await one.close(pair.line)
        assert (told.outcome, len(told.parts)) == ("complete", 2), str(told.gaps)
        assert_exact(one, pair)
