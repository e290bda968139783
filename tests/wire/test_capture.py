"""Captures of every kind are read alike, in pieces of any size; what is damaged is named by its octet."""

import random
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.wire import ip
from receiver.wire.capture import CaptureError, Frames, Reader
from receiver.wire.ip import Fate
from tests.importing.captures import (
    SECOND,
    Datagram,
    block,
    enhanced,
    framed,
    interface,
    packet,
    pcap,
    pcapng,
    section,
)
from tests.tools import count, needs

NOON_NS = 1_700_000_000 * SECOND
FRAMES = [(NOON_NS + k * 20_000_000 + k * 1_000, bytes([k]) * (60 + k)) for k in range(20)]
Row = tuple[int, bytes, int, int]


def rows_of(frames: Frames) -> list[Row]:
    """Stamp, octets, length on the wire, link."""
    return [
        (int(stamp), frames.octets[start : start + size].tobytes(), int(full), int(link))
        for _, start, size, full, link, stamp in zip(
            range(frames.start.size), *(column.tolist() for column in frames[1:]), strict=True
        )
    ]  # fmt: skip


def read(octets: bytes, piece: int = 1 << 20) -> tuple[list[Row], CaptureError | None]:
    """All that a reader makes of a file, and what it says of it."""
    reader, rows = Reader(), []
    for at in range(0, len(octets), piece):
        rows += rows_of(reader.feed(octets[at : at + piece]))
    reader.end()
    return rows, reader.fault


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("unit", ["us", "ns"])
def test_pcap_of_either_order_and_unit(order: str, unit: str) -> None:
    rows, fault = read(pcap(FRAMES, link=1, order=order, unit=unit))
    assert fault is None
    assert rows == [(stamp, frame, len(frame), 1) for stamp, frame in FRAMES]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("resolution", [3, 6, 9, 10])
