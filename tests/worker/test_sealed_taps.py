"""Taps with a key in a worker: heard, told in the sidecar, gone on with after a death and a hand-over, or not."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from receiver import link
from receiver.keys import Key
from receiver.media.secured import Key as MediaKey
from receiver.wire.srtp import Suite
from tests.media.rig import talk
from tests.media.sealed import key_of, sealed
from tests.worker.office import Dead, Line, Office, die, office
from tests.worker.test_stereo import assert_exact, pair

Call = Callable[..., Line]
SUITE = "AES_CM_128_HMAC_SHA1_32"
MEDIA_KEY = key_of(Suite[SUITE])
KEY = Key(SUITE, MEDIA_KEY.octets)
FIRST = 65_520  # so that every call goes over a wrap
BEYOND = 200_000  # packets, an hour: what comes behind them is not read rightly by whoever has no index


@pytest.fixture
def sealed_call(call: Call) -> Call:
    return lambda slot=0: call(slot, policy="any", announced=None, suite=SUITE, key=KEY)


def say(line: Line, count: int, first: int = 0, key: MediaKey = MEDIA_KEY) -> None:
    packets = talk(count, sequence=FIRST + first, timestamp=5_000 + 160 * first, seed=line.slot + 1)
    line.send(sealed(packets, key))


def tell_index(one: Office, index: int) -> None:
    """As if the call had been heard up to there."""
    one.state.touch("contexts", 0)
    place = one.state.now.contexts["indices"][0, 0]
    place["ssrc"], place["index"], place["heard_ns"] = talk(1)[0].ssrc, index, time.monotonic_ns()
    one.state.commit()


def everything_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_b3_what_comes_sealed_is_recorded_and_the_sidecar_says_how(
    tmp_path: Path, memory: int, sealed_call: Call
) -> None:
    line = sealed_call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        say(line, 50)
        one.hear()
        line.sender.sendto(talk(1)[0].octets, line.door.getsockname())  # plain, and no part of the truth
        one.slices()
        one.worker._report()
        told = await one.close(line)
        assert np.array_equal(one.sound(line), line.truth)
        assert (told.outcome, told.channels[0].source.trust, told.channels[0].srtp) == ("complete", "srtp", SUITE)
        assert one.told(line)["channels"][0]["srtp"] == SUITE
        assert one.heard(link.Report)[-1].unauthentic == [1]
        await one.forget(line)
        assert one.worker._secured._openers == {}


async def test_p3_the_slab_in_hand_is_opened_again_by_who_comes_after(
    tmp_path: Path, memory: int, sealed_call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key comes with the first message, because the slab is run before any ``Open``."""
    line = sealed_call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        say(line, 30)
        one.hear()
        say(line, 20, first=30)
        monkeypatch.setattr(one.state, "commit", die)
        with pytest.raises(Dead):
            one.worker.intake.read(np.array([0]), time.monotonic_ns(), every=True)
        monkeypatch.undo()
    async with office(tmp_path, memory, keys={line.id: KEY}) as two:
        assert two.worker.recovery.found["datagrams_run_again"] == 20
        await two.open(line)
        say(line, 20, first=50)
        two.hear()
        told = await two.close(line)
        assert (told.outcome, told.absent_frames, told.channels[0].streams[0].packets) == ("complete", 0, 70)
        assert np.array_equal(two.sound(line), line.truth)


async def test_b3_both_sides_of_stereo_have_the_key_also_after_a_death(tmp_path: Path, memory: int, call: Call) -> None:
    lines = pair(call, policy="any", announced=None, suite=SUITE, key=KEY)
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        for line in lines:
            say(line, 30)
        one.hear()
    async with office(tmp_path, memory, keys={lines[0].id: KEY}) as two:
        await two.open(*lines)
        for line in lines:
            say(line, 20, first=30)
            line.sender.sendto(talk(1)[0].octets, line.door.getsockname())
        two.hear()
        told = await two.close(lines[0])
        assert told.outcome == "complete"
        assert [(each.srtp, each.source.trust) for each in told.channels] == [(SUITE, "srtp")] * 2
        assert_exact(two, *lines)


@pytest.mark.parametrize("more", [{}, {"window": 56_000}], ids=["the same memory", "another"])
async def test_d7_the_index_goes_along_to_the_next_process(
    tmp_path: Path, memory: int, sealed_call: Call, more: dict[str, Any]
) -> None:
    line, another = sealed_call(), os.memfd_create("another")
    async with office(tmp_path, memory, kept=True) as one:
        await one.open(line)
        tell_index(one, FIRST + BEYOND - 1)
        say(line, 50, first=BEYOND)
        one.hear()
        assert await one.worker.end()
    assert KEY.octets not in everything_below(tmp_path)
    lives: dict[str, Any] = {"kept": True, "living": {line.id: 0}, "keys": {line.id: KEY}}
    async with office(tmp_path, another if more else memory, **lives, **more) as two:
        two.take(line.order, line.door.fileno())
        say(line, 50, first=BEYOND + 50)
        two.hear()
        told = await two.close(line)
        assert (told.outcome, told.absent_frames, told.channels[0].streams[0].packets) == ("complete", 0, 100)
        assert np.array_equal(two.sound(line), line.truth)
    os.close(another)


async def test_d9_where_the_key_is_lost_nothing_is_let_in_and_the_recording_says_so(
    tmp_path: Path, memory: int, sealed_call: Call
) -> None:
    line = sealed_call()
    async with office(tmp_path, memory, kept=True) as one:
        await one.open(line)
        say(line, 20)
        one.hear()
        assert await one.worker.end()
    heard = line.truth
    async with office(tmp_path, memory, kept=True, living={line.id: 0}) as two:
        two.take(replace(line.order, key=None), line.door.fileno())
        say(line, 20, first=20)
        line.talk(20, first=20)
        two.hear()
        told = await two.close(line, "shutdown")
        assert (told.outcome, told.ending, told.problem.code) == ("degraded", "shutdown", "key_lost")
        assert np.array_equal(two.sound(line), heard)


async def test_an_order_with_a_suite_that_is_none_is_refused(tmp_path: Path, memory: int, call: Call) -> None:
    lines = call(0, suite="NULL"), call(1, suite=SUITE, key=Key("NULL", b""))
    async with office(tmp_path, memory) as one:
        for line in lines:
            one.take(line.order, line.door.fileno())
        assert {refused.code for refused in one.heard(link.Refused)} == {"order"}
        assert len(one.heard(link.Refused)) == 2


async def test_who_has_the_slot_next_has_nothing_of_the_key(tmp_path: Path, memory: int, call: Call) -> None:
    """P5: neither key nor indices; a plain tap there is plain."""
    line = call(0, policy="any", announced=None, suite=SUITE, key=KEY)
    async with office(tmp_path, memory) as one:
        await one.open(line)
        say(line, 20)
        one.hear()
        await one.close(line)
        await one.forget(line)
        plain = call(0)
        await one.open(plain)
        assert not one.state.live.contexts["indices"]["heard_ns"][0].any()
        plain.talk(20)
        one.hear()
        told = await one.close(plain)
        assert (told.channels[0].source.trust, told.channels[0].srtp) == ("announced", UNSET)
        assert np.array_equal(one.sound(plain), plain.truth)
