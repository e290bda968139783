"""Pauses, keys, comfort noise, loss and reordering together, against what each of them means."""

import struct
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.archive.sidecar import Digit
from receiver.media.columns import NoteKind
from receiver.wire.events import DIGITS
from receiver.worker import story
from tests.media.rig import HORIZON, MS, SECOND, START, WALL, Rig, Sent, codes, succeed, talk, truth
from tests.tools import count

NOISE, EVENT = 13, 101
SPREAD = 300  # ms by which packets overtake each other
NEAR_NS = 25 * MS  # a packet: so near to its end a pause need not know that a key began inside it


class Call(NamedTuple):
    """What was sent, and when each key began by the sender's clock (its timestamp → ns)."""

    sent: list[Sent]
    begun_ns: dict[int, int]


def call(dice: Random, units: int = 30) -> Call:
    """Speech, keys of 2 to 12 packets with three last ones, comfort noise; the clock goes on evenly."""
    sent: list[Sent] = []
    begun_ns: dict[int, int] = {}
    timestamp, sequence, at_ns = 50_000, 65_500, START
    for _ in range(units):
        kind = dice.choice(["speech", "speech", "key", "noise"]) if sent else "speech"
        if kind == "speech":
            for _ in range(dice.randrange(1, 12)):
                sent.append(Sent(at_ns, sequence, timestamp, codes(1, timestamp, 160)))
                sequence, timestamp, at_ns = sequence + 1, timestamp + 160, at_ns + 20 * MS
        elif kind == "noise":
            payload = bytes([dice.randrange(30, 70)])
            sent.append(Sent(at_ns, sequence, timestamp, payload, payload_type=NOISE))
            sequence, timestamp, at_ns = sequence + 1, timestamp + 1_600, at_ns + 200 * MS
        else:
            begun_ns[timestamp], event, packets = at_ns, dice.randrange(16), dice.randrange(2, 12)
            for k in range(packets + 2):
                held = min(k + 1, packets)
                payload = struct.pack("!BBH", event, 0x8A if k >= packets - 1 else 0x0A, 160 * held)
                sent.append(Sent(at_ns + 20 * k * MS, sequence, timestamp, payload, payload_type=EVENT))
                sequence += 1
            timestamp, at_ns = timestamp + 160 * (packets + 2), at_ns + 20 * (packets + 2) * MS
    return Call(sent, begun_ns)


def inside(at_ns: int, turns: list[int]) -> bool:
    """An odd number of turns came before."""
    return sum(turn_ns <= at_ns for turn_ns in turns) % 2 == 1


def run(arrived: list[Sent], turns: list[int], dice: Random, deaths: bool) -> Rig:
    """Slab by slab, each turn before what arrived behind it."""
    rig = Rig(strict=not deaths)
    rig.open()
    queue, due, now_ns = list(arrived), list(turns), START
    while queue or due:
        now_ns += dice.choice([20, 100, 300]) * MS
        while due and due[0] <= now_ns:
            at_ns = due.pop(0)
            rig.pipeline.pauses.turn(0, at_ns, at_ns + WALL - START)
            rig.commit()
        batch = [packet for packet in queue if packet.arrival_ns <= now_ns][: rig.room()]
        queue = queue[len(batch) :]
        if batch:
            rig.step(batch, now_ns)
        rig.review(now_ns)
        if dice.random() < 0.2:
            rig.drain(now_ns)
        if deaths and dice.random() < 0.3:
            succeed(rig)
    rig.finish(now_ns + SECOND)
    return rig


