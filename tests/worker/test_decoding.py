"""Taps of Opus in a real worker with a real decoder process: what libopus makes of the packets is in the file."""

import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from receiver import link
from receiver.archive.files import Files
from receiver.archive.repair import repair
from receiver.keys import Key
from receiver.wire.srtp import Suite
from receiver.worker import decoding, interludes
from tests import opus
from tests.media.rig import Sent
from tests.media.sealed import key_of, sealed
from tests.worker.office import HORIZON, Line, Office, office, until
from tests.worker.test_stereo import pair

Call = Callable[..., Line]
ENCODED = opus.packets(200)


def dialled(call: Call, slot: int = 0) -> Line:
    return call(slot, law=opus.TYPE)


async def came(one: Office, line: Line, packets: Sequence[Sent]) -> None:
    """These packets arrive and are read."""
    if not line.sent:  # from the first one on the file's time is counted (rule A10)
        line.send(packets[:1])
        one.hear()
        packets = packets[1:]
    line.send(packets)
    one.hear()


async def written(one: Office) -> None:
    """All that was handed on is in its part, and durable."""
    one.drain()
    await one.worker.decoding.settled()
    await one.sync()


async def closed(one: Office, line: Line) -> Any:
    """Waits without turning the loop: that would keep the core from the decoder, which is nice."""
    one.take(link.Close(line.slot, line.id, "stopped", None))
    return await one.worker.desk._closings[line.id]


async def told(one: Office, line: Line) -> Any:
    """Close, and hold the recording against libopus fed the received packets in timestamp order."""
    ended = await closed(one, line)
    assert ended.file is not None
    return ended, opus.read(one.directory / "ready" / ended.file)


async def test_p1_the_recording_is_what_libopus_makes_of_the_packets(tmp_path: Path, memory: int, call: Call) -> None:
    line, sent = dialled(call), opus.call(ENCODED)
    async with office(tmp_path, memory) as one:
        await one.open(line)
        for k in range(0, 200, 50):
            await came(one, line, sent[k : k + 50])
            await written(one)
        ended, sound = await told(one, line)
    assert np.array_equal(sound, opus.heard(sent))
    assert (ended.outcome, ended.sample_rate, ended.gaps) == ("complete", 48_000, ())
    [channel] = ended.channels
    assert (channel.codec, channel.mixed_packets, channel.redecoded) == ("OPUS", 0, ())
    [stream] = channel.streams
    assert (stream.packets, stream.lost, stream.epochs[0].frame, stream.epochs[0].timestamp) == (200, 0, 0, 4_998)


@pytest.mark.all
async def test_p1_lost_doubled_and_overtaking_packets(tmp_path: Path, memory: int, call: Call) -> None:
    line, dice = dialled(call), np.random.default_rng(4)
    whole = opus.call(ENCODED, timestamp=2**32 - 96_000)
    kept = [each for k, each in enumerate(whole) if k == 0 or dice.random() > 0.1]
    mixed = [kept[0], *sorted(kept[1:] + kept[40:60], key=lambda each: each.sequence + dice.uniform(0, 6))]
    async with office(tmp_path, memory) as one:
        await one.open(line)
        for k in range(0, len(mixed), 40):
            await came(one, line, mixed[k : k + 40])
            one.worker.keeping.drain(np.array([0]), time.monotonic_ns())
        ended, sound = await told(one, line)
    assert np.array_equal(sound, opus.heard(kept))
    lost = sum(gap.frames for gap in ended.gaps)
    assert lost == sound.size - 960 * len(kept) > 0
    assert {gap.reason for gap in ended.gaps} == {"lost"}
    assert ended.channels[0].streams[0].late_lost == 0


