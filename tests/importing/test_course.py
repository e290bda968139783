"""A capture becomes recordings: one for each stream, exact to the sample; what is in none is counted and named."""

import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import UNSET, structs

from receiver.archive.check import check
from receiver.archive.files import Files
from receiver.archive.sidecar import Ending, Outcome, Source
from receiver.importing import course
from receiver.importing.course import Imported, Options
from receiver.importing.flows import in_words
from receiver.lab.forecast import PRESETS
from receiver.lab.plan import Caller, Plan
from receiver.lab.proof import Expected, Proof, prove
from tests.importing.captures import SECOND, Datagram, capture, framed, of_type, packet, pcap, sent
from tests.lab.reference import BEGIN_NS, sent_by
from tests.tools import count as how_often
from tests.wire.test_rtcp import bye, rr, sdes, sr

OPTIONS = Options("{recording_id}", 3_200, 600 * SECOND)


def imported(folder: Path, octets: bytes, options: Options = OPTIONS) -> Imported:
    """What comes of a capture; the storage folder is ``folder/storage``."""
    (folder / "capture").write_bytes(octets)
    (folder / "storage").mkdir(exist_ok=True)
    files = Files(folder / "storage")
    try:
        return course.run(folder / "capture", files, options)
    finally:
        files.close()


def proofs(folder: Path, told: Imported, plan: Plan, expected: Expected) -> list[Proof]:
    """Each recording against the log of its caller."""
    callers = {40_000 + caller.id: caller for caller in plan.callers}
    assert sorted(callers) == sorted(each.flow.source.port for each in told.recorded)
    ready = folder / "storage" / "ready"
    logs = {port: sent_by(caller, plan.seed) for port, caller in callers.items()}
    return [
        prove(
            ready / f"{each.told.recording_id}.json",
            replace(log, about=structs.replace(log.about, source=in_words(each.flow.source))), expected,
        )
        for each in told.recorded
        for log in [logs[each.flow.source.port]]
    ]  # fmt: skip


@pytest.mark.parametrize("link", [1, 101, 276])
@pytest.mark.parametrize("unit", ["us", "ns"])
def test_p1_every_weather_is_exact_through_a_capture(tmp_path: Path, link: int, unit: str) -> None:
    plan = Plan(tuple(
        Caller(k, seconds=9, codec="PCMA" if k % 2 else "PCMU", weather=name) for k, name in enumerate(PRESETS)
    ))  # fmt: skip
    told = imported(tmp_path, capture(plan, link=link, unit=unit))
    for proof in proofs(tmp_path, told, plan, Expected(ending="stopped")):
        assert proof.exact, str(proof)
    assert told.fault is None
    assert check(tmp_path / "storage") == []


@pytest.mark.all
@pytest.mark.parametrize("piece", [97, 1_500, 1 << 22])
def test_it_does_not_matter_in_which_pieces_the_file_is_read(tmp_path: Path, piece: int) -> None:
    plan = Plan((Caller(1, seconds=3, weather="everything"), Caller(2, seconds=3)))
    told = imported(tmp_path, capture(plan), Options("{recording_id}", 3_200, 600 * SECOND, piece=piece))
    assert all(proof.exact for proof in proofs(tmp_path, told, plan, Expected(ending="stopped")))


def test_a_burst_that_is_longer_than_the_ring_is_recorded_whole(tmp_path: Path) -> None:
    """As after a stall of the network, of nine seconds: the ring holds six, and the kernel would have held the rest."""
    plan = Plan((Caller(3, seconds=60, size=1_200),))
    packets = sent(plan)
    end_ns = packets[160].stamp_ns
    packets[100:160] = [one._replace(stamp_ns=end_ns - 1_000 * (60 - k)) for k, one in enumerate(packets[100:160])]
    told = imported(tmp_path, pcap([(one.stamp_ns, packet(one)) for one in packets]))
    (one,) = told.recorded
    assert one.told.channels[0].streams[0].packets == len(packets)
    assert one.told.outcome == Outcome.COMPLETE
    assert one.told.gaps == ()
    assert one.told.frames == 60 * 8_000


