"""All taps that live, in virtual time: every tap exactly one outcome, whatever a worker does."""

import asyncio
import dataclasses
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver import link
from receiver.control.means import NotNow, TapFailed
from receiver.control.taps import FINAL, Ending, State, Tap
from receiver.ledger.rows import FINAL_STATES, Problem, TapRow
from tests.control.made import NOON, WISH, World


def state_of(tap: Tap) -> State:
    """Where it is now; mypy takes an attribute that was compared once for what it was then."""
    return tap.state


async def test_a_tap_is_asked_for_opened_and_listens(world: World) -> None:
    task = await world.asked()
    (order,) = world.orders(link.Open)
    assert world.told[0][2] == (20_000,)  # its socket
    assert (await world.rows())[0].state == "requested"  # before the worker has said anything
    assert not task.done()
    world.roster.hear(0, link.Opened(order.slot, order.recording_id))
    tap = await task
    assert tap.state is State.LISTENING
    row = await world.row(tap.id)
    assert (row.state, row.listening_ns, row.port, row.address) == ("listening", NOON, 20_000, "127.0.0.1")


async def test_the_whole_life_of_a_tap(world: World) -> None:
    tap = await world.open()
    world.roster.hear(0, link.Happened(tap.slot, tap.recording_id, "receiving", NOON + 5, {"source": "192.0.2.1"}))
    assert tap.state is State.RECEIVING
    world.report(tap, packets=50, lost=2)
    assert (tap.counts.packets, tap.counts.lost, tap.counts.edge_frames) == (50, 2, 8000)
    world.roster.stop(tap)
    assert world.orders(link.Close) == [link.Close(tap.slot, tap.recording_id, "stopped", None)]
    assert world.given_back == []
    world.finish(tap)
    await world.roster.until(tap, FINAL, 10)
    assert (tap.state, tap.outcome) == (State.FINISHED, "complete")
    assert world.orders(link.Forget) == [link.Forget(tap.slot, tap.recording_id)]
    assert world.given_back == [20_000]
    assert world.roster.get(tap.id) is None
    row = await world.row(tap.id)
    assert (row.outcome, row.ending, row.receiving_ns) == ("complete", "stopped", NOON + 5)


async def test_a_report_alone_tells_of_the_first_packet_too(world: World) -> None:
    tap = await world.open()
    world.report(tap, packets=0)
    assert state_of(tap) is State.LISTENING
    world.report(tap)
    world.roster.hear(0, link.Happened(tap.slot, tap.recording_id, "receiving", NOON + 9, {}))
    assert tap.state is State.RECEIVING
    assert tap.receiving_unix_ns == NOON


async def test_ledger_row_before_order_and_outcome_before_port(world: World) -> None:
    seen: list[str] = []
    ledger = world.clerk.ledger
    ask, end, told = ledger.ask, ledger.end, world.send

    def send(worker: int, message: link.ToWorker, descriptors: Any) -> None:
        seen.append(type(message).__name__)
        told(worker, message, descriptors)

    def asked(tap: TapRow, known: bool = False) -> bool:
        if not known:
            seen.append("asked")
        return ask(tap, known)

    def booked(tap_id: str, outcome: str, ending: str, problem: Problem | None, at_ns: int) -> bool:
        seen.append("booked")
        return end(tap_id, outcome, ending, problem, at_ns)

    ledger.ask = asked  # type: ignore[method-assign]
    ledger.end = booked  # type: ignore[method-assign]
    take = world.roster._means.take
    world.roster._means = world.roster._means._replace(
        send=send, take=lambda wish: take(wish)._replace(release=lambda: seen.append("port given back"))
    )
    tap = await world.open()
    world.roster.stop(tap)
    world.finish(tap)
    await world.roster.until(tap, FINAL, 10)
    assert seen == ["asked", "Open", "Close", "booked", "Forget", "port given back"]


async def test_p6_finished_that_comes_twice_is_booked_once(world: World) -> None:
    tap = await world.open()
    world.roster.stop(tap)
    world.finish(tap)
    world.finish(tap, "degraded")
    await world.roster.until(tap, FINAL, 10)
    world.finish(tap, "degraded")  # the worker died before it could forget, and says it again
    assert tap.outcome == "complete"
    assert (await world.row(tap.id)).outcome == "complete"
    assert world.orders(link.Forget) == [link.Forget(tap.slot, tap.recording_id)] * 2
    assert world.given_back == [20_000]


