"""The decoder: what libopus makes of packets in order; it ends with its worker, and no packet ends it."""

import subprocess
import sys

import numpy as np
import pytest

from receiver.decoder import Decode, Decoded, Drop, Streams, worker_end
from receiver.socketpair import pair
from tests import opus
from tests.wire.libopus import decoded

MADE = opus.packets(30)


def frames(count: int, first: int = 0) -> list[int]:
    return list(range(first, first + 960 * count, 960))


def sound_of(answer: Decoded | None) -> opus.Sound:
    assert answer is not None
    return np.concatenate([np.frombuffer(run, "<i2") for run in answer.sound])


def test_p1_packets_in_order_become_what_libopus_makes_of_them() -> None:
    streams = Streams()
    first = streams.take(Decode(1, 0, frames(10), list(MADE[:10]), []))
    second = streams.take(Decode(2, 0, frames(20, 9_600), list(MADE[10:])))
    assert np.array_equal(np.concatenate([sound_of(first), sound_of(second)]), np.concatenate(decoded(MADE)))
    assert second == Decoded(2, [9_600], [sound_of(second).tobytes()], 0)


def test_a6_a_hole_is_between_two_runs_and_nothing_is_made_up_for_it() -> None:
    kept = MADE[:5] + MADE[8:]
    answer = Streams().take(Decode(1, 0, frames(5) + frames(22, 8 * 960), list(kept), []))
    assert answer is not None
    assert answer.frames == [0, 8 * 960]
    assert np.array_equal(sound_of(answer), np.concatenate(decoded(kept)))


def test_streams_do_not_hear_each_other_and_one_that_begins_anew_has_forgotten() -> None:
    streams, other = Streams(), opus.packets(30, 2)
    mixed = [
        streams.take(Decode(1, 0, frames(30), list(MADE), [])), streams.take(Decode(2, 1, frames(30), list(other), []))
    ]  # fmt: skip
    assert [sound_of(each).tolist() for each in mixed] == [
        np.concatenate(decoded(each)).tolist() for each in (MADE, other)
    ]
    streams.take(Drop(1))
    again = streams.take(Decode(3, 0, frames(1), [MADE[20]], list(MADE[10:20])))
    assert np.array_equal(sound_of(again), decoded(MADE[10:21])[-1])


def test_what_is_no_packet_is_counted_and_leaves_a_hole() -> None:
    answer = Streams().take(Decode(1, 0, frames(4), [MADE[0], b"\xff", MADE[1], b"\x03"], []))
    assert answer is not None
    assert (answer.refused, answer.frames) == (2, [0, 1_920])
    assert np.array_equal(sound_of(answer), np.concatenate(decoded(MADE[:2])))


def test_absence_is_no_sample() -> None:
    """Random octets are loud: the lowest sample is clipped one above (media.block)."""
    dice = np.random.default_rng(1)
    loud = [bytes([31 << 3]) + dice.bytes(300) for _ in range(200)]
    answer = Streams().take(Decode(1, 0, frames(200), loud, []))
    wanted = np.concatenate(decoded(loud))
    assert wanted.min() == -32_768, "nothing was clipped"
    assert np.array_equal(sound_of(answer), np.maximum(wanted, -32_767))


@pytest.mark.all
async def test_it_ends_when_its_worker_does() -> None:
    ours, theirs = pair()
    number = theirs.fileno()
    running = subprocess.Popen(  # noqa: ASYNC220  # it is only begun here
        [sys.executable, "-W", "error", "-m", "receiver", "decoder", "--link", str(number)], pass_fds=[number]
    )
    theirs.close()
    end = worker_end(ours)
    end.send(Decode(1, 0, frames(30), list(MADE), []))
    received = await end.receive()
    assert received is not None
    assert np.array_equal(sound_of(received.message), np.concatenate(decoded(MADE)))
    end.close()
    assert running.wait(20) == 0