def test_what_is_no_rtp_is_no_recording(tmp_path: Path) -> None:
    queries = [
        Datagram(k * SECOND, bytes([k, k * 7 % 256, 1, 0]) + bytes(30), port=53, to=1_000 + k) for k in range(256)
    ]
    told = imported(tmp_path, pcap([(one.stamp_ns, packet(one)) for one in queries]))
    assert (told.recorded, told.left, told.unknown) == ([], [], {})
    assert told.fates["udp"] == 256


def test_a_payload_type_that_nobody_announced_is_counted_and_named(tmp_path: Path) -> None:
    plan = Plan((Caller(1, seconds=2),))
    told = imported(tmp_path, pcap([(one.stamp_ns, packet(of_type(111, one))) for one in sent(plan)]))
    assert told.recorded == []
    assert [(flow.source.port, dict(flow.unknown)) for flow in told.left] == [(40_001, {111: 100})]
    assert told.unknown == {111: 100}


def test_a1_a_payload_type_among_the_speech_is_named_in_the_sidecar(tmp_path: Path) -> None:
    speech = sent(Plan((Caller(1, seconds=2),)))
    mixed = [of_type(111, one) if k % 50 == 7 else one for k, one in enumerate(speech)]
    told = imported(tmp_path, pcap([(one.stamp_ns, packet(one)) for one in mixed]))
    (recorded,) = told.recorded
    (channel,) = recorded.told.channels
    assert (channel.unknown_payload_types, told.unknown, channel.streams[0].invalid) == ((111,), {111: 2}, 2)


def test_d6_a_stream_that_was_silent_too_long_goes_on_as_another_recording(tmp_path: Path) -> None:
    plan = Plan((Caller(1, seconds=2),))
    first = sent(plan)
    later = [one._replace(stamp_ns=one.stamp_ns + 60 * SECOND) for one in first]
    octets = pcap([(one.stamp_ns, packet(one)) for one in (*first, *later)])
    told = imported(tmp_path, octets, Options("{recording_id}", 3_200, 30 * SECOND))
    assert [(each.told.ending, each.told.frames) for each in told.recorded] == [
        (Ending.SILENCE, 16_000), (Ending.STOPPED, 16_000),
    ]  # fmt: skip
    first_at, later_at = (each.told.started_at for each in told.recorded)
    assert isinstance(first_at, datetime)
    assert isinstance(later_at, datetime)
    assert (later_at - first_at).total_seconds() == 60


def test_a_hold_that_is_shorter_stays_one_recording(tmp_path: Path) -> None:
    plan = Plan((Caller(1, seconds=2),))
    first = sent(plan)
    later = [one._replace(stamp_ns=one.stamp_ns + 20 * SECOND) for one in first]
    octets = pcap([(one.stamp_ns, packet(one)) for one in (*first, *later)])
    told = imported(tmp_path, octets, Options("{recording_id}", 3_200, 30 * SECOND))
    assert len(told.recorded) == 1


def test_a_damaged_stamp_does_not_become_a_century_of_silence(tmp_path: Path) -> None:
    frames = [(one.stamp_ns, packet(one)) for one in sent(Plan((Caller(1, seconds=4),)))]
    frames[100] = (4_000_000_000 * SECOND, frames[100][1])
    told = imported(tmp_path, pcap(frames))
    assert sum(each.told.frames for each in told.recorded) <= 4 * 8_000
    assert told.clock_steps == 2