def test_pcapng_of_either_order_and_any_resolution(order: str, resolution: int) -> None:
    finer = [(stamp // SECOND * SECOND, frame) for stamp, frame in FRAMES] if resolution == 3 else FRAMES
    octets = section(order) + interface(order, 113, resolution)
    for stamp, frame in finer:
        units = stamp * 10 ** (resolution - 9) if resolution > 9 else stamp // 10 ** (9 - resolution)
        octets += enhanced(order, 0, units, frame)
    rows, fault = read(octets)
    assert fault is None
    assert rows == [(stamp, frame, len(frame), 113) for stamp, frame in finer]


def test_pcapng_with_a_resolution_of_two_and_an_offset() -> None:
    octets = section() + interface("<", 1, 0x80 | 10, offset_s=100) + enhanced("<", 0, 1_024 * 7 + 512, b"x" * 60)
    assert read(octets)[0] == [(107 * SECOND + SECOND // 2, b"x" * 60, 60, 1)]


def test_pcapng_with_several_sections_of_both_orders_and_several_interfaces() -> None:
    octets = pcapng(FRAMES[:2], link=1) + section(">") + interface(">", 101) + interface(">", 276)
    octets += enhanced(">", 1, NOON_NS, b"a" * 30) + enhanced(">", 0, NOON_NS + 5, b"b" * 31, full=99)
    octets += block(">", 0x0BAD, b"nobody knows this one")
    rows, fault = read(octets)
    assert fault is None
    assert rows[2:] == [(NOON_NS, b"a" * 30, 30, 276), (NOON_NS + 5, b"b" * 31, 99, 101)]


def test_a_simple_packet_has_the_time_of_the_one_before_and_is_counted() -> None:
    simple = block("<", 3, struct.pack("<I", 100) + b"s" * 64)
    reader = Reader()
    rows = rows_of(reader.feed(pcapng(FRAMES[:1], link=1) + simple))
    assert rows[1] == (FRAMES[0][0], b"s" * 64, 100, 1)
    assert reader.untimed == 1


def test_the_packet_block_of_old() -> None:
    body = struct.pack("<HHIIII", 0, 7, NOON_NS >> 32, NOON_NS & 0xFFFFFFFF, 20, 20) + b"o" * 20
    assert read(section() + interface("<", 1) + block("<", 2, body))[0] == [(NOON_NS, b"o" * 20, 20, 1)]


def test_a_snap_length_leaves_the_length_on_the_wire() -> None:
    rows, _ = read(pcap(FRAMES, snap=50))
    assert [(len(frame), full) for _, frame, full, _ in rows] == [(50, len(frame)) for _, frame in FRAMES]


@given(piece=st.integers(1, 700), ng=st.booleans(), order=st.sampled_from("<>"))
def test_pieces_of_any_size_make_no_difference(piece: int, ng: bool, order: str) -> None:
    octets = pcapng(FRAMES, order=order) if ng else pcap(FRAMES, order=order)
    assert read(octets, piece) == (read(octets)[0], None)


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_a_file_that_is_cut_off_at_any_octet_gives_what_is_before_and_the_octet(make: object) -> None:
    octets = pcap(FRAMES[:4]) if make is pcap else pcapng(FRAMES[:4])
    head = 24 if make is pcap else len(pcapng([]))
    ends = [head]
    for k in range(4):
        ends.append(len(pcap(FRAMES[: k + 1]) if make is pcap else pcapng(FRAMES[: k + 1])))
    boundaries = {*ends, *([len(section())] if make is pcapng else [])}
    for cut in range(len(octets)):
        rows, fault = read(octets[:cut])
        assert len(rows) == sum(cut >= end for end in ends[1:])
        if cut in boundaries:
            assert fault is None, cut
        else:
            assert fault is not None
            assert fault.offset == max([0, *(end for end in boundaries if end < cut)]), cut


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"", "empty"),
        (b"\xd4", "too short"),
        (b"\x1f\x8b\x08\x00" + bytes(20), "gzip"),
        (b"RIFF" + bytes(40), "WAV"),
        (b"\x89PNG" + bytes(40), "no pcap or pcapng"),
        (struct.pack("<IHH", 0xA1B2C3D4, 9, 4) + bytes(16), "version 9.4"),
        (pcap([]) + struct.pack("<IIII", 0, 0, 1 << 20, 1 << 20), "longer than any packet"),
        (section() + enhanced("<", 3, 0, b"x"), "interface 3"),
        (section() + struct.pack("<III", 6, 13, 0), "13 octets"),
        (section() + struct.pack("<IIII", 6, 16, 0, 20), "two lengths differ"),
        (section()[:8] + bytes(4) + section()[12:], "without a byte order"),
        (section() + block("<", 1, b"\x01\x00"), "too short for what it says"),
        (section() + interface("<", 1) + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), "sticks out"),
    ],
)
def test_what_is_no_capture_or_damaged_says_so_and_where(octets: bytes, says: str) -> None:
    rows, fault = read(octets)
    assert rows == []
    assert fault is not None
    assert says in str(fault)
    assert f"(at octet {fault.offset:,})" in str(fault)


def test_after_a_fault_nothing_is_read_and_nothing_is_kept() -> None:
    reader = Reader()
    reader.feed(b"not a capture at all")
    fault = reader.fault
    for _ in range(3):
        assert reader.feed(pcap(FRAMES)).start.size == 0
    assert reader.fault is fault


