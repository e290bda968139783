"""Rule A8: one entry for each key, whatever is lost, repeated or overtaken. Rule A7: levels of comfort noise."""

import struct
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media.columns import NoteKind
from receiver.media.pipeline import Pipeline
from receiver.wire import rtp
from receiver.worker import story
from tests.media.rig import HORIZON, MS, SECOND, START, Rig, Sent, succeed, talk
from tests.tools import count

NOISE, EVENT = 13, 101
LAST = 0x8A


def key(event: int, k: int, packets: int = 4, timestamp: int = 0, step: int = 160) -> list[Sent]:
    """A key held for ``packets`` packets, with three last ones, from the ``k``-th packet of `talk` on."""
    start = timestamp or 5_000 + (k - 100) * 160
    lengths = [step * (n + 1) for n in range(packets)] + [step * packets] * 2
    return [
        Sent(
            START + (k - 100 + n) * 20 * MS, k + n, start,
            struct.pack("!BBH", event, LAST if n >= packets - 1 else 0x0A, length), payload_type=EVENT,
        )
        for n, length in enumerate(lengths)
    ]  # fmt: skip


def call(*keys: list[Sent], packets: int = 100) -> list[Sent]:
    """Speech with keys instead of some of it."""
    taken = {packet.sequence for each in keys for packet in each}
    return [p for p in talk(packets) if p.sequence not in taken] + [p for each in keys for p in each]


def told(rig: Rig) -> list[tuple[str, int, int]]:
    """Digit, frame and frames, as the sidecar will have them."""
    notes = np.array([slot["note"] for slot in rig.notes()])
    return [(digit.digit, digit.frame, digit.frames) for digit in story.digits(notes)]


def heard(rig: Rig) -> list[str]:
    """The keys that were news."""
    return [news.pressed.digit for news in rig.news if news.pressed]


def opened() -> Rig:
    rig = Rig()
    rig.open()
    return rig


def test_a8_three_last_packets_are_one_key_that_begins_at_its_timestamp() -> None:
    rig = opened()
    rig.run(call(key(5, 120), key(11, 140, 7)))
    assert told(rig) == [("5", HORIZON + 20 * 160, 640), ("#", HORIZON + 40 * 160, 1_120)]
    assert heard(rig) == ["5", "#"]
    statistics = rig.statistics()
    assert statistics["packets"] == statistics["highest_sequence"] - statistics["base_sequence"] + 1


@given(st.integers(0, 1 << 32))
@settings(max_examples=count(20, all=80, full=3_000), deadline=None)
def test_a8_loss_repetition_and_reordering_make_no_key_and_lose_none(seed: int) -> None:
    dice = Random(seed)
    keys = [key(dice.randrange(16), at, dice.randrange(2, 6)) for at in (110, 122, 134, 146, 158)]
    kept = [[p for p in each if dice.random() < 0.6] or each[:1] for each in keys]
    sent = [p for p in talk(100) if p.sequence not in {q.sequence for each in keys for q in each}]
    sent += [p for each in kept for p in each for _ in range(dice.choice([1, 1, 2]))]
    rig = opened()
    rig.run([p._replace(arrival_ns=p.arrival_ns + (p.sequence > 100) * dice.randrange(390) * MS) for p in sent],
            tick_ns=dice.choice([20, 100, 700]) * MS)  # fmt: skip
    expected = [
        ("0123456789*#ABCD"[each[0].payload[0]], HORIZON + each[0].timestamp - 5_000,
         max(int.from_bytes(p.payload[2:], "big") for p in each)) for each in kept
    ]  # fmt: skip
    assert told(rig) == expected
    assert sorted(heard(rig)) == sorted(digit for digit, _, _ in expected)


def test_a8_a_key_without_its_last_packets_ends_with_its_last_duration_after_a_second() -> None:
    rig = opened()
    rig.run(call(key(7, 120)[:2]), finish=False)
    assert told(rig) == [("7", HORIZON + 20 * 160, 320)]