@pytest.mark.parametrize("link", [1, 113])
def test_a_capture_that_is_cut_off_is_recorded_up_to_there(tmp_path: Path, link: int) -> None:
    plan = Plan((Caller(1, seconds=1),))
    packets = sent(plan)
    whole = capture(plan, link)
    size = len(framed(link, packet(packets[0]))) + 16
    for cut in (*range(24, 24 + 3 * size, how_often(37, all=3, full=1)), len(whole) - 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        told = imported(folder, whole[:cut])
        count, rest = divmod(cut - 24, size)
        assert (told.fault is None) == (rest == 0)
        assert told.fault is None or told.fault.offset == cut - rest
        recorded = [each.told.channels[0].streams[0].packets for each in told.recorded]
        assert recorded == ([count] if count >= 2 else [])
        for each in told.recorded:
            assert each.told.outcome == (Outcome.DEGRADED if rest else Outcome.COMPLETE)
            assert each.told.frames == 160 * count


def test_nobody_announced_the_source_of_a_stream_in_a_capture(tmp_path: Path) -> None:
    told = imported(tmp_path, capture(Plan((Caller(1, seconds=1),))))
    channel = told.recorded[0].told.channels[0]
    assert isinstance(channel.source, Source)
    assert channel.source.seen == "192.0.2.7:40001"
    assert channel.source.trust == "unverified"
    assert told.recorded[0].told.labels == {"source": "192.0.2.7:40001", "destination": "198.51.100.1:20002"}


def test_c5_what_a_killed_import_has_left_is_finished_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "capture").write_bytes(capture(Plan((Caller(1, seconds=5),))))
    (tmp_path / "storage").mkdir()
    files = Files(tmp_path / "storage")

    class Killed(BaseException):
        pass

    def kill(count: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        course.run(tmp_path / "capture", files, Options("{recording_id}", 3_200, 600 * SECOND, piece=10_000), kill)
    assert files.listing("spool")
    course.finish_what_is_left(files)
    assert check(tmp_path / "storage") == []
    files.close()


def later_than_the_others(one: Datagram) -> bool:
    """All of them, but for the first tenth of a second of the caller who is to find no place."""
    return one.port != 40_002 or one.stamp_ns - BEGIN_NS > SECOND // 10


def test_streams_that_find_no_place_are_counted_and_places_are_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "MOST_AT_ONCE", 2)
    """One that found none is not begun in its middle."""
    lengths = (1, 1, 9)
    plan = Plan((
        *(Caller(k, seconds=seconds) for k, seconds in enumerate(lengths)),
        *(Caller(k, seconds=1, start_s=5) for k in (3, 4)),
    ))  # fmt: skip
    packets = sorted(sent(plan), key=lambda one: (one.stamp_ns, one.port))
    told = imported(tmp_path, pcap([(one.stamp_ns, packet(one)) for one in packets if later_than_the_others(one)]))
    assert (len(told.recorded), told.refused) == (4, 1)
    assert [each.told.outcome for each in told.recorded] == [Outcome.COMPLETE] * 4