def notes(rig: Rig) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    return np.array([slot["note"] for slot in rig.notes()])


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(10, all=80, full=3_000), deadline=None)
def test_nothing_that_arrives_inside_a_pause_is_known_and_all_else_is(seed: int) -> None:
    dice = Random(seed)
    sent, begun_ns = call(dice)
    lose, spread_ns = dice.choice([0, 0, 0.1]), dice.choice([1, SPREAD]) * MS
    arrived = [
        packet._replace(arrival_ns=packet.arrival_ns + (k > 0) * dice.randrange(spread_ns))
        for k, packet in enumerate(sent) for _ in range(dice.choice([1, 1, 1, 2])) if not k or dice.random() >= lose
    ]  # fmt: skip
    arrived.sort(key=lambda packet: packet.arrival_ns)
    length_ms = (sent[-1].arrival_ns - START) // MS
    turns = sorted(START + dice.randrange(1, length_ms) * MS for _ in range(dice.randrange(6)))
    rig = run(arrived, turns, dice, deaths=dice.random() < 0.3)

    first: dict[int, Sent] = {}
    for packet in arrived:
        first.setdefault(packet.sequence, packet)
    kept = [packet for packet in first.values() if not inside(packet.arrival_ns, turns)]
    speech = [packet for packet in kept if packet.payload_type == 0]
    assert rig.parts[0].present() == truth(speech, sent[0].timestamp)
    assert rig.statistics()["packets"] == len(arrived)
    assert rig.tap()["flaws"] == 0

    origin = sent[0].timestamp - HORIZON
    outside = [packet for packet in arrived if not inside(packet.arrival_ns, turns)]  # of noise each copy tells it
    levels = {(p.timestamp - origin, -p.payload[0]) for p in outside if p.payload_type == NOISE}
    assert {(it.frame, it.level_dbov) for it in story.noises(notes(rig))} <= levels

    told = {digit.frame + origin: digit for digit in story.digits(notes(rig))}
    assert sorted(news.pressed.digit for news in rig.news if news.pressed) == sorted(it.digit for it in told.values())
    assert told.keys() <= begun_ns.keys()
    for timestamp, begin_ns in begun_ns.items():
        mine = [packet for packet in arrived if packet.payload_type == EVENT and packet.timestamp == timestamp]
        check(told.get(timestamp), mine, begin_ns, turns, spread_ns)


def check(told: Digit | None, mine: list[Sent], begin_ns: int, turns: list[int], spread_ns: int) -> None:
    """One key, of which these packets came: what may be told of it, and when it must be told whole."""
    muted = [k for k, packet in enumerate(mine) if inside(packet.arrival_ns, turns)]
    known = mine[: muted[0]] if muted else mine
    over = [at_ns for k, at_ns in enumerate(turns) if k % 2 and mine and at_ns <= mine[0].arrival_ns]
    begun_inside = bool(over) and begin_ns < over[-1] - NEAR_NS
    may = bool(known) and not begun_inside
    if not may:
        assert told is None
        return
    longest = max(int.from_bytes(packet.payload[2:], "big") for packet in known)
    if told is not None:
        assert (told.digit, told.frames) == (DIGITS[known[0].payload[0]], longest)
    else:
        assert over, "it began before any pause, and is not told"
        assert begin_ns < over[-1] + spread_ns + NEAR_NS, "it began behind the pause, and is not told"


def pressed(rig: Rig) -> list[tuple[str, int]]:
    """Digit and frames of each key that is told."""
    return [(digit.digit, digit.frames) for digit in story.digits(notes(rig))]


def key(at: int, packets: int = 5) -> list[Sent]:
    """Key 5, held so many packets of 20 ms, from the ``at``-th packet of `talk` on."""
    return [
        Sent(START + (at + k) * 20 * MS, 100 + at + k, 5_000 + at * 160, struct.pack(
            "!BBH", 5, 0x8A if k >= packets - 1 else 0x0A, min(160 * min(k + 1, packets), 0xFFFF)), payload_type=EVENT)
        for k in range(packets + 2)
    ]  # fmt: skip


def around(keys: list[Sent], packets: int = 100) -> list[Sent]:
    """Speech with a key instead of some of it, in order."""
    taken = {packet.sequence for packet in keys}
    return sorted([p for p in talk(packets) if p.sequence not in taken] + keys, key=lambda packet: packet.arrival_ns)


