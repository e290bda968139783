"""Layout ``stereo``: two taps are one recording, left speak, right listen, whatever happens to either."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver import link
from receiver.archive import roll as rolls
from receiver.archive.check import check
from receiver.media.columns import TapState
from receiver.worker import rolling
from tests.archive.world import read_wav
from tests.media.rig import linear
from tests.worker.office import HORIZON, Line, Office, office, until

Call = Callable[..., Line]
PARTIES = ("speak", "listen")


@pytest.fixture
def another() -> Iterator[int]:
    """The memory of a next version."""
    descriptor = os.memfd_create("another")
    yield descriptor
    os.close(descriptor)


def pair(call: Call, slots: tuple[int, int] = (0, 3), **more: Any) -> tuple[Line, Line]:
    """Two lines of one recording."""
    first = call(slots[0], layout="stereo", direction=PARTIES[0], channel=0, channels=2, **more)
    second = call(
        slots[1], layout="stereo", direction=PARTIES[1], channel=1, channels=2, recording_id=first.id, **more
    )
    return first, second


def living(*lines: Line) -> dict[str, int]:
    return {link.tap_name(each.id, each.order.channel): each.slot for each in lines}


def frames(one: Office, which: Line) -> NDArray[np.int16]:
    """All frames of a recording, both channels."""
    told = one.told(which)
    files = [told["file"]] if told["file"] else [part["file"] for part in told["parts"]]
    return np.concatenate([read_wav(one.directory / "ready" / name) for name in files])


def assert_exact(one: Office, *lines: Line) -> None:
    """Each channel is what was sent on it, at the frame that its sidecar names, and silence elsewhere."""
    whole, told = frames(one, lines[0]), one.told(lines[0])
    assert whole.shape == (told["frames"], 2)
    for number, each in enumerate(lines):
        channel = told["channels"][number]
        assert (channel["party"], channel["tap_id"]) == (PARTIES[number], f"tap-{each.slot}")
        sound = np.zeros(len(whole), np.int16)
        if each.sent:
            [stream] = channel["streams"]
            first = stream["epochs"][0]["frame"]
            sound[first : first + each.truth.size] = each.truth
        assert np.array_equal(whole[:, number], sound)
    assert check(one.directory) == []


async def test_left_is_speak_and_right_is_listen_each_exact(tmp_path: Path, memory: int, call: Call) -> None:
    lines = pair(call)
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        assert len([name for name in one.spooled() if name.endswith(".part")]) == 2
        for k in range(4):
            for each in lines:
                each.talk(10, first=10 * k)
            one.hear()
        told = await one.close(lines[1])
        assert (told.outcome, told.layout, told.direction, told.tap_id) == ("complete", "stereo", "both", "tap-0")
        assert {message.slot for message in one.heard(link.Finished)} == {0, 3}
        assert {gap.reason for gap in told.gaps} <= {"not_sent"}
        assert_exact(one, *lines)
        assert one.spooled() == [f"{lines[0].id}.done"]


async def test_what_is_told_of_a_finished_recording_stays_until_both_taps_are_booked(
    tmp_path: Path, memory: int, call: Call
) -> None:
    lines = pair(call)
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        await one.close(lines[0])
        for left in ([f"{lines[0].id}.done"], []):
            await one.forget(lines[len(left) ^ 1])
            assert one.spooled() == left
        assert one.tap(0)["state"] == one.tap(3)["state"] == TapState.FREE


async def test_a_recording_begins_when_both_taps_are_there(tmp_path: Path, memory: int, call: Call) -> None:
    first, second = pair(call)
    async with office(tmp_path, memory) as one:
        one.take(second.order, second.door.fileno())
        one.take(link.Amend(second.slot, second.id, "call", "node", "theirs", {"team": "blue"}))
        await one.worker.errands.idle(1)
        assert not one.said
        assert one.spooled() == []
        await one.open(first)
        told = await one.close(first)
        assert (told.call_id, told.labels) == ("call", {"team": "blue"})
        assert [channel.control_id for channel in told.channels][1] == "theirs"
        assert told.channels[0].control_id != "theirs"


@pytest.mark.parametrize("which", [0, 1])
async def test_d5_a_side_that_nothing_came_for_is_silence_and_said(
    tmp_path: Path, memory: int, call: Call, which: int
) -> None:
    lines = pair(call)
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        lines[1 - which].talk(20)
        one.hear()
        told = await one.close(lines[0])
        assert (told.outcome, told.problem.code) == ("complete", "side_silent")
        assert f"Of {PARTIES[which]} nothing came" in told.problem.message
        assert [(gap.frame, gap.frames, gap.channel, gap.reason) for gap in told.gaps] == [
            (0, 3_200, which, "not_sent")
        ]
        assert_exact(one, *lines)


async def test_d5_two_sides_that_nothing_came_for_are_empty(tmp_path: Path, memory: int, call: Call) -> None:
    lines = pair(call)
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        told = await one.close(lines[0], "no_packets")
        assert (told.outcome, told.problem.code, told.file) == ("empty", "no_packets", None)
        assert len(told.channels) == 2


async def test_d4_a_side_that_was_refused_makes_it_degraded_and_is_said(
    tmp_path: Path, memory: int, call: Call
) -> None:
    lines = pair(call, held=True)
    fault = {"code": "relay_404", "message": "The tap of listen was refused.", "hint": "the call is over"}
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        one.take(link.Answer(lines[0].slot, lines[0].id, lines[0].order.announced))
        lines[0].talk(20)
        one.hear()
        one.take(link.Close(lines[0].slot, lines[0].id, "stopped", None, [fault]))
        told = await one.finished(lines[0])
        assert (told.outcome, told.problem.code) == ("degraded", "relay_404")
        assert_exact(one, *lines)


async def test_k5_a_next_worker_goes_on_with_both(tmp_path: Path, memory: int, call: Call) -> None:
    lines = pair(call)
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        for each in lines:
            each.talk(25)
        one.hear()
        one.drain()
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        for each in lines:
            each.talk(25, first=25)
        one.hear()
        told = await one.close(lines[1])
        assert told.outcome == "complete"
        assert_exact(one, *lines)


async def test_d7_both_go_on_in_a_memory_of_another_shape(
    tmp_path: Path, memory: int, another: int, call: Call
) -> None:
    lines = pair(call)
    async with office(tmp_path, memory, kept=True) as one:
        await one.open(*lines)
        for each in lines:
            each.talk(25)
        one.hear()
        assert await one.worker.end()
    async with office(tmp_path, another, kept=True, living=living(*lines), window=56_000) as one:
        assert one.worker.desk.strangers == {}
        await one.open(*lines)
        for each in lines:
            each.talk(25, first=25)
        one.hear()
        assert (await one.close(lines[0])).outcome == "complete"
        assert_exact(one, *lines)


async def test_c5_what_a_power_cut_left_of_both_is_brought_to_its_end(
    tmp_path: Path, memory: int, another: int, call: Call
) -> None:
    lines = pair(call)
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        for each in lines:
            each.talk(25)
        one.hear()
        await one.commit()
    async with office(tmp_path, another, repair=True) as one:
        await one.worker._repair()
        told = one.told(lines[0])
        assert (told["outcome"], told["ending"]) == ("degraded", "recovered")
        assert_exact(one, *lines)
        assert one.spooled() == []


@pytest.mark.parametrize(("encoding", "suffix"), [("g711", ".wav"), ("flac", ".flac")])
async def test_two_channels_in_every_encoding(
    tmp_path: Path, memory: int, call: Call, encoding: str, suffix: str
) -> None:
    soundfile = pytest.importorskip("soundfile")
    lines = pair(call)
    async with office(tmp_path, memory, encoding=encoding) as one:
        await one.open(*lines)
        for each in lines:
            each.talk(25)
        one.hear()
        told = await one.close(lines[0])
        assert (told.encoding, told.file[-len(suffix) :]) == (encoding, suffix)
        whole, _ = soundfile.read(tmp_path / "ready" / told.file, dtype="int16")
        for number, each in enumerate(lines):
            first = told.channels[number].streams[0].epochs[0].frame
            assert np.array_equal(whole[first : first + 4_000, number], each.truth)
        assert check(tmp_path) == []


async def roll_once(one: Office, lines: tuple[Line, ...], first: int, count: int = 40) -> None:
    """Both sides fill a segment."""
    segment = int(one.tap(lines[0])["segment"])
    for each in lines:
        each.talk(count, first=first)
    one.hear()
    one.drain()
    assert [one.tap(each)["segment"] for each in lines] == [segment + 1] * len(lines)


async def rolled(one: Office, lines: tuple[Line, ...]) -> None:
    """Until the parts before are a WAV."""
    await until(lambda: all(one.worker.shelf.taps[each.slot].before is None for each in lines))


async def test_c7_both_channels_go_on_in_the_next_file_without_a_missing_sample(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "LOOK_AGAIN_S", 0.0)
    real, paced = rolls.roll, []

    def watched(*given: Any) -> Any:
        paced.append([[len(pace.points) for pace in mine] for mine in given[-1]])
        return real(*given)

    monkeypatch.setattr(rolls, "roll", watched)
    lines = pair(call)
    async with office(tmp_path, memory, segment_frames=4_000) as one:
        await one.open(*lines)
        for k in range(3):
            await roll_once(one, lines, 41 * k)
            for each in lines:  # as if ten seconds were over
                one.worker.intake._pipeline.clock.pacing.turn(int(one.tap(each)["stream"]))
            one.state.commit()
            for each in lines:  # what lies before the cut of the one that is ahead is handed on later
                each.talk(1, first=41 * k + 40)
            one.hear()
            one.drain()
            await rolled(one, lines)
            assert len(list((tmp_path / "ready").glob("*.wav"))) == k + 1
            await one.commit()
            one.hear()
        told = await one.close(lines[0])
        assert paced[:3] == [[[k], [k]] for k in (1, 2, 3)], "what was known of their clocks by then"
        assert (told.outcome, len(told.parts), told.file) == ("complete", 4, None)
        assert {gap.reason for gap in told.gaps} <= {"not_sent", "drift"}  # this test's time is not its clocks'
        whole = frames(one, lines[0])
        for number, each in enumerate(lines):
            present = whole[:, number]
            for gap in told.gaps:
                assert gap.channel != number or not present[gap.frame : gap.frame + gap.frames].any()
            keep = np.ones(len(present), np.bool_)
            for gap in told.gaps:
                if gap.channel == number:
                    keep[gap.frame : gap.frame + gap.frames] = False
            assert np.array_equal(present[keep], each.truth)
        assert check(tmp_path) == []


@pytest.mark.parametrize("first", [0, 1])
async def test_a_pause_is_told_by_the_side_that_was_heard_first(
    tmp_path: Path, memory: int, call: Call, first: int
) -> None:
    lines = pair(call)
    early, late = lines[first], lines[1 - first]
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        turned: list[int] = []

        def turn() -> None:
            turned.append(time.monotonic_ns())
            for each in lines:
                one.take(link.Pause(each.slot, each.id, len(turned), turned[:]))

        early.talk(40)
        one.hear()
        turn()
        early.talk(20, first=40)
        one.hear()
        turn()
        early.talk(20, first=60)
        late.talk(20)
        one.hear()
        told = await one.close(early)
        [pause] = told.pauses
        assert pause.frame <= 40 * 160
        assert pause.frame + pause.frames >= 60 * 160
        kept_out = [(gap.frame, gap.frames) for gap in told.gaps if (gap.channel, gap.reason) == (first, "paused")]
        assert kept_out == [(40 * 160, 20 * 160)]


async def test_c7_a_side_that_fell_silent_before_the_cut_was_not_failed_to_be_written(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "LOOK_AGAIN_S", 0.0)
    lines = pair(call)
    async with office(tmp_path, memory, segment_frames=9_000) as one:
        await one.open(*lines)
        for first, count, sides in ((0, 20, lines), (20, 60, lines[:1]), (80, 20, lines[:1])):
            for each in sides:
                each.talk(count, first=first)
            one.hear()
            one.drain()
            await one.commit()
        told = await one.close(lines[0])
        assert (told.outcome, len(told.parts)) == ("complete", 2)
        assert {(gap.channel, gap.reason) for gap in told.gaps} <= {(0, "not_sent"), (1, "not_sent")}
        whole = frames(one, lines[0])
        for number, each in enumerate(lines):
            keep = np.ones(len(whole), np.bool_)
            for gap in told.gaps:
                if gap.channel == number:
                    keep[gap.frame : gap.frame + gap.frames] = False
            assert np.array_equal(whole[keep, number], each.truth)
        assert check(tmp_path) == []


async def test_c7_what_came_for_a_published_segment_after_a_silence_is_said_to_be_lost(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(rolling, "SETTLED_NS", 0)
    lines = pair(call)
    async with office(tmp_path, memory, segment_frames=9_000) as one:
        await one.open(*lines)
        for first, count, sides in ((0, 20, lines), (20, 60, lines[:1])):
            for each in sides:
                each.talk(count, first=first)
            one.hear()
            one.drain()
            await one.commit()
        await rolled(one, lines)
        lines[1].talk(80, first=20)  # as after a stall of its network
        one.hear()
        one.drain()
        told = await one.close(lines[0])
        assert (told.outcome, told.problem.code) == ("degraded", "late_lost")
        assert check(tmp_path) == []


async def test_c7_a_side_whose_socket_nobody_read_was_not_silent_before_the_cut(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies between the roll and its WAV; what one side had sent for the part before waits in its socket."""
    monkeypatch.setattr(rolling, "LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(rolling, "SETTLED_NS", 0)
    lines = pair(call)
    async with office(tmp_path, memory, segment_frames=9_000) as one:
        await one.open(*lines)
        for each, count in zip(lines, (80, 20), strict=True):
            each.talk(count)
        one.hear()
        with monkeypatch.context() as patched:
            patched.setattr(rolling.Rolling, "resume", lambda *_: None)
            one.drain()
        assert one.tap(lines[0])["segment"] == 1
        await one.sync()
    lines[1].talk(30, first=20)
    async with office(tmp_path, memory, segment_frames=9_000) as two:
        looks: list[bool] = []
        real = rolling.Rolling._has_passed

        def looked(*given: Any) -> bool:
            looks.append(real(*given))
            return looks[-1]

        monkeypatch.setattr(rolling.Rolling, "_has_passed", looked)
        await two.open(*lines)
        await until(lambda: looks)
        assert not looks[-1], "what waits in the second one's socket belongs into the part before"
        two.hear()
        two.drain()
        told = await two.close(lines[0])
        assert told.outcome == "complete"
        whole = frames(two, lines[0])
        for packet in lines[1].sent:
            assert linear(packet.payload).tobytes() in whole[:, 1].tobytes()
        assert check(tmp_path) == []


async def test_k5_a_ring_full_of_what_came_for_a_published_segment_is_given_back(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is written anywhere, and a commit tells of files that are."""
    monkeypatch.setattr(rolling, "LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(rolling, "SETTLED_NS", 0)
    lines = pair(call)
    async with office(tmp_path, memory, segment_frames=30_000, window=28_000) as one:
        await one.open(*lines)
        lines[1].talk(20)
        for first in range(0, 240, 40):
            lines[0].talk(40, first=first)
            one.hear()
            await one.commit()
            one.slices()
        await rolled(one, lines)
        assert one.tap(lines[1])["segment_frame"] > 200 * 160
        lines[1].talk(160, first=20)
        for _ in range(5):
            one.hear()
            await one.commit()
            one.slices()
        row = int(one.tap(lines[1])["row"])
        assert one.state.live.rows["edge"][row] == HORIZON + 180 * 160
        assert one.state.committed[row] == one.state.written[row] == HORIZON + 180 * 160


async def test_a15_sides_lie_beside_each_other_by_their_clocks_and_not_by_what_came_first(
    tmp_path: Path, memory: int, call: Call
) -> None:
    """All of the left side but one packet was half a second late: so says the one that was not."""
    lines = pair(call)
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        for each in lines:
            each.talk(10)
        one.hear()
        stream = int(one.tap(lines[0])["stream"])
        one.state.touch("streams", stream)
        one.state.now.streams["pace_arrival_ns"][stream] -= 500_000_000
        one.state.commit()
        told = await one.close(lines[0])
        left, right = (channel.streams[0].epochs[0].frame for channel in told.channels)
        assert left == 0
        assert right == pytest.approx(4_000, abs=400)  # the host's own delay between the two
        assert told.outcome == "complete"


async def test_c7_what_a_side_still_had_to_say_of_the_segment_before_is_in_it_when_the_recording_ends(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "LOOK_AGAIN_S", 0.0)
    lines = pair(call)
    async with office(tmp_path, memory, segment_frames=9_000) as one:
        await one.open(*lines)
        for each, count in zip(lines, (80, 20), strict=True):
            each.talk(count)
        one.hear()
        one.drain()
        assert one.tap(lines[0])["segment"] == 1
        lines[1].talk(30, first=20)
        one.hear()
        told = await one.close(lines[0])
        assert told.outcome == "complete"
        whole = frames(one, lines[0])
        for packet in lines[1].sent:
            assert linear(packet.payload).tobytes() in whole[:, 1].tobytes()
        assert check(tmp_path) == []
