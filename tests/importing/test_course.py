"""A capture becomes recordings: each stream one, exact to the sample, and what was not recorded is counted and named."""

from pathlib import Path

import pytest

from receiver.archive.check import check
from receiver.archive.files import Files
from receiver.archive.sidecar import Ending, Outcome
from receiver.importing import course
from receiver.importing.course import Imported, Options
from receiver.lab.forecast import PRESETS
from receiver.lab.plan import Caller, Plan
from receiver.lab.proof import Expected, Proof, prove
from tests.importing.captures import SECOND, Datagram, capture, framed, packet, pcap, sent
from tests.lab.reference import sent_by

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
    return [
        prove(
            folder / "storage" / "ready" / f"{each.told.recording_id}.json",
            sent_by(callers[each.flow.source.port], plan.seed), expected,
        )
        for each in told.recorded
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


@pytest.mark.parametrize("piece", [97, 1_500, 1 << 22])
def test_it_does_not_matter_in_which_pieces_the_file_is_read(tmp_path: Path, piece: int) -> None:
    plan = Plan((Caller(1, seconds=3, weather="everything"), Caller(2, seconds=3)))
    told = imported(tmp_path, capture(plan), Options("{recording_id}", 3_200, 600 * SECOND, piece=piece))
    assert all(proof.exact for proof in proofs(tmp_path, told, plan, Expected(ending="stopped")))


def test_a_burst_that_is_longer_than_the_ring_is_recorded_whole(tmp_path: Path) -> None:
    """As after a stall of the network: all stamps within half a second."""
    plan = Plan((Caller(3, seconds=60, size=1_200),))
    packets = sent(plan)
    packets = [
        one._replace(stamp_ns=packets[k // 50 * 50 + 49].stamp_ns + k % 50 * 1_000) if k // 50 * 50 + 49 < len(packets)
        else one
        for k, one in enumerate(packets)
    ]  # fmt: skip
    told = imported(tmp_path, pcap([(one.stamp_ns, packet(one)) for one in packets]))
    (one,) = told.recorded
    assert one.told.channels[0].streams[0].packets == len(packets)
    assert one.told.outcome == Outcome.COMPLETE
    assert one.told.gaps == ()
    assert one.told.frames == 60 * 8_000


def test_what_is_no_rtp_is_no_recording(tmp_path: Path) -> None:
    queries = [Datagram(k * SECOND, bytes([k, k * 7 % 256, 1, 0]) + bytes(30), port=53, to=1_000 + k) for k in range(256)]
    told = imported(tmp_path, pcap([(one.stamp_ns, packet(one)) for one in queries]))
    assert (told.recorded, told.left, told.unknown) == ([], [], {})
    assert told.fates["udp"] == 256


def test_a_payload_type_that_nobody_announced_is_counted_and_named(tmp_path: Path) -> None:
    plan = Plan((Caller(1, seconds=2),))
    told = imported(
        tmp_path,
        pcap([(one.stamp_ns, packet(one._replace(payload=one.payload[:1] + b"\x6f" + one.payload[2:]))) for one in sent(plan)]),
    )  # fmt: skip
    assert told.recorded == []
    assert [(flow.source.port, dict(flow.unknown)) for flow in told.left] == [(40_001, {111: 100})]
    assert told.unknown == {111: 100}


def test_d6_a_stream_that_was_silent_too_long_goes_on_as_another_recording(tmp_path: Path) -> None:
    plan = Plan((Caller(1, seconds=2),))
    first = sent(plan)
    later = [one._replace(stamp_ns=one.stamp_ns + 60 * SECOND) for one in first]
    octets = pcap([(one.stamp_ns, packet(one)) for one in (*first, *later)])
    told = imported(tmp_path, octets, Options("{recording_id}", 3_200, 30 * SECOND))
    assert [(each.told.ending, each.told.frames) for each in told.recorded] == [
        (Ending.SILENCE, 16_000), (Ending.STOPPED, 16_000),
    ]  # fmt: skip
    assert told.recorded[0].told.started_at < told.recorded[1].told.started_at


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
    for cut in (*range(24, 24 + 3 * size), len(whole) - 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        told = imported(folder, whole[:cut])
        count, rest = divmod(cut - 24, size)
        assert (told.fault is None) == (rest == 0)
        assert told.fault is None or told.fault.offset == cut - rest
        recorded = [each.told.channels[0].streams[0].packets for each in told.recorded]
        assert recorded == ([count] if count >= 2 else [])
        assert [each.told.outcome for each in told.recorded] == [Outcome.DEGRADED if rest else Outcome.COMPLETE][: len(recorded)]
        assert [each.told.frames for each in told.recorded] == [160 * count][: len(recorded)]


def test_nobody_announced_the_source_of_a_stream_in_a_capture(tmp_path: Path) -> None:
    told = imported(tmp_path, capture(Plan((Caller(1, seconds=1),))))
    channel = told.recorded[0].told.channels[0]
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