@pytest.mark.parametrize(
    ("paused_ms", "resumed_ms", "expected"),
    [
        (380, 5_000, []),  # before its first packet
        (450, 5_000, [("5", 480)]),  # it is held when the pause begins: what came until then
        (450, 470, [("5", 480)]),  # and goes on behind it
        (380, 450, []),  # it began inside
        (380, 505, []),  # only its last packets, which are repeated, come behind
        (100, 380, [("5", 800)]),  # it begins when the pause has ended
        (600, 5_000, [("5", 800)]),  # it is over
    ],
)
@pytest.mark.parametrize("lag", [0, 5])
def test_a8_a_key_over_the_edge_of_a_pause(
    paused_ms: int, resumed_ms: int, expected: list[tuple[str, int]], lag: int
) -> None:
    """``lag``: so many packets are read before the worker hears of the pause."""
    rig = Rig()
    rig.open()
    sent = around(key(20))
    instants = [START + paused_ms * MS, START + resumed_ms * MS]
    for packet in sent:
        while instants and packet.arrival_ns >= instants[0] + (len(instants) == 2) * lag * 20 * MS:
            at_ns = instants.pop(0)
            rig.pipeline.pauses.turn(0, at_ns, at_ns + WALL - START)
            rig.commit()
        rig.step([packet])
        rig.review(packet.arrival_ns)
    rig.finish(START + 3 * SECOND)
    if lag and resumed_ms < paused_ms + 100:
        assert len(pressed(rig)) <= len(expected)
    else:
        assert [digit for digit, _ in pressed(rig)] == [digit for digit, _ in expected]
    assert all(frames <= longest for (_, frames), (_, longest) in zip(pressed(rig), expected, strict=False))
    if not lag:
        assert pressed(rig) == expected
    assert len([news for news in rig.news if news.pressed]) == len(pressed(rig))


def test_a8_of_a_key_inside_a_pause_not_even_the_columns_know_which() -> None:
    rig = Rig()
    rig.open()
    rig.pipeline.pauses.turn(0, START + 300 * MS, WALL)
    rig.commit()
    rig.run(around(key(20)))
    assert not rig.aside()["keys"]["state"].any()
    assert not rig.aside()["keys"]["event"].any()
    assert not [slot for slot in rig.notes() if slot["note"]["kind"] == NoteKind.KEY]


def test_a8_a_key_that_is_held_for_longer_than_a_timestamp_tells_stays_out_behind_the_pause() -> None:
    rig = Rig()
    rig.open()
    first = key(20, 420)[:409]
    on = [
        p._replace(timestamp=p.timestamp + 0xFFFF, payload=struct.pack("!BBH", 5, 0x0A, 160 * (k + 1)))
        for k, p in enumerate(key(20, 600)[409:440])
    ]
    on = [p._replace(timestamp=5_000 + 20 * 160 + 0xFFFF) for p in on]
    sent = [*talk(20), *first, *on]
    rig.pipeline.pauses.turn(0, START + 300 * MS, WALL)
    rig.commit()
    rig.step(sent[:25])
    for begin in range(25, 425, 50):
        rig.step(sent[begin : begin + 50])
    rig.pipeline.pauses.turn(0, sent[425].arrival_ns, WALL)  # inside its first timestamp
    rig.commit()
    rig.step(sent[425:])
    rig.review(START + 20 * SECOND)
    assert pressed(rig) == []


def test_a8_without_any_speech_a_key_inside_a_pause_is_known_by_its_timestamp() -> None:
    rig = Rig()
    rig.open()
    short = [p._replace(payload=struct.pack("!BBH", 5, 0x8A, 100)) for p in key(0, 3)]
    rig.pipeline.pauses.turn(0, START - SECOND, WALL)
    rig.commit()
    rig.step(short[:3])
    rig.pipeline.pauses.turn(0, short[2].arrival_ns + MS, WALL)
    rig.commit()
    rig.step(short[3:])
    rig.step(key(50))
    rig.review(START + 5 * SECOND)
    assert pressed(rig) == [("5", 800)]


def test_a8_a_clock_that_jumps_back_behind_a_pause_does_not_silence_its_keys() -> None:
    rig = Rig()
    rig.open()
    rig.pipeline.pauses.turn(0, START + 300 * MS, WALL)
    rig.commit()
    rig.step(around(key(20), 50))
    rig.pipeline.pauses.turn(0, START + 3 * SECOND, WALL)
    rig.commit()
    back = [
        p._replace(
            arrival_ns=p.arrival_ns + 4 * SECOND, sequence=p.sequence + 50, timestamp=p.timestamp + 2**31 + 90_000
        )
        for p in around(key(30), 60)
    ]
    rig.run(back)
    assert pressed(rig) == [("5", 800)]