@pytest.mark.all
@pytest.mark.parametrize("ms", [2.5, 10, 60])
async def test_a9_frames_of_all_lengths(ms: float, tmp_path: Path, memory: int, call: Call) -> None:
    line, sent = dialled(call), opus.call(opus.packets(60, ms=ms), ms=ms)
    async with office(tmp_path, memory) as one:
        await one.open(line)
        await came(one, line, sent)
        _, sound = await told(one, line)
    assert np.array_equal(sound, opus.heard(sent))


@pytest.mark.all
async def test_packets_of_two_channels_are_mixed_by_libopus_and_that_is_said(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line = dialled(call)
    sent = opus.call([*opus.packets(50), *opus.packets(50, channels=2), *opus.packets(50)])
    async with office(tmp_path, memory) as one:
        await one.open(line)
        await came(one, line, sent)
        ended, sound = await told(one, line)
    assert np.array_equal(sound, opus.heard(sent))
    assert ended.channels[0].mixed_packets == 50


async def test_a8_keys_between_opus_are_told_in_frames_of_48_khz(tmp_path: Path, memory: int, call: Call) -> None:
    line, sent = dialled(call), opus.call(ENCODED[:80])
    lengths = [960, 1_920, 2_880, 3_840, 3_840, 3_840]
    pressed = [
        each._replace(timestamp=sent[40].timestamp, payload_type=101,
                      payload=struct.pack("!BBH", 11, 0x8A if k >= 3 else 0x0A, length))
        for k, (each, length) in enumerate(zip(sent[40:46], lengths, strict=True))
    ]  # fmt: skip
    async with office(tmp_path, memory) as one:
        await one.open(line)
        await came(one, line, [*sent[:40], *pressed, *sent[46:]])
        ended, sound = await told(one, line)
        [event] = [message for message in one.heard(link.Happened) if message.event == "dtmf"]
    assert np.array_equal(sound, opus.heard(sent[:40] + sent[46:]))
    assert [(key.digit, key.frame, key.frames, key.channel) for key in ended.dtmf] == [("#", 40 * 960, 3_840, 0)]
    assert event.fields == {"digit": "#", "duration_ms": 80}
    assert [(gap.frame, gap.frames, gap.reason) for gap in ended.gaps] == [(40 * 960, 6 * 960, "not_sent")]


@pytest.mark.all
async def test_discontinuous_transmission_is_time_that_goes_on(tmp_path: Path, memory: int, call: Call) -> None:
    """A packet that is nothing but its first octet, then none at all; the numbers go on where they were."""
    line, sent = dialled(call), opus.call(ENCODED)
    quiet = [each._replace(payload=each.payload[:1]) for each in sent[60:62]]
    later = [each._replace(sequence=162 + k) for k, each in enumerate(sent[90:150])]
    spoken = sent[:60] + quiet + later
    async with office(tmp_path, memory) as one:
        await one.open(line)
        await came(one, line, spoken)
        ended, sound = await told(one, line)
    assert np.array_equal(sound, opus.heard(spoken))
    assert [(gap.frame, gap.frames) for gap in ended.gaps] == [(62 * 960, 28 * 960)]


@pytest.mark.all
async def test_a_pause_keeps_every_packet_from_the_decoder(tmp_path: Path, memory: int, call: Call) -> None:
    line, sent = dialled(call), opus.call(ENCODED)
    async with office(tmp_path, memory) as one:
        await one.open(line)
        turned_ns: list[int] = []
        for first in (0, 50, 100):
            await came(one, line, sent[first : first + 50])
            if first < 100:
                turned_ns.append(time.monotonic_ns())
                one.take(link.Pause(line.slot, line.id, len(turned_ns), turned_ns))
            await written(one)
        ended, sound = await told(one, line)
    heard = [*sent[:50], *sent[100:150]]
    assert np.array_equal(sound, opus.heard(heard))
    assert [(gap.frame, gap.frames, gap.reason) for gap in ended.gaps] == [(50 * 960, 50 * 960, "paused")]
    [pause] = ended.pauses
    assert 49 * 960 < pause.frame <= 50 * 960
    assert pause.frame + pause.frames >= 100 * 960


@pytest.mark.all
async def test_b3_opus_comes_sealed_as_well(tmp_path: Path, memory: int, call: Call) -> None:
    suite = Suite.AES_CM_128_HMAC_SHA1_80
    key, sent = key_of(suite), opus.call(ENCODED[:60])
    line = call(0, law=opus.TYPE, policy="any", announced=None, suite=suite.name, key=Key(suite.name, key.octets))
    async with office(tmp_path, memory) as one:
        await one.open(line)
        await came(one, line, sealed(sent, key))
        ended, sound = await told(one, line)
    assert np.array_equal(sound, opus.heard(sent))
    assert ended.channels[0].srtp == suite.name


async def test_what_a_pause_erases_is_not_brought_back_by_the_decoder(tmp_path: Path, memory: int, call: Call) -> None:
    """The order to erase goes through the patch log; what the decoder has of those frames is written before."""
    line, sent = dialled(call), opus.call(ENCODED[:50])
    async with office(tmp_path, memory) as one:
        await one.open(line)
        await came(one, line, sent)
        one.drain()  # it is on its way
        journal = one.worker.shelf._journal
        journal.patch(line.slot, HORIZON + 10 * 160, np.full(320, -32_768, np.int16))
        one.state.commit()
        one.worker.shelf.write_logs()
        assert one.state.patched[0] == 0
        ended, sound = await told(one, line)
        assert one.state.patched[0] == 1
    assert [(gap.frame, gap.frames) for gap in ended.gaps] == [(10 * 960, 2 * 960)]
    wanted = opus.heard(sent)
    wanted[10 * 960 : 12 * 960] = 0
    assert np.array_equal(sound, wanted)


@pytest.mark.all
async def test_c7_segments_follow_each_other_without_a_missing_frame(tmp_path: Path, memory: int, call: Call) -> None:
    line, sent = dialled(call), opus.call(ENCODED)
    async with office(tmp_path, memory, segment_frames=8_000) as one:
        await one.open(line)
        for k in range(0, 200, 50):
            await came(one, line, sent[k : k + 50])
            await written(one)  # what is cut belongs to the part before, and comes back when the next one is open
            await until(lambda: one.worker.shelf.taps[line.slot].before is None)
        ended = await closed(one, line)
        sound = np.concatenate([opus.read(tmp_path / "ready" / part.file) for part in ended.parts])
    assert len(ended.parts) >= 2
    assert ended.gaps == ()
    assert np.array_equal(sound, opus.heard(sent))


@pytest.mark.all
async def test_encodings_at_rest_of_48_khz(tmp_path: Path, memory: int, call: Call) -> None:
    """FLAC holds it; G.711 cannot, and pcm16 takes its place."""
    for encoding, kept in (("flac", "flac"), ("g711", "pcm16")):
        line, sent = dialled(call), opus.call(ENCODED[:60])
        async with office(tmp_path, memory, encoding=encoding) as one:
            await one.open(line)
            await came(one, line, sent)
            ended, sound = await told(one, line)
            await one.forget(line)
        assert ended.encoding == kept
        assert np.array_equal(sound, opus.heard(sent))


async def test_p3_a_decoder_that_is_killed_costs_nothing(tmp_path: Path, memory: int, call: Call) -> None:
    line, sent = dialled(call), opus.call(ENCODED)
    async with office(tmp_path, memory) as one:
        await one.open(line)
        await came(one, line, sent[:80])
        await written(one)
        pid = one.worker.decoding.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # it has got what follows and does not answer any more
        await came(one, line, sent[80:120])
        one.drain()
        os.kill(pid, signal.SIGKILL)
        await came(one, line, sent[120:])
        ended, sound = await told(one, line)
        assert one.worker.decoding.pid != pid
    assert ended.outcome == "complete"
    assert ended.gaps == ()
    assert [(each.frame, each.frames) for each in ended.channels[0].redecoded] == [(80 * 960, 3_840)]
    same_but_where_it_is_told(sound, opus.heard(sent), ended)


def same_but_where_it_is_told(sound: opus.Sound, wanted: opus.Sound, ended: Any) -> None:
    wrong = np.flatnonzero(sound != wanted)
    told_of = [range(each.frame, each.frame + each.frames) for each in ended.channels[0].redecoded]
    assert sound.size == wanted.size
    assert all(any(frame in stretch for stretch in told_of) for frame in wrong.tolist())


@pytest.mark.all
async def test_k5_what_a_dead_worker_had_with_the_decoder_is_decoded_again(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line, sent = dialled(call), opus.call(ENCODED)
    one = Office(tmp_path, memory)  # it dies: nothing of it is told goodbye
    one.worker.recover()
    await one.open(line)
    await came(one, line, sent[:80])
    await written(one)
    await came(one, line, sent[80:140])
    one.drain()
    assert one.state.written[0] < one.state.live.rows["playout"][0], "nothing was under way"
    async with office(tmp_path, memory) as two:
        await two.open(line)
        await came(two, line, sent[140:])
        ended, sound = await told(two, line)
    await one.leave()
    assert ended.outcome == "complete"
    assert [each.frame for each in ended.channels[0].redecoded] == [80 * 960]
    same_but_where_it_is_told(sound, opus.heard(sent), ended)


@pytest.mark.all
async def test_d7_the_next_worker_takes_it_up_from_positions(tmp_path: Path, memory: int, call: Call) -> None:
    line, sent = dialled(call), opus.call(ENCODED)
    async with office(tmp_path, memory, kept=True) as one:
        await one.open(line)
        await came(one, line, sent[:120])
        await written(one)
        one.worker.handover.leave(one.worker.handover.pack())
    other = os.memfd_create("another layout")
    async with office(tmp_path, other, living={line.id: 0}) as two:
        await two.open(line)
        await came(two, line, sent[120:])
        ended, sound = await told(two, line)
    os.close(other)
    assert [each.frame for each in ended.channels[0].redecoded] == [120 * 960]
    same_but_where_it_is_told(sound, opus.heard(sent), ended)


@pytest.mark.all
async def test_c5_after_a_power_cut_what_was_committed_is_a_recording_at_48_khz(
    tmp_path: Path, memory: int, call: Call
) -> None:
    line, sent = dialled(call), opus.call(ENCODED)
    async with office(tmp_path, memory, segment_frames=8_000) as one:
        await one.open(line)
        for first in (0, 60):
            await came(one, line, sent[first : first + 60])
            await written(one)
        await came(one, line, sent[120:])
        one.drain()  # neither decoded nor committed
        await until(lambda: one.worker.shelf.taps[line.slot].before is None)
    [told] = repair(Files(tmp_path), (), interludes.described)
    sound = np.concatenate([opus.read(tmp_path / "ready" / part.file) for part in told.parts])
    wanted = opus.heard(sent)
    assert (told.sample_rate, told.ending) == (48_000, "recovered")
    assert 120 * 960 <= sound.size == told.frames <= wanted.size
    assert np.array_equal(sound, wanted[: sound.size])
    assert told.channels[0].streams[0].epochs[0].frame == 0


@pytest.mark.all
async def test_a1_garbage_is_counted_and_others_sound_is_not_touched(tmp_path: Path, memory: int, call: Call) -> None:
    line, other, dice = dialled(call), dialled(call, 1), np.random.default_rng(1)
    sent = opus.call(ENCODED)
    wrong = [each._replace(payload=b"\xff" + dice.bytes(30)) for each in sent[::3]]
    noise = [sent[0], *(each._replace(payload=dice.bytes(40)) for each in sent[1:])]  # some of it is whole
    async with office(tmp_path, memory) as one:
        await one.open(line, other)
        await came(one, line, sent + wrong)
        await came(one, other, noise)
        ended, sound = await told(one, line)
        rest = await closed(one, other)
        assert one.worker.decoding._deaths == 0
    assert np.array_equal(sound, opus.heard(sent))
    invalid = [each.channels[0].streams[0].invalid for each in (ended, rest)]
    assert invalid[0] == len(wrong)
    assert invalid[1] > 0
    assert rest.channels[0].streams[0].packets == 200 - invalid[1]


@pytest.mark.all
async def test_decoders_that_die_over_the_same_packets_are_not_told_them_for_ever(
    tmp_path: Path, memory: int, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule K7's like. Its place stays empty and the recording says so; what follows is decoded by one that lives."""
    line, sent = dialled(call), opus.call(ENCODED)
    async with office(tmp_path, memory) as one:
        one.worker.decoding._back_off_s = (0.0,)
        one.worker.decoding._command = (sys.executable, "-c", "raise SystemExit(1)")
        await one.open(line)
        await came(one, line, sent[:50])
        one.drain()
        await one.worker.decoding.settled()
        one.worker.decoding._command = decoding.COMMAND
        await came(one, line, sent[50:])
        ended = await closed(one, line)
    assert ended.outcome == "degraded"
    assert ended.problem.code == "not_decoded"
    assert ended.frames == 150 * 960


@pytest.mark.all
async def test_p5_nothing_of_one_call_is_in_the_next(tmp_path: Path, memory: int, call: Call) -> None:
    async with office(tmp_path, memory) as one:
        for seed in (1, 2):
            line, sent = dialled(call), opus.call(opus.packets(60, seed))
            await one.open(line)
            await came(one, line, sent)
            ended, sound = await told(one, line)
            assert np.array_equal(sound, opus.heard(sent))
            assert ended.channels[0].redecoded == ()
            await one.forget(line)


async def test_a_lack_of_memory_for_packets_refuses_the_tap(tmp_path: Path, memory: int, call: Call) -> None:
    line = dialled(call)
    async with office(tmp_path, memory) as one:
        real = one.memory.allocate

        def allocate(row: int, packed: bool = False) -> None:
            if packed:
                raise OSError(28, "No space left on device")
            real(row)

        one.memory.allocate = allocate  # type: ignore[method-assign]
        one.take(line.order, line.door.fileno())
        await until(lambda: one.heard(link.Refused))
        assert one.heard(link.Refused)[0].code == "memory"


async def test_taps_of_g711_never_start_a_decoder(tmp_path: Path, memory: int, call: Call) -> None:
    line = call()
    async with office(tmp_path, memory) as one:
        await one.open(line)
        line.talk(40)
        one.hear()
        await one.commit()
        await one.close(line)
        assert one.worker.decoding._task is None
        assert not one.state.allocated[one.state.allocated == 2].size


@pytest.mark.all
async def test_stereo_of_two_taps_of_opus_each_with_a_decoder_of_its_own(
    tmp_path: Path, memory: int, call: Call
) -> None:
    lines = pair(call, law=opus.TYPE)
    calls = [opus.call(opus.packets(60, seed)) for seed in (1, 2)]
    async with office(tmp_path, memory) as one:
        await one.open(*lines)
        for line, sent in zip(lines, calls, strict=True):
            await came(one, line, sent)
        ended = await closed(one, lines[0])
    assert ended.file is not None
    sound, rate = soundfile.read(tmp_path / "ready" / ended.file, dtype="int16")
    assert (rate, ended.sample_rate, sound.shape[1], ended.outcome) == (48_000, 48_000, 2, "complete")
    for number, sent in enumerate(calls):
        first, wanted = ended.channels[number].streams[0].epochs[0].frame, opus.heard(sent)
        assert np.array_equal(sound[first : first + wanted.size, number], wanted)