async def test_a_slot_and_a_port_are_free_again_only_after_the_outcome(tmp_path: Path) -> None:
    world = World(tmp_path, slots=1, most=1)
    tap = await world.open()
    world.roster.stop(tap)
    with pytest.raises(NotNow, match="max_taps"):
        await world.roster.open(WISH)
    world.finish(tap)
    await world.roster.until(tap, FINAL, 10)
    again = await world.open()
    assert (again.slot, again.port) == (tap.slot, 20_001)
    world.finish(tap, "degraded")  # late news of the one before are not news of this one
    world.roster.hear(0, link.Refused(tap.slot, tap.recording_id, "c", "m", "h"))
    await world.calm()
    assert again.state is State.LISTENING
    await world.over()


async def test_d4_a_refused_tap_fails_with_the_reason_and_frees_its_port(world: World) -> None:
    task = await world.asked()
    (order,) = world.orders(link.Open)
    world.roster.hear(0, link.Refused(order.slot, order.recording_id, "storage", "no space left", "make some"))
    with pytest.raises(TapFailed) as refused:
        await task
    assert (refused.value.problem.code, refused.value.problem.hint) == ("storage", "make some")
    assert world.given_back == [20_000]
    row = await world.row(refused.value.tap.id)
    assert (row.state, row.outcome, row.ending) == ("failed", "failed", "refused")
    assert world.orders(link.Forget) == [link.Forget(order.slot, order.recording_id)]


async def test_a_tap_that_no_worker_opens_is_refused_after_5_s_and_closed_once_it_is_opened(world: World) -> None:
    task = await world.asked()
    (order,) = world.orders(link.Open)
    world.passes(4.9)
    assert world.orders(link.Close) == []
    world.passes(0.1)
    with pytest.raises(TapFailed, match="not open after 5 s"):
        await task
    assert [close.ending for close in world.orders(link.Close)] == ["refused"]
    world.roster.hear(0, link.Opened(order.slot, order.recording_id))  # it had not yet what it was told to close
    assert [close.ending for close in world.orders(link.Close)] == ["refused", "refused"]
    tap = task.exception().tap  # type: ignore[union-attr]
    world.finish(tap, "failed", "refused")
    await world.roster.until(tap, FINAL, 10)
    assert (await world.row(tap.id)).outcome == "failed"


async def test_d5_no_packets_is_closed_with_a_hint_and_is_empty(world: World) -> None:
    tap = await world.open()
    world.passes(29)
    world.report()
    world.passes(1)
    assert world.orders(link.Close) == []  # the worker has not spoken since
    world.report()
    world.passes(0)
    (close,) = world.orders(link.Close)
    assert close.ending == "no_packets"
    assert "firewall" in close.problem["hint"]
    world.finish(tap, "empty", "no_packets", problem=close.problem)
    await world.roster.until(tap, FINAL, 10)
    row = await world.row(tap.id)
    assert (row.state, row.outcome) == ("finished", "empty")
    assert row.problem is not None


async def test_d6_silence_ends_a_tap_and_a_dead_worker_does_not(world: World) -> None:
    tap = await world.open()
    world.report(tap)
    world.roster.died(0)
    world.passes(120)
    world.roster.began(0)
    world.passes(1)
    assert world.orders(link.Close) == []
    world.report(tap, heard_s=1)  # what the kernel had queued meanwhile
    world.passes(58)
    world.report()
    world.passes(0)
    assert world.orders(link.Close) == []
    world.passes(2)
    world.report()
    world.passes(0)
    assert [close.ending for close in world.orders(link.Close)] == ["silence"]


async def test_a_tap_ends_at_its_longest(world: World) -> None:
    tap = await world.open()
    for _ in range(62):
        world.report(tap)
        world.passes(59)
    assert [close.ending for close in world.orders(link.Close)] == ["max_duration"]


async def test_stop_twice_is_once_and_the_first_ending_stands(world: World) -> None:
    tap = await world.open()
    world.roster.stop(tap)
    world.roster.stop(tap, ending=Ending.SILENCE)
    world.passes(4000)
    assert [close.ending for close in world.orders(link.Close)] == ["stopped"]


