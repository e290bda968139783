"""Rules A through a whole worker: what lies in ready/ when packets are lost, jump, or are of another codec or none."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import structlog
from msgspec import UNSET

from receiver import link
from receiver.wire import g711
from tests.media.rig import SECOND, START, Sent, codes, linear, talk
from tests.worker.office import Line, office

Call = Callable[..., Line]


async def test_a1_an_unknown_payload_type_is_said_once_and_stands_in_the_sidecar(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap, silent = call(0), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(tap, silent)
        with structlog.testing.capture_logs() as logs:
            tap.talk(10)
            tap.send(talk(5, sequence=110, timestamp=6_600, payload_type=96))
            del tap.sent[10:]
            silent.send(talk(30, payload_type=18))
            one.hear()
            tap.talk(5, first=20)
            tap.send(talk(5, sequence=125, timestamp=9_000, payload_type=97))
            del tap.sent[15:]
            one.hear()
        assert logs == [], "the worker has no line for what a peer sends: control has one, once"
        said = [message for message in one.heard(link.Happened) if message.event == "unknown_payload_type"]
        assert [(message.slot, message.fields["payload_type"]) for message in said] == [(0, 96), (1, 18)]
        done = await one.close(tap)
        assert (done.outcome, done.channels[0].unknown_payload_types) == ("complete", (96, 97))
        assert done.channels[0].streams[0].invalid == 10
        empty = await one.close(silent, "no_packets")
        assert (empty.outcome, empty.channels[0].unknown_payload_types) == ("empty", (18,))
        assert empty.problem.message.endswith("the port saw 30 payload_type, of payload type 18.")
        assert empty.problem.hint == "Have the sender use PCMU (payload type 0) or PCMA (8)."


async def test_a14_who_sends_something_else_to_a_tap_of_opus_is_told_to_send_opus(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap = call(law=112)
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        tap.send(talk(30))
        one.hear()
        empty = await one.close(tap, "no_packets")
    assert (empty.outcome, empty.channels[0].unknown_payload_types) == ("empty", (0,))
    assert empty.problem.hint == "Have the sender use Opus (payload type 112)."


async def test_a6_what_was_lost_is_silence_and_a_row_of_the_list_and_nothing_is_invented(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap = call()
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        whole = talk(60, sequence=100, timestamp=5_000)
        kept = [packet for k, packet in enumerate(whole) if k not in (3, 20, 21, 22, 40)]
        tap.send(kept)
        one.hear()
        done = await one.close(tap)
        truth = np.zeros(60 * 160, np.int16)
        for packet in kept:
            at = packet.timestamp - 5_000
            truth[at : at + 160] = linear(packet.payload)
        assert np.array_equal(one.sound(tap), truth)
        rows = [(gap.frame, gap.frames, gap.channel, gap.reason) for gap in done.gaps]
        assert rows == [(480, 160, 0, "lost"), (3_200, 480, 0, "lost"), (6_400, 160, 0, "lost")]
        assert (done.absent_frames, done.channels[0].streams[0].lost, done.outcome) == (800, 5, "complete")


async def test_a10_sound_that_is_refused_because_it_is_ahead_of_time_is_said(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap = call()
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        tap.talk(400)  # eight seconds of sound at once
        done = await one.close(tap)  # reads it
    assert done.channels[0].streams[0].packets < 400
    assert (done.outcome, done.problem.code) == ("degraded", "clock")


async def test_a10_a11_both_anchors_of_a_jump_and_of_a_new_ssrc_are_in_the_sidecar(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap = call()
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        tap.talk(10)
        tap.send(talk(10, sequence=110, timestamp=900_000))
        tap.send(talk(10, sequence=7, timestamp=77, ssrc=8))
        one.hear()
        done = await one.close(tap)
        first, second = done.channels[0].streams
        assert [epoch.timestamp for epoch in first.epochs] == [5_000, 900_000]
        assert [epoch.timestamp for epoch in second.epochs] == [77]
        frames = [epoch.frame for stream in (first, second) for epoch in stream.epochs]
        assert frames == sorted(frames)
        assert frames[0] == 0
        sound = one.sound(tap)
        for frame, packet in zip(frames, tap.sent[::10], strict=True):
            assert np.array_equal(sound[frame : frame + 160], linear(packet.payload))
        assert all(epoch.at for stream in (first, second) for epoch in stream.epochs)


@pytest.mark.parametrize("law", [g711.PCMU, g711.PCMA])
async def test_a14_another_codec_than_asked_for_is_recorded_as_it_comes_and_said(
    law: int, tmp_path: Path, memory: int, call: Call
) -> None:
    tap = call(law=g711.PCMA if law == g711.PCMU else g711.PCMU)
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        sent = [Sent(START + k * SECOND // 50, k, 160 * k, codes(3, 160 * k, 160), payload_type=law) for k in range(20)]
        tap.send(sent)
        one.hear()
        done = await one.close(tap)
        table = g711.ULAW if law == g711.PCMU else g711.ALAW
        truth = np.concatenate([table[np.frombuffer(packet.payload, np.uint8)] for packet in sent])
        assert np.array_equal(one.sound(tap), truth)
        assert (done.channels[0].codec, done.outcome) == ("PCMU" if law == g711.PCMU else "PCMA", "complete")
        assert (done.channels[0].codecs, "codecs" in one.told(tap)["channels"][0]) == (UNSET, False)


async def test_a14_a_law_that_changes_in_mid_call_is_recorded_as_it_comes_and_both_are_said(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap = call()
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        tap.talk(15)
        tap.talk(5, first=15, payload_type=g711.PCMA)
        one.hear()
        done = await one.close(tap)
        assert (done.channels[0].codec, done.channels[0].codecs) == ("PCMA", ("PCMU", "PCMA"))
        assert (len(done.channels[0].streams), done.outcome) == (1, "complete")
        assert one.told(tap)["channels"][0]["codecs"] == ["PCMU", "PCMA"]
        late = [g711.ALAW[np.frombuffer(packet.payload, np.uint8)] for packet in tap.sent[15:]]
        assert np.array_equal(one.sound(tap), np.concatenate([*map(linear, (p.payload for p in tap.sent[:15])), *late]))


@pytest.mark.parametrize("second", [g711.PCMU, g711.PCMA])
async def test_a14_the_law_of_a_stream_that_is_long_past_counts(
    second: int, tmp_path: Path, memory: int, call: Call
) -> None:
    tap = call()
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        tap.talk(10, payload_type=g711.PCMA)
        one.hear()
        tap.talk(10, first=10, ssrc=8, payload_type=second)
        one.hear()
        for _ in range(2):  # the second is heard, the first is buried
            one.worker.keeping.review(time.monotonic_ns() + 10 * SECOND, time.time_ns())
        assert one.state.live.streams["ssrc"][one.state.live.streams["tap"] == tap.slot].tolist() == [8]
        done = await one.close(tap)
    assert [stream.packets for stream in done.channels[0].streams] == [10, 10]
    told = ("PCMU", ("PCMU", "PCMA")) if second == g711.PCMU else ("PCMA", UNSET)
    assert (done.channels[0].codec, done.channels[0].codecs) == told


async def test_b5_a_source_that_changed_stands_in_the_sidecar_with_when_and_where(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap, other = call(), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        tap.talk(10)
        one.hear()
        one.take(link.Source(0, tap.id, "exact", other.sender.getsockname()))
        tap.send(talk(10, sequence=40, timestamp=77_000, ssrc=9), by=other.sender)
        one.hear()
        tap.talk(5, first=50)  # nobody hears the first one any more
        del tap.sent[20:]
        one.hear()
        done = await one.close(tap)
    source = done.channels[0].source
    first, second = (f"{host}:{port}" for host, port in (tap.sender.getsockname(), other.sender.getsockname()))
    assert (source.announced, source.seen) == (first, second)
    assert [change.seen for change in source.changes] == [second]
    assert done.started_at <= source.changes[0].at <= done.ended_at
    assert [stream.packets for stream in done.channels[0].streams] == [10, 10]


async def test_b2_two_unannounced_sources_leave_a_conflict_in_the_sidecar_and_no_sound(
    tmp_path: Path, memory: int, call: Call
) -> None:
    tap, other = call(policy="announced", announced=("192.0.2.9", 4_000)), call(1)
    async with office(tmp_path, memory) as one:
        await one.open(tap)
        one.state.now.taps["answered_ns"][0] -= 3 * SECOND  # the answer came 3 s ago
        one.state.touch("taps", 0)
        one.state.commit()
        tap.talk(10)
        tap.send(talk(10, sequence=40, ssrc=9), by=other.sender)
        one.slices()
        assert [message.event for message in one.heard(link.Happened)] == ["source_conflict"]
        done = await one.close(tap)
    assert (done.file, done.frames) == (None, 0)
    assert done.problem.code == "source_conflict"