def test_mutated_captures_end_in_a_fault_or_in_frames_and_never_otherwise() -> None:
    """Read to the UDP datagrams; every frame lies within what was fed."""
    dice = random.Random(5)
    datagrams = [Datagram(NOON_NS + k, bytes(range(k, k + 40)), source=("192.0.2.7", "2001:db8::7")[k % 2],
                          target=("192.0.2.1", "2001:db8::1")[k % 2]) for k in range(6)]  # fmt: skip
    wholes = []
    for link in (0, 1, 101, 113, 276):
        frames = [(one.stamp_ns, framed(link, packet(one), tags=(0x8100,) if link == 1 else ())) for one in datagrams]
        wholes += [pcap(frames, link, order) for order in "<>"] + [pcapng(frames, link, order) for order in "<>"]
    fates, faults, kept = np.zeros(len(Fate), np.int64), 0, list[Frames]()
    for _ in range(count(3_000, all=100_000, full=1_000_000)):
        octets = bytearray(dice.choice(wholes))
        for _ in range(dice.choice((1, 1, 2, 5))):
            octets[dice.randrange(len(octets))] = dice.choice((0, 0xFF, dice.randrange(256)))
        reader, half = Reader(), dice.randrange(len(octets))
        kept += [reader.feed(bytes(octets[:half])), reader.feed(bytes(octets[half:]))]
        reader.end()
        faults += reader.fault is not None
        if len(kept) > 500:
            fates += looked_through(together(kept))
            kept.clear()
    assert faults > 0
    assert (fates[[Fate.UDP, Fate.OTHER, Fate.FRAGMENT, Fate.TRUNCATED, Fate.MALFORMED]] > 0).all()


def together(several: list[Frames]) -> Frames:
    """All in one: numpy takes as long for a few frames as for a thousand."""
    begins = np.cumsum([0, *(frames.octets.size for frames in several[:-1])])
    starts = [frames.start + begin for frames, begin in zip(several, begins, strict=True)]
    rest = [np.concatenate([frames[column] for frames in several]) for column in range(2, 6)]
    return Frames(np.concatenate([frames.octets for frames in several]), np.concatenate(starts), *rest)


def looked_through(frames: Frames) -> NDArray[np.int64]:
    """How many had which fate; every datagram lies within its frame."""
    found = ip.read(frames)
    whole = found.fate == Fate.UDP
    assert (found.payload_at[whole] >= frames.start[whole]).all()
    assert (found.payload_size[whole] >= 0).all()
    assert (found.payload_at[whole] + found.payload_size[whole] <= (frames.start + frames.size)[whole]).all()
    assert (frames.stamp_ns >= 0).all()
    return np.bincount(found.fate, minlength=len(Fate))


@pytest.mark.all
@needs("editcap", "tshark")
@pytest.mark.parametrize("form", ["pcap", "nsecpcap", "pcapng"])
@pytest.mark.parametrize("snap", [None, 60])
def test_what_editcap_writes_is_what_tshark_reads_and_so_do_we(tmp_path: Path, form: str, snap: int | None) -> None:
    sent = [Datagram(NOON_NS + k * 20_000_001, bytes([k]) * (k + 1), port=1_000 + k) for k in range(100)]
    (tmp_path / "in").write_bytes(pcap([(one.stamp_ns, framed(1, packet(one))) for one in sent], link=1))
    options = [] if snap is None else ["-s", str(snap)]
    subprocess.run(["editcap", "-F", form, *options, tmp_path / "in", tmp_path / "out"], check=True)
    fields = "frame.time_epoch", "frame.cap_len", "frame.len"
    told = subprocess.run(
        ["tshark", "-r", tmp_path / "out", "-T", "fields", *(word for field in fields for word in ("-e", field))],
        check=True, capture_output=True, text=True,
    ).stdout.split("\n")[:-1]  # fmt: skip
    rows, fault = read((tmp_path / "out").read_bytes(), piece=333)
    assert fault is None
    assert len(rows) == len(told) == 100
    for (stamp, frame, full, link), line in zip(rows, told, strict=True):
        epoch, kept, length = line.split("\t")
        seconds, _, fraction = epoch.partition(".")
        assert (stamp, len(frame), full, link) == (
            int(seconds) * SECOND + int(fraction.ljust(9, "0")), int(kept), int(length), 1,
        )  # fmt: skip