async def test_a_worker_may_end_a_tap_by_itself(world: World) -> None:
    """Rule C3: when no file can be written the newest taps are ended."""
    tap = await world.open()
    world.finish(tap, "degraded", "stopped")
    await world.roster.until(tap, FINAL, 10)
    assert (await world.row(tap.id)).outcome == "degraded"
    assert world.given_back == [20_000]


async def test_a_worker_that_was_started_again_is_told_of_every_living_tap_and_each_unanswered_close(
    world: World,
) -> None:
    first, second, third = [await world.open() for _ in range(3)]
    world.roster.stop(second)
    world.roster.stop(third)
    world.finish(third)
    await world.roster.until(third, FINAL, 10)
    before = world.orders(link.Open)
    belongings = list(world.roster.belongings(0))
    assert belongings == [
        (before[0], (20_000,)),
        (before[1], (20_001,)),
        (link.Close(second.slot, second.recording_id, "stopped", None), ()),
    ]
    assert first.state is State.LISTENING
    assert list(world.roster.belongings(1)) == []


async def test_b5_a_new_source_is_told_at_once_and_after_a_restart(world: World) -> None:
    tap = await world.open()
    world.roster.point(tap, "exact", ("192.0.2.9", 4000), "192.0.2.9:4000")
    assert world.orders(link.Source) == [link.Source(tap.slot, tap.recording_id, "exact", ("192.0.2.9", 4000))]
    ((order, _),) = world.roster.belongings(0)
    assert isinstance(order, link.Open)
    assert (order.policy, order.announced) == ("exact", ("192.0.2.9", 4000))
    assert (await world.row(tap.id)).source == "192.0.2.9:4000"


async def test_without_a_worker_there_is_no_tap(world: World) -> None:
    world.roster.died(0)
    with pytest.raises(NotNow, match="no media worker") as refused:
        await world.roster.open(WISH)
    assert refused.value.code == "no_worker"
    assert await world.rows() == []


async def test_without_a_port_there_is_no_tap_and_no_slot_is_lost(tmp_path: Path) -> None:
    world = World(tmp_path, slots=1, most=1, ports=0)
    for _ in range(2):
        with pytest.raises(NotNow) as refused:
            await world.roster.open(WISH)
        assert refused.value.code == "no_port"
    assert await world.rows() == []
    world.free.append(7)
    assert (await world.open()).port == 7
    await world.over()


async def test_max_taps_counts_those_that_are_being_asked_for(tmp_path: Path) -> None:
    world = World(tmp_path, slots=4, most=2)
    tasks = [asyncio.ensure_future(world.roster.open(WISH)) for _ in range(3)]
    await world.soon(lambda: tasks[2].done())
    with pytest.raises(NotNow, match="all 2 taps are in use"):
        await tasks[2]
    await world.soon(lambda: len(world.orders(link.Open)) == 2)
    for task in tasks[:2]:
        task.cancel()
    await world.over()


async def test_a_tap_goes_to_the_worker_with_most_room_that_is_ready(tmp_path: Path) -> None:
    world = World(tmp_path, workers=2, slots=3, most=6)
    workers = []
    for _ in range(4):
        await world.asked()
        workers.append(world.told[-1][0])
    assert sorted(workers) == [0, 0, 1, 1]
    world.roster.died(workers[0])
    await world.asked()
    assert world.told[-1][0] != workers[0]
    await world.over()


async def test_a_ledger_that_cannot_be_written_means_no_tap(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*arguments: object) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(world.clerk.ledger, "ask", ask)
    for _ in range(6):  # more often than there are slots
        with pytest.raises(NotNow) as refused:
            await world.roster.open(WISH)
        assert refused.value.code == "no_ledger"
    assert world.told == []
    assert world.given_back == [20_000, 20_001, 20_002, 20_003, 20_004, 20_005]


async def test_d7_going_down_ends_all_taps_and_accepts_nothing_new(world: World) -> None:
    taps = [await world.open() for _ in range(2)]
    going = asyncio.ensure_future(world.roster.close(10))
    await world.soon(lambda: len(world.orders(link.Close)) == 2)
    assert {close.ending for close in world.orders(link.Close)} == {"shutdown"}
    with pytest.raises(NotNow, match="going down"):
        await world.roster.open(WISH)
    for tap in taps:
        world.finish(tap, ending="shutdown")
    assert await going == 0
    assert [row.ending for row in await world.rows()] == ["shutdown", "shutdown"]