@pytest.mark.all
def test_more_streams_than_descriptors_were_allowed(tmp_path: Path) -> None:
    """In a process of its own, for the limit is the process's."""
    plan = Plan(tuple(Caller(k, seconds=0.2) for k in range(120)))
    (tmp_path / "capture").write_bytes(capture(plan))
    (tmp_path / "storage").mkdir()
    code = f"""
import resource, pathlib
from receiver.archive.files import Files
from receiver.importing import course
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 150))
files = Files(pathlib.Path({str(tmp_path / "storage")!r}))
told = course.run(pathlib.Path({str(tmp_path / "capture")!r}), files, course.Options("{{recording_id}}", 3200, 10**10))
print(len(told.recorded), told.refused)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["86", "34"]


def test_a_second_ssrc_is_the_business_of_the_pipeline(tmp_path: Path) -> None:
    told = imported(tmp_path, capture(Plan((Caller(1, seconds=9, weather="ssrc_change"),))))
    (one,) = told.recorded
    assert len(one.told.channels[0].streams) == 2


@pytest.mark.parametrize("beside", [0, 1], ids=["muxed", "port + 1"])
def test_a13_what_the_sender_says_by_rtcp_is_in_the_sidecar(tmp_path: Path, beside: int) -> None:
    plan = Plan((Caller(1, seconds=9, weather="lossy"), Caller(5, seconds=9)))
    speech = sent(plan)
    mine = [one for one in speech if one.port == 40_001]
    ssrc = int.from_bytes(mine[0].payload[8:12])
    last_ns = speech[-1].stamp_ns + SECOND
    words = [(mine[9].stamp_ns, sr(ssrc, 0xE8F1 << 48, 160) + sdes((ssrc, [(1, b"me")]))), (last_ns, rr() + bye(ssrc))]
    words += [(mine[50].stamp_ns, mine[50].payload)] * beside  # on port + 1 that is no RTCP, and nobody's
    said = [
        mine[0]._replace(stamp_ns=stamp_ns, payload=word, port=40_001 + beside, to=mine[0].to + beside)
        for stamp_ns, word in words
    ]  # fmt: skip
    stranger = said[0]._replace(payload=bye(ssrc), port=40_003)  # from another port: nobody's
    frames = sorted((one.stamp_ns, framed(1, packet(one))) for one in [*speech, *said, stranger])
    told = imported(tmp_path, pcap(frames, link=1))
    one, other = (each.told for each in told.recorded)
    [stream], [plain] = one.channels[0].streams, other.channels[0].streams
    assert stream.sender_reports
    assert (stream.cname, stream.sender_reports.count) == ("me", 1)
    assert stream.bye_at == datetime.fromtimestamp(last_ns // 1_000 / 1e6, UTC)
    assert (plain.cname, plain.bye_at) == (UNSET, UNSET)
    for proof in proofs(tmp_path, told, plan, Expected(ending="stopped")):
        assert proof.exact, str(proof)


def test_a_recording_is_at_most_a_day_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of two seconds, here."""
    monkeypatch.setattr(course, "LONGEST_NS", 2 * SECOND)
    told = imported(tmp_path, capture(Plan((Caller(1, seconds=5),))))
    *before, last = told.recorded
    assert {each.told.ending for each in before} == {Ending.MAX_DURATION}
    assert last.told.ending == Ending.STOPPED
    assert sum(each.told.frames for each in told.recorded) == 5 * 8_000


def test_mutated_captures_are_recorded_or_not_and_the_folder_is_always_in_order(tmp_path: Path) -> None:
    dice = random.Random(11)
    wholes = [
        capture(Plan((Caller(1, seconds=2, weather=name), Caller(2, seconds=1, codec="PCMA"))), link=link)
        for name, link in (("clean", 1), ("everything", 101), ("ssrc_change", 276))
    ]
    faults = recorded = 0
    for number in range(how_often(12, all=200, full=10_000)):
        octets = bytearray(dice.choice(wholes))
        for _ in range(dice.choice((1, 10, 1_000))):
            octets[dice.randrange(len(octets))] = dice.choice((0, 0xFF, dice.randrange(256)))
        folder = tmp_path / str(number)
        folder.mkdir()
        told = imported(folder, bytes(octets))
        assert check(folder / "storage") == []
        assert not list((folder / "storage" / "spool").iterdir())
        faults, recorded = faults + (told.fault is not None), recorded + len(told.recorded)
    assert faults
    assert recorded


@pytest.mark.all
@pytest.mark.parametrize("seed", range(3))
def test_p1_a_minute_of_every_weather_is_exact_through_a_capture(tmp_path: Path, seed: int) -> None:
    plan = Plan(tuple(Caller(k, seconds=60, weather=name) for k, name in enumerate(PRESETS)), seed=seed)
    told = imported(tmp_path, capture(plan, link=1, unit="us"))
    for proof in proofs(tmp_path, told, plan, Expected(ending="stopped")):
        assert proof.exact, str(proof)