def test_a8_a_key_that_is_held_at_the_end_is_told() -> None:
    rig = opened()
    rig.run(call(key(7, 197)[:2], packets=98))
    assert told(rig) == [("7", HORIZON + 97 * 160, 320)]


def test_a8_a_key_held_longer_than_one_timestamp_can_tell_is_one_key() -> None:
    first = key(1, 120, 400)[:397]
    rest = [p._replace(payload=struct.pack("!BBH", 1, 0x0A, 0xFFFF)) for p in first[-1:]]
    on = [p._replace(timestamp=p.timestamp + 0xFFFF) for p in key(1, 520, 3, first[0].timestamp)]
    rig = opened()
    rig.run([*talk(20), *first[:-1], *rest, *on])
    assert told(rig) == [("1", HORIZON + 20 * 160, 0xFFFF + 480)]


@pytest.mark.parametrize("payload", [b"\x10\x8a\x00\xa0", b"\x05\x8a\x00", b"\xff\xff\xff\xff"])
def test_a8_flash_tones_and_what_is_cut_off_are_no_keys(payload: bytes) -> None:
    rig = opened()
    rig.run(call([Sent(START + 400 * MS, 120, 8_200, payload, payload_type=EVENT)]))
    assert told(rig) == []


def test_a8_masked_keys_are_written_nowhere() -> None:
    rig = opened()
    rig.pipeline = Pipeline(rig.state, HORIZON, rtp.payload_kinds(), [], mask_dtmf=True)
    rig.run(call(key(5, 120)))
    assert not any(slot["note"]["kind"] == NoteKind.KEY for slot in rig.notes())
    assert not heard(rig)
    assert not rig.aside()["keys"]["timestamp"].any()
    assert rig.count(rtp.Verdict.EVENT) == 6


def test_a8_keys_survive_a_worker() -> None:
    rig = Rig(strict=False)
    rig.open()
    for packet in sorted(call(key(5, 120), key(11, 140, 7)), key=lambda packet: packet.arrival_ns):
        rig.step([packet])
        succeed(rig)
    rig.review(START + 3 * SECOND)
    assert [digit for digit, _, _ in told(rig)] == ["5", "#"]


def test_a8_a_flood_of_keys_fills_its_own_share_of_the_log_and_the_tap_says_so() -> None:
    rig = opened()
    flood = [key(k % 16, 100 + k, 1, 10_000 + k * 3)[0] for k in range(1, 900)]
    rig.run([*talk(1), *flood])
    assert len([slot for slot in rig.notes() if slot["note"]["kind"] == NoteKind.KEY]) < 420
    assert rig.tap()["flaws"]


def test_a7_levels_of_comfort_noise_are_kept_where_they_change() -> None:
    levels = [40, 40, 40, 52, 52, 40]
    noise = [Sent(START + (10 + k) * 20 * MS, 110 + k, 6_600 + k * 160, bytes([level, 3]), payload_type=NOISE)
             for k, level in enumerate(levels)]  # fmt: skip
    for arrived in (noise, [noise[k] for k in (0, 1, 4, 3, 2, 5)]):
        rig = opened()
        times = [p.arrival_ns for p in noise]
        rig.run(call([p._replace(arrival_ns=at) for p, at in zip(arrived, times, strict=True)]))
        told_ = story.noises(np.array([slot["note"] for slot in rig.notes()]))
        first = HORIZON + 1_600
        assert [(it.frame, it.level_dbov) for it in told_] == [(first, -40), (first + 480, -52), (first + 800, -40)]


def test_a3_a_candidates_keys_wait_and_move_with_it() -> None:
    rig = opened()
    rig.step(talk(20))
    other = [p._replace(ssrc=9, arrival_ns=p.arrival_ns + 2 * SECOND) for p in call(key(5, 110), packets=40)]
    rig.run(other)
    [(digit, frame, frames)] = told(rig)
    [epoch] = [s["note"] for s in rig.notes() if s["note"]["kind"] == NoteKind.EPOCH and s["note"]["ssrc"] == 9]
    assert (digit, frame - int(epoch["frame"]), frames) == ("5", 1_600, 640)