async def test_d7_going_down_does_not_wait_for_ever(world: World) -> None:
    await world.open()
    assert await world.roster.close(0.01) == 1


async def test_d7_a_tap_that_was_just_being_asked_for_is_ended_too(world: World) -> None:
    task = asyncio.ensure_future(world.roster.open(WISH))
    await asyncio.sleep(0)  # its ledger row is being written
    going = asyncio.ensure_future(world.roster.close(10))
    tap = await task
    assert tap.ending == "shutdown"
    world.finish(tap, "empty", "shutdown")
    assert await going == 0


async def test_waiting_ends_with_the_state_with_the_outcome_or_with_the_time(world: World) -> None:
    tap = await world.open()
    await world.roster.until(tap, {State.RECEIVING}, 0.01)
    waiting = [asyncio.ensure_future(world.roster.until(tap, {State.RECEIVING}, 10)) for _ in range(2)]
    await asyncio.sleep(0)
    world.finish(tap, "empty")
    await asyncio.gather(*waiting)
    assert tap.state is State.FINISHED


async def test_states_are_counted(world: World) -> None:
    first, _ = [await world.open() for _ in range(2)]
    world.report(first)
    assert world.roster.states() == {"receiving": 1, "listening": 1}


async def test_p6_a_daemon_that_dies_leaves_a_row_without_outcome_for_the_next_start(world: World) -> None:
    tap = await world.open()
    (row,) = await world.clerk.do(world.clerk.ledger.open_taps)
    assert row.id == tap.id


async def test_b5_what_an_operator_should_see_of_a_source_is_in_the_log(world: World) -> None:
    tap = await world.open()
    where: dict[str, Any] = {"source": "192.0.2.7", "port": 9}
    with structlog.testing.capture_logs() as said:
        for event in ("source_changed", "source_conflict", "unannounced", "unknown_payload_type", "epoch"):
            world.roster.hear(0, link.Happened(tap.slot, tap.recording_id, event, 1, where))
    events = ["source_changed", "source_conflict", "unannounced", "unknown_payload_type"]
    assert [line["event"] for line in said] == events
    assert all((line["log_level"], line["tap"], line["seen"]) == ("warning", tap.id, where) for line in said)


async def test_a_report_of_a_tap_that_had_the_slot_before_is_not_this_ones(world: World) -> None:
    tap = await world.open()
    other = dataclasses.replace(tap, recording_id="before")
    world.report(other)
    assert (tap.state, tap.counts.packets) == (State.LISTENING, 0)


async def test_news_of_nobody_are_not_news(world: World) -> None:
    world.roster.hear(0, link.Opened(2, "nobody"))
    world.roster.hear(0, link.Happened(2, "nobody", "receiving", 1, {}))
    world.roster.hear(0, link.Ready(0, 1, True))
    world.roster.hear(0, link.Refused(2, "nobody", "c", "m", "h"))
    world.roster.hear(0, link.Finished(2, "nobody", b"{}"))
    assert world.orders(link.Forget) == [link.Forget(2, "nobody")] * 2
    assert await world.rows() == []


async def test_a_report_of_many_taps_is_one_job_for_the_ledger(tmp_path: Path) -> None:
    world = World(tmp_path, slots=4000, most=4000, ports=4000)
    tasks = [asyncio.ensure_future(world.roster.open(WISH)) for _ in range(300)]
    await world.soon(lambda: len(world.orders(link.Open)) == 300)
    for order in world.orders(link.Open):
        world.roster.hear(0, link.Opened(order.slot, order.recording_id))
    taps = await asyncio.gather(*tasks)
    jobs: list[object] = []
    post = world.clerk.post

    def posted(verb: Any, *rest: Any, **more: Any) -> None:
        jobs.append(verb)
        post(verb, *rest, **more)

    world.clerk.post = posted  # type: ignore[method-assign]
    world.report(*taps)
    world.report(*taps)
    assert len(jobs) == 1
    assert world.roster.states() == {"receiving": 300}
    assert [row.state for row in await world.rows()] == ["receiving"] * 300
    await world.over()


