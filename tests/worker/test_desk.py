"""Every message may come twice and in any order; what fails in a task ends the worker, it is not swallowed."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from receiver import link
from receiver.archive import finish as finishing
from receiver.archive import sidecar
from receiver.archive.files import Files
from receiver.media.columns import Policy, TapState
from receiver.media.sources import News, Source
from tests.worker.office import Line, office, until

Call = Callable[..., Line]


def descriptors() -> int:
    """How many sockets this process has open; files come and go with the writer's thread."""
    found = 0
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own
            found += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    return found


async def test_open_twice_is_open_once_whenever_the_second_comes(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        one.take(line.order, line.door.fileno())
        one.take(line.order, line.door.fileno())  # while it is under way
        await until(lambda: one.heard(link.Opened))
        line.talk(10)
        one.slices()
        before = descriptors()
        one.take(line.order, line.door.fileno())  # when it is open
        assert descriptors() == before
        assert len(one.heard(link.Opened)) == 2
        line.talk(10, first=10)
        told = await one.close(line)
        assert told.channels[0].streams[0].packets == 20
        assert np.array_equal(one.sound(line), line.truth)


async def test_close_and_forget_twice_are_once(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)
        one.take(link.Close(0, line.id, "stopped", None))
        told = await one.close(line)
        assert len(one.heard(link.Finished)) == 1
        one.take(link.Close(0, line.id, "silence", None))  # control asks again: it gets the same answer again
        assert one.heard(link.Finished)[0] == one.heard(link.Finished)[1]
        await one.forget(line)
        await one.forget(line)
        one.take(link.Close(0, line.id, "stopped", None))
        assert len(one.heard(link.Finished)) == 2
        assert told.ending == "stopped"
        assert one.tap(0)["state"] == TapState.FREE


async def test_messages_about_an_unknown_tap_are_no_news(tmp_path: Path, memory: int, call: Call) -> None:
    line, stranger = call(), call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        for message in (
            link.Close(0, stranger.id, "stopped", None), link.Answer(0, stranger.id, None), link.Forget(0, stranger.id),
            link.Source(0, stranger.id, "any", None), link.Close(7, stranger.id, "stopped", None),
        ):  # fmt: skip
            one.take(message)
        await asyncio.sleep(0)
        assert one.tap(0)["policy"] == Policy.EXACT
        line.talk(10)
        await one.close(line)
        assert np.array_equal(one.sound(line), line.truth)
        assert len(one.said) == len(one.heard(link.Opened)) + len(one.heard(link.Happened)) + 1


async def test_p5_a_late_forget_of_an_earlier_recording_does_not_touch_the_one_that_has_its_slot(
    tmp_path: Path, memory: int, call: Call
) -> None:
    early, late = call(), call()
    async with office(tmp_path, memory) as one:
        await one.open(early)
        await one.close(early)
        await one.forget(early)
        await one.open(late)
        await one.forget(early)
        late.talk(10)
        one.slices()
        await one.close(late)
        assert np.array_equal(one.sound(late), late.truth)


async def test_what_is_said_before_the_tap_is_open_waits_until_it_is(tmp_path: Path, memory: int, call: Call) -> None:
    line, other = call(held=True), call(1)
    async with office(tmp_path, memory) as one:
        one.take(line.order, line.door.fileno())
        one.take(link.Source(0, line.id, "any", None))
        one.take(link.Answer(0, line.id, None))
        one.take(other.order, other.door.fileno())
        one.take(link.Close(1, other.id, "call_ended", None))
        told = await one.finished(other)
        assert (told.outcome, told.ending) == ("empty", "call_ended")
        assert (one.tap(0)["state"], one.tap(0)["policy"]) == (TapState.OPEN, Policy.ANY)


async def test_b1_a_held_tap_is_read_when_the_answer_is_there_and_loses_nothing(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call(held=True, announced=None, policy="announced")
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)
        one.slices()
        assert one.tap(0)["verdicts"].sum() == 0
        one.take(link.Answer(0, line.id, line.sender.getsockname()))
        await one.close(line)
        assert np.array_equal(one.sound(line), line.truth)


async def test_b1_an_answer_that_no_worker_heard_comes_with_the_next_open(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call(held=True, announced=None)
    async with office(tmp_path, memory) as one:
        await one.open(line)
    line.order = msgspec.structs.replace(line.order, held=False, announced=line.sender.getsockname())
    async with office(tmp_path, memory) as two:
        await two.open(line)
        line.talk(10)
        await two.close(line)
        assert np.array_equal(two.sound(line), line.truth)


async def test_k8_a_pause_that_no_worker_heard_comes_with_the_next_open_and_is_in_the_sidecar(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)
        one.hear()
    turned_ns = [time.monotonic_ns()]
    line.talk(10, first=10)
    turned_ns.append(time.monotonic_ns())
    line.talk(10, first=20)
    line.order = msgspec.structs.replace(line.order, turns=2, turned_ns=turned_ns)
    async with office(tmp_path, memory) as two:
        await two.open(line)
        two.hear()
        told = await two.close(line)
    assert [(gap.frame, gap.frames, gap.reason) for gap in told.gaps] == [(1_600, 1_600, "paused")]
    [pause] = told.pauses
    assert pause.until > pause.at
    assert told.outcome == "complete"
    assert told.channels[0].streams[0].packets == 30


async def test_k8_a_worker_whose_tap_is_paused_stays_so_when_control_knows_nothing_of_it(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        one.take(link.Pause(line.slot, line.id, 1, [time.monotonic_ns()]))
    line.talk(10)
    async with office(tmp_path, memory) as two:
        await two.open(line)
        two.hear()
        [news] = [each for each in two.heard(link.Happened) if each.event == "turned"]
        assert news.fields["turns"] == 1
        told = await two.close(line)
    assert (told.outcome, told.file, told.problem.code) == ("empty", None, "paused")


async def test_a_close_that_comes_before_the_open_after_a_death_waits_for_it(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)
        one.slices()
    async with office(tmp_path, memory) as two:
        two.take(link.Close(0, line.id, "stopped", None))
        await two.open(line)
        await two.finished(line)
        assert np.array_equal(two.sound(line), line.truth)


async def test_a_forget_that_overtakes_the_closing_waits_for_its_end(tmp_path: Path, memory: int, call: Call) -> None:
    """It was booked by what an earlier worker said, while this one was told to close it once more."""
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)
        await one.close(line)
    async with office(tmp_path, memory) as two:
        two.take(line.order, line.door.fileno())
        two.take(link.Close(0, line.id, "stopped", None))
        two.take(link.Forget(0, line.id))
        assert two.tap(0)["state"] != TapState.FREE
        await two.finished(line)
        await until(lambda: two.tap(0)["state"] == TapState.FREE)
        await until(lambda: two.spooled() == [])


async def test_b5_another_source_is_listened_to_when_the_api_says_so(tmp_path: Path, memory: int, call: Call) -> None:
    line, other = call(), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)
        one.slices()
        one.take(link.Source(0, line.id, "exact", other.sender.getsockname()))
        assert tuple(one.tap(0)["announced"])[2] == other.sender.getsockname()[1]
        assert one.tap(0)["stream"] == -1


async def test_b2_an_unannounced_source_is_told_with_both_addresses(tmp_path: Path, memory: int, call: Call) -> None:
    line = call(policy="announced", announced=("192.0.2.9", 4_000))
    async with office(tmp_path, memory) as one:
        await one.open(line)
        taps = one.state.now.taps
        one.state.touch("taps", 0)
        taps["answered_ns"][0] = time.monotonic_ns() - 3_000_000_000  # the answer came 3 s ago
        one.state.commit()
        line.talk(10)
        one.slices()
        events = {message.event: message.fields for message in one.heard(link.Happened)}
        address, port = line.sender.getsockname()
        assert events["receiving"] == {"source": address, "port": port}
        assert events["unannounced"] == {"source": address, "port": port, "announced": "192.0.2.9:4000"}


def test_events_have_the_names_of_the_contract(tmp_path: Path, memory: int) -> None:
    async def said() -> list[str]:
        async with office(tmp_path, memory) as one:
            here = Source.of("192.0.2.1", 4)
            one.worker.desk.happened([News(0, event, here) for event in ("receiving", "source_changed")])
            return [f"tap.{message.event}" for message in one.heard(link.Happened)]

    assert asyncio.run(said()) == ["tap.receiving", "tap.source_changed"]


async def test_what_fails_in_a_task_reaches_the_handler_that_ends_the_worker(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Any:
        raise RuntimeError("a defect")

    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        monkeypatch.setattr(finishing, "finish", broken)
        one.take(link.Close(0, line.id, "stopped", None))
        await until(lambda: one.fatal)
        assert str(one.fatal.pop()) == "a defect"


@pytest.mark.parametrize(
    "wrong", [{"policy": "whoever"}, {"law": 3}, {"announced": ("not an address", 1)}, {"recording_id": "../x"}]
)
async def test_an_order_that_means_nothing_is_refused_and_the_worker_lives(
    wrong: dict[str, Any], tmp_path: Path, memory: int, call: Call
) -> None:
    line, good = call(0, **wrong), call(1)
    async with office(tmp_path, memory) as one:
        before = descriptors()
        one.take(line.order, line.door.fileno())
        assert [message.code for message in one.heard(link.Refused)] == ["order"]
        assert descriptors() == before
        await one.open(good)


async def test_a_slot_whose_forget_no_worker_heard_is_clean_for_the_next_recording(
    tmp_path: Path, memory: int, call: Call
) -> None:
    """P5: booked, then the worker died before it could forget; control has given the slot to another tap."""
    early, late = call(), call()
    async with office(tmp_path, memory) as one:
        await one.open(early)
        early.talk(10)
        await one.close(early)
    async with office(tmp_path, memory) as two:
        await two.open(late)
        late.talk(5)
        told = await two.close(late)
        assert np.array_equal(two.sound(late), late.truth)
        assert told.channels[0].streams[0].packets == 5
        assert (two.state.live.rows["tap"] == 0).sum() == 1
        await until(lambda: two.spooled() == [f"{late.id}.done"])


async def test_b1_d4_a_held_tap_that_the_relay_refuses_is_a_sidecar_alone(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call(held=True, policy="announced", announced=None, control_id="tap-0", call_id="c-1", node_id="n-1")
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)  # sound that beat the refusal: the socket is not read before the answer
        one.slices()
        problem = {"code": "relay_400", "message": "no", "hint": "ask again"}
        one.take(link.Close(0, line.id, "refused", problem))
        told = await one.finished(line)
        assert (told.outcome, told.ending, told.file) == ("failed", "refused", None)
        assert told.problem == sidecar.Problem("relay_400", "no", "ask again")
        assert told.channels[0].control_id == "tap-0"
        assert not list((tmp_path / "ready").rglob("*.wav"))


async def test_b1_sound_that_beat_the_answer_is_recorded_and_the_answer_is_in_the_sidecar(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = call(held=True, policy="announced", announced=None)
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(10)
        one.slices()
        assert one.tap(line)["state"] == TapState.HELD
        one.take(link.Answer(0, line.id, line.sender.getsockname()))
        one.slices()
        line.talk(10, first=10)
        told = await one.close(line)
        assert np.array_equal(one.sound(line), line.truth)
        source = told.channels[0].source
        assert isinstance(source, sidecar.Source)
        assert source.announced == source.seen == "{}:{}".format(*line.sender.getsockname())
        assert source.trust == "announced"


async def test_what_is_learned_of_a_tap_is_in_its_sidecar(tmp_path: Path, memory: int, call: Call) -> None:
    line = call(labels={"team": "blue"})
    async with office(tmp_path, memory) as one:
        one.take(line.order, line.door.fileno())
        one.take(link.Amend(0, line.id, "c-0", None, None, {}))  # before it is open
        await until(lambda: one.heard(link.Opened))
        one.take(link.Amend(0, line.id, "c-1", "n-1", "theirs", {"team": "red"}))
        line.talk(10)
        told = await one.close(line)
        one.take(link.Amend(0, line.id, "c-2", "n-2", "late", {}))  # it is over: no draft may come back
        assert (told.call_id, told.node_id, told.labels) == ("c-1", "n-1", {"team": "red"})
        assert told.channels[0].control_id == "theirs"
        one.take(link.Forget(0, line.id))
        assert await one.worker.errands.idle(20)
        assert not [path for path in (tmp_path / "spool").iterdir() if path.name.startswith(line.id)]


class SlowDrafts(Files):
    """A disk that lets no draft be written again before it is told to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.leave = threading.Event()

    def write_durably(self, name: str, octets: bytes, mode: int = 0o600) -> None:
        if name.endswith(".draft"):
            self.leave.wait(20)
        super().write_durably(name, octets, mode)


async def test_c5_a_draft_that_is_on_its_way_is_waited_for_or_it_would_come_back_behind_the_sweep(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line, files = call(), SlowDrafts(tmp_path)
    async with office(tmp_path, memory, files) as one:
        await one.open(line)
        line.talk(10)
        one.take(link.Amend(0, line.id, "c-1", None, None, {}))
        closing = asyncio.ensure_future(one.close(line))
        await asyncio.wait([closing], timeout=0.5)  # without the wait it is over by now
        files.leave.set()
        assert (await closing).call_id == "c-1"
        assert await one.worker.errands.idle(20)
        assert not [path for path in (tmp_path / "spool").iterdir() if path.name.endswith(".draft")]



async def test_d8_the_log_is_as_loud_as_control_says(
    tmp_path: Path, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr("receiver.worker.desk.logs.configure", lambda level, form: told.append((level, form)))
    async with office(tmp_path, memory) as one:
        one.take(link.Loudness("debug", "json"))
    assert told == [("debug", "json")]