steps = st.lists(
    st.tuples(
        st.sampled_from(["open", "opened", "refused", "packet", "report", "stop", "finished", "die", "pass", "empty"]),
        st.integers(0, 3),
    ),
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_p6_any_story_ends_with_one_outcome_each_and_every_port_given_back(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def story() -> None:
        world = World(tmp_path_factory.mktemp("story"), slots=3, most=3)
        tasks: list[asyncio.Task[Any]] = []
        for step, which in steps:
            await _tell(world, tasks, step, which)
        await _bring_to_an_end(world)
        await asyncio.gather(*tasks, return_exceptions=True)
        rows = await world.rows()
        assert [row.state in FINAL_STATES and row.outcome is not None for row in rows] == [True] * len(rows)
        assert len(rows) == len(world.orders(link.Open)) == len(world.given_back)
        assert sorted(world.given_back) == sorted(set(world.given_back))
        assert world.roster._places.room(0) == 3
        assert world.roster.states() == {}
        await world.over()

    asyncio.run(story())


async def _tell(world: World, tasks: list[asyncio.Task[Any]], step: str, which: int) -> None:
    orders = world.orders(link.Open)
    if step == "open":
        tasks.append(await world.asked())
    elif step == "die":
        world.roster.died(0)
        list(world.roster.belongings(0))
        world.roster.began(0)
    elif step == "pass":
        world.passes([1, 6, 31, 61][which])
        world.report()
    elif orders:
        order = orders[-1 - which % len(orders)]
        tap = world.roster.get(order.tap_id)
        match step:
            case "opened":
                world.roster.hear(0, link.Opened(order.slot, order.recording_id))
            case "refused":
                world.roster.hear(0, link.Refused(order.slot, order.recording_id, "c", "m", "h"))
            case "packet":
                world.roster.hear(0, link.Happened(order.slot, order.recording_id, "receiving", 1, {}))
            case "report" if tap:
                world.report(tap)
            case "stop" if tap:
                world.roster.stop(tap)
            case "finished" | "empty":
                _finish(world, order, "complete" if step == "finished" else "empty")
    await world.clerk.do(int)


def _finish(world: World, order: link.Open, outcome: str) -> None:
    octets = f'{{"recording_id":"{order.recording_id}","tap_id":"{order.tap_id}",' \
        f'"outcome":"{outcome}","ending":"stopped"}}'  # fmt: skip
    world.roster.hear(0, link.Finished(order.slot, order.recording_id, octets.encode()))


async def _bring_to_an_end(world: World) -> None:
    going = asyncio.ensure_future(world.roster.close(10))
    for order in world.orders(link.Open):
        _finish(world, order, "degraded")
    assert await going == 0


class Attendant:
    """Who speaks with the relay: remembers what the roster asked, and takes its time."""

    def __init__(self, leaves: bool = True) -> None:
        self.leaves = leaves
        self.begun: list[Tap] = []
        self.left: list[Tap] = []
        self.resumed: list[Tap] = []

    def begin(self, tap: Tap) -> None:
        self.begun.append(tap)

    def resume(self, tap: Tap) -> None:
        self.resumed.append(tap)

    def leave(self, tap: Tap) -> bool:
        self.left.append(tap)
        return self.leaves


OWN: dict[str, Any] = {"own": True, "call_id": "c-1", "node_id": "n-1", "policy": "announced", "source": None}


async def own_tap(world: World, attendant: Attendant, **more: Any) -> Tap:
    """One of our own, durable, about to be asked for on the relay."""
    world.roster.attended_by(attendant)
    tap = await world.roster.ask(WISH._replace(**OWN | more))
    world.roster.hear(0, link.Opened(tap.slot, tap.recording_id))
    return tap


async def test_b1_a_tap_of_our_own_is_asked_for_when_it_is_durable_and_read_when_it_is_accepted(world: World) -> None:
    attendant = Attendant()
    world.roster.attended_by(attendant)
    tap = await world.roster.ask(WISH._replace(**OWN))
    (order,) = world.orders(link.Open)
    assert (order.held, order.announced, order.control_id) == (True, None, tap.id)
    assert not attendant.begun
    for _ in range(2):
        world.roster.hear(0, link.Opened(tap.slot, tap.recording_id))
    assert attendant.begun == [tap]
    assert not tap.accepted
    world.roster.accept(tap, ("203.0.113.9", 27_654))
    assert world.orders(link.Answer) == [link.Answer(tap.slot, tap.recording_id, ("203.0.113.9", 27_654))]
    assert tap.state is State.LISTENING
    await world.calm()
    assert (await world.row(tap.id)).control_id == tap.id


async def test_k_a_worker_that_is_started_again_is_told_whether_the_relay_has_answered(world: World) -> None:
    tap = await own_tap(world, Attendant())
    held = [message.held for message, _ in world.roster.belongings(0) if isinstance(message, link.Open)]
    world.roster.accept(tap, ("203.0.113.9", 27_654))
    again = [message for message, _ in world.roster.belongings(0) if isinstance(message, link.Open)]
    assert (held, again[0].held, again[0].announced) == ([True], False, ("203.0.113.9", 27_654))


async def test_d7_a_tap_of_our_own_is_stopped_on_the_relay_before_the_worker_closes_it(world: World) -> None:
    attendant = Attendant()
    tap = await own_tap(world, attendant)
    world.roster.accept(tap, None)
    world.roster.stop(tap)
    world.roster.stop(tap)
    assert attendant.left == [tap]
    assert tap.state is State.FINISHING
    assert not world.orders(link.Close)
    assert not [message for message, _ in world.roster.belongings(0) if isinstance(message, link.Close)]
    world.roster.close_tap(tap)
    assert [order.ending for order in world.orders(link.Close)] == ["stopped"]
    world.finish(tap)
    await world.roster.until(tap, FINAL, 10)
    world.roster.close_tap(tap)  # the relay is slow: it is over by now
    assert len(world.orders(link.Close)) == 1


async def test_d4_a_tap_that_the_relay_refuses_is_closed_at_once(world: World) -> None:
    tap = await own_tap(world, Attendant(leaves=False))
    world.roster.stop(tap, Ending.REFUSED, Problem("relay_400", "no"))
    (close,) = world.orders(link.Close)
    assert (close.ending, close.problem) == ("refused", {"code": "relay_400", "message": "no", "hint": ""})
    world.finish(tap, "failed", "refused")
    await world.roster.until(tap, FINAL, 10)
    assert tap.state is State.FAILED


async def test_a_tap_that_was_stopped_before_it_was_durable_is_never_asked_for(world: World) -> None:
    attendant = Attendant(leaves=False)
    world.roster.attended_by(attendant)
    tap = await world.roster.ask(WISH._replace(**OWN))
    world.roster.stop(tap)
    world.roster.hear(0, link.Opened(tap.slot, tap.recording_id))
    assert not attendant.begun
    assert len(world.orders(link.Close)) == 2  # the first one may have come too early for the worker


async def test_b2_a_door_that_only_one_may_use_is_exact(world: World) -> None:
    tap = await own_tap(world, Attendant(), device="ws")
    (order,) = world.orders(link.Open)
    assert (order.policy, order.announced) == ("exact", ("127.0.0.1", 4))
    world.roster.accept(tap, ("203.0.113.9", 27_654))  # the platform's own word of itself says nothing of our pair
    assert world.orders(link.Answer)[0].announced == ("127.0.0.1", 4)
    await world.calm()
    row = await world.row(tap.id)
    assert (row.device, row.address, row.port) == ("ws", None, None)


async def test_what_is_learned_of_a_tap_goes_to_the_worker_and_into_the_ledger(world: World) -> None:
    tap = await world.open()
    world.roster.amend(tap, call_id="c-9", labels={"team": "red"})
    assert world.orders(link.Amend) == [
        link.Amend(tap.slot, tap.recording_id, "c-9", None, None, {"team": "red"})
    ]
    await world.calm()
    row = await world.row(tap.id)
    assert (row.call_id, row.labels) == ("c-9", {"team": "red"})


async def test_d10_an_open_tap_has_a_secret_of_its_own_while_it_lives(world: World) -> None:
    one, other = await world.open(), await world.open()
    assert one.secret is not None
    assert one.secret != other.secret
    assert world.roster.by_secret(one.secret) is one
    world.roster.stop(one)
    world.finish(one)
    await world.roster.until(one, FINAL, 10)
    assert world.roster.by_secret(one.secret) is None
    assert (await own_tap(world, Attendant())).secret is None

