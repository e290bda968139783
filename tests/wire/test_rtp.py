"""The header gate (rule A1), column by column against the rule read one datagram at a time, and against aiortc."""

import struct
import tracemalloc

import numpy as np
import pytest
from aiortc.rtp import RtpPacket
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from receiver.wire import rtp
from receiver.wire.rtp import Verdict

ROW = 1536
EVENTS = 101
KINDS = rtp.payload_kinds(EVENTS)
WHOLE = (Verdict.ACCEPTED, Verdict.COMFORT_NOISE, Verdict.EVENT)


def slab_of(datagrams: list[bytes], junk: int = 0xFF) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Rows as the kernel leaves them: cut at 1,536 octets, old octets behind the end."""
    octets = np.full((len(datagrams), ROW), junk, np.uint8)
    for row, datagram in zip(octets, datagrams, strict=True):
        row[: len(datagram)] = np.frombuffer(datagram[:ROW], np.uint8)
    return octets, np.array([min(len(datagram), ROW) for datagram in datagrams], np.uint32)


def packet(
    payload: bytes = b"\xd5" * 160,
    payload_type: int = 8,
    first: int = 0x80,
    sequence: int = 0xABCD,
    timestamp: int = 0x89ABCDEF,
    ssrc: int = 0xFEDCBA98,
    between: bytes = b"",
    marker: bool = False,
) -> bytes:
    return struct.pack("!BBHLL", first, payload_type | marker << 7, sequence, timestamp, ssrc) + between + payload


def judge(datagram: bytes) -> tuple[Verdict, int, int]:
    """Rule A1 for one datagram, in its order: verdict, payload's place and size."""
    size = len(datagram)
    if size > 1500:
        return Verdict.LONG, 0, 0
    version_2 = size >= 1 and datagram[0] >> 6 == 2
    rtcp = size >= 8 and 192 <= datagram[1] <= 223
    if size < 12 and not (rtcp and version_2):
        return Verdict.SHORT, 0, 0
    if not version_2:
        return Verdict.VERSION, 0, 0
    if rtcp:
        return Verdict.RTCP, 0, 0
    at = 12 + 4 * (datagram[0] & 0x0F)
    if at > size:
        return Verdict.CSRC, 0, 0
    if datagram[0] & 0x10:
        if at + 4 > size:
            return Verdict.EXTENSION, 0, 0
        at += 4 + 4 * int.from_bytes(datagram[at + 2 : at + 4])
        if at > size:
            return Verdict.EXTENSION, 0, 0
    end = size
    if datagram[0] & 0x20:
        end -= datagram[-1]
        if datagram[-1] == 0 or end < at:
            return Verdict.PADDING, 0, 0
    if end == at:
        return Verdict.EMPTY, 0, 0
    if end - at > 1460:
        return Verdict.OVERSIZED, 0, 0
    return Verdict(int(KINDS[datagram[1] & 0x7F])), at, end - at


def assert_judged(octets: NDArray[np.uint8], size: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Parse, compare each row with ``judge``, return how often each verdict was given."""
    batch = rtp.parse(octets, size, KINDS)
    truth = np.array([judge(row[:n].tobytes()) for row, n in zip(octets, size, strict=True)]).reshape(-1, 3)
    assert np.array_equal(batch.verdict, truth[:, 0])
    whole = np.isin(batch.verdict, WHOLE)
    assert np.array_equal(batch.payload_at[whole], truth[whole, 1])
    assert np.array_equal(batch.payload_size[whole], truth[whole, 2])
    return np.bincount(batch.verdict, minlength=len(Verdict))


def test_the_columns_carry_the_drawing_of_rfc_3550() -> None:
    batch = rtp.parse(*slab_of([packet(marker=True), packet(payload_type=0, sequence=1, timestamp=2, ssrc=3)]), KINDS)
    assert batch.verdict.tolist() == [Verdict.ACCEPTED, Verdict.ACCEPTED]
    assert batch.payload_type.tolist() == [8, 0]
    assert batch.payload_type.dtype == np.uint8
    assert batch.marker.tolist() == [True, False]
    assert batch.marker.dtype == np.bool_
    assert batch.sequence.tolist() == [0xABCD, 1]
    assert batch.sequence.dtype == np.int64
    assert batch.timestamp.tolist() == [0x89ABCDEF, 2]
    assert batch.timestamp.dtype == np.int64
    assert batch.ssrc.tolist() == [0xFEDCBA98, 3]
    assert batch.ssrc.dtype == np.uint32
    assert batch.payload_at.tolist() == [12, 12]
    assert batch.payload_size.tolist() == [160, 160]


EXTENSION = b"\xbe\xde\x00\x01\x10\x7f\x00\x00"
EDGES = [
    ("speech", packet(), Verdict.ACCEPTED),
    ("one octet of speech", packet(b"a"), Verdict.ACCEPTED),
    ("the longest payload", packet(bytes(1460)), Verdict.ACCEPTED),
    ("one octet longer", packet(bytes(1461)), Verdict.OVERSIZED),
    ("the longest datagram", packet(bytes(1488)), Verdict.OVERSIZED),
    ("padding down to the longest payload", packet(bytes(1440) + b"\xa1", first=0xA0), Verdict.ACCEPTED),
    ("longer than an Ethernet frame", packet(bytes(1489)), Verdict.LONG),
    ("longer than a row", packet(bytes(9000)), Verdict.LONG),
    ("empty datagram", b"", Verdict.SHORT),
    ("one octet", b"\x80", Verdict.SHORT),
    ("header one octet short", packet(b"")[:-1], Verdict.SHORT),
    ("no payload", packet(b""), Verdict.EMPTY),
    ("version 0 (STUN)", packet(first=0x00), Verdict.VERSION),
    ("version 1", packet(first=0x40), Verdict.VERSION),
    ("version 3", packet(first=0xC0), Verdict.VERSION),
    ("fifteen sources", packet(first=0x8F, between=bytes(60)), Verdict.ACCEPTED),
    ("sources and no payload", packet(b"", first=0x8F, between=bytes(60)), Verdict.EMPTY),
    ("the last source sticks out", packet(b"", first=0x8F, between=bytes(59)), Verdict.CSRC),
    ("extension", packet(first=0x90, between=EXTENSION), Verdict.ACCEPTED),
    ("extension of no words", packet(first=0x90, between=b"\xbe\xde\x00\x00"), Verdict.ACCEPTED),
    ("extension header cut", packet(b"", first=0x90, between=EXTENSION[:3]), Verdict.EXTENSION),
    ("extension one octet short", packet(b"", first=0x90, between=EXTENSION[:7]), Verdict.EXTENSION),
    ("extension of 65,535 words", packet(first=0x90, between=b"\xbe\xde\xff\xff"), Verdict.EXTENSION),
    ("extension and no payload", packet(b"", first=0x90, between=EXTENSION), Verdict.EMPTY),
    ("padding", packet(b"speech" + b"\x00\x00\x03", first=0xA0), Verdict.ACCEPTED),
    ("padding of none", packet(b"speech\x00", first=0xA0), Verdict.PADDING),
    ("padding is all", packet(b"\x00\x00\x03", first=0xA0), Verdict.EMPTY),
    ("padding reaches into the header", packet(b"\x00\x00\x04", first=0xA0), Verdict.PADDING),
    ("padding announced, nothing there", packet(b"", first=0xA0, ssrc=0), Verdict.PADDING),
    ("all at once", packet(b"a\x01", first=0xBF, between=bytes(60) + EXTENSION), Verdict.ACCEPTED),
    ("PCMU", packet(payload_type=0), Verdict.ACCEPTED),
    ("comfort noise", packet(b"\x40", payload_type=13), Verdict.COMFORT_NOISE),
    ("telephone-event", packet(b"\x05\x8a\x03\x20", payload_type=EVENTS), Verdict.EVENT),
    ("unknown payload type", packet(payload_type=96), Verdict.PAYLOAD_TYPE),
    ("G.722 was not asked for", packet(payload_type=9), Verdict.PAYLOAD_TYPE),
    ("receiver report", b"\x80\xc9\x00\x01\x12\x34\x56\x78", Verdict.RTCP),
    ("receiver report cut", b"\x80\xc9\x00\x01\x12\x34\x56", Verdict.SHORT),
    ("receiver report of version 1", b"\x40\xc9\x00\x01" + bytes(8), Verdict.VERSION),
    ("short and of version 1", b"\x40\xc9\x00\x01" + bytes(4), Verdict.SHORT),
    ("sender report", b"\x80\xc8\x00\x06" + bytes(24), Verdict.RTCP),
    ("first of the RTCP types", b"\x80\xc0" + bytes(20), Verdict.RTCP),
    ("last of the RTCP types", b"\x80\xdf" + bytes(20), Verdict.RTCP),
    ("below them", b"\x80\xbf" + bytes(20), Verdict.PAYLOAD_TYPE),
    ("above them", b"\x80\xe0" + bytes(20), Verdict.PAYLOAD_TYPE),
]


@pytest.mark.parametrize("junk", [0x00, 0x80, 0xFF])
def test_a1_every_edge_gets_its_verdict_alone_and_among_the_others(junk: int) -> None:
    expected = [verdict for _, _, verdict in EDGES]
    datagrams = [datagram for _, datagram, _ in EDGES]
    together = rtp.parse(*slab_of(datagrams, junk), KINDS)
    alone = [int(rtp.parse(*slab_of([datagram], junk), KINDS).verdict[0]) for datagram in datagrams]
    assert dict(zip(datagrams, together.verdict.tolist(), strict=True)) == dict(zip(datagrams, expected, strict=True))
    assert alone == expected
    assert_judged(*slab_of(datagrams, junk))


def test_a1_every_verdict_of_the_gate_is_among_the_edges() -> None:
    assert {verdict for _, _, verdict in EDGES} == {verdict for verdict in Verdict if verdict < Verdict.FOREIGN}


def test_a1_an_empty_slab_is_an_empty_batch() -> None:
    assert len(rtp.parse(np.empty((0, ROW), np.uint8), np.empty(0, np.uint32), KINDS).verdict) == 0


def test_a8_the_events_type_is_the_configured_one() -> None:
    octets, size = slab_of([packet(payload_type=97), packet(payload_type=101)])
    assert rtp.parse(octets, size, rtp.payload_kinds(97)).verdict.tolist() == [Verdict.EVENT, Verdict.PAYLOAD_TYPE]


def mutated(count: int, dice: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Packets of all shapes with broken bits and cut ends, and plain noise: all columns, rows full of old octets."""
    octets = dice.integers(0, 256, (count, ROW), np.uint8)
    size = dice.choice(
        np.array([0, 1, 8, 11, 12, 13, 20, 24, 72, 76, 92, 172, 252, 1292, 1293, 1500, 1501, 1536]), count
    )
    anywhere = dice.random(count) < 0.3
    size[anywhere] = dice.integers(0, ROW + 1, int(anywhere.sum()))
    shaped = dice.random(count) < 0.8
    octets[shaped, 0] = dice.choice(
        np.array([0x80, 0x80, 0x81, 0x8F, 0x90, 0xA0, 0xB0, 0xBF], np.uint8), int(shaped.sum())
    )
    octets[shaped, 1] = dice.choice(np.array([0, 8, 13, 101, 0x80, 0x88, 200, 96], np.uint8), int(shaped.sum()))
    short_extension = dice.random(count) < 0.7
    octets[short_extension, 14::4] = 0
    octets[short_extension, 15::4] &= 0x3F
    flipped = dice.random(count) < 0.2
    place, bit = dice.integers(0, 16, count), np.uint8(1) << dice.integers(0, 8, count).astype(np.uint8)
    octets[flipped, place[flipped]] ^= bit[flipped]
    return octets, size.astype(np.uint32)


@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.all)])
def test_a1_random_and_mutated_datagrams_get_one_verdict_each_and_leave_nothing_behind(count: int) -> None:
    dice = np.random.default_rng(count)
    tally = np.zeros(len(Verdict), np.int64)
    step = 4096
    rtp.parse(*mutated(step, dice), KINDS)
    held = []
    for at in range(0, count, step):
        octets, size = mutated(min(step, count - at), dice)
        before = octets.copy()
        tally += assert_judged(octets, size)
        assert np.array_equal(octets, before)
        if at == 0:
            tracemalloc.start()
        tracemalloc.clear_traces()
        rtp.parse(octets, size, KINDS)
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert tally.sum() == count
    assert (tally[: Verdict.FOREIGN] > 0).all()
    assert max(held) < 4096


DATAGRAMS = st.one_of(
    st.binary(max_size=120),
    st.builds(
        packet,
        payload=st.binary(max_size=60),
        payload_type=st.sampled_from([0, 8, 13, 101, 72, 96]),
        first=st.integers(0x80, 0xBF),
        sequence=st.integers(0, 2**16 - 1),
        timestamp=st.integers(0, 2**32 - 1),
        ssrc=st.integers(0, 2**32 - 1),
        between=st.binary(max_size=70),
        marker=st.booleans(),
    ),
    st.builds(
        lambda cc, words, payload, padding: packet(
            payload + bytes(padding) + bytes([padding + 1]),
            first=0xB0 | cc,
            between=bytes(4 * cc) + b"\x00\x00" + struct.pack("!H", words) + bytes(4 * words),
        ),
        cc=st.integers(0, 15),
        words=st.integers(0, 8),
        payload=st.binary(max_size=40),
        padding=st.integers(0, 20),
    ),
)

OURS_ALONE = {
    Verdict.LONG: "aiortc knows no longest datagram",
    Verdict.RTCP: "aiortc tells RTCP apart before it parses (is_rtcp), and 192..208 only",
    Verdict.EMPTY: "aiortc takes a packet without payload",
    Verdict.OVERSIZED: "aiortc knows no longest payload",
    Verdict.PAYLOAD_TYPE: "aiortc takes every payload type",
}
"""Refused by rule A1, accepted by aiortc."""

THEIRS_ALONE = "header extension value is truncated"
"""Refused by aiortc, accepted by us: it reads into the extensions of RFC 8285, we step over them."""


def aiortc_parsed(datagram: bytes) -> RtpPacket | str:
    try:
        return RtpPacket.parse(datagram)
    except ValueError as refusal:
        return str(refusal)


@settings(max_examples=400)
@example([packet(first=0x90, between=EXTENSION)])
@example([packet(first=0x90, between=b"\xbe\xde\x00\x01\x1f\x7f\x00\x00")])
@given(st.lists(DATAGRAMS, min_size=1, max_size=12))
def test_a1_what_aiortc_parses_we_parse_alike_and_differ_only_where_listed(datagrams: list[bytes]) -> None:
    octets, size = slab_of(datagrams)
    batch = rtp.parse(octets, size, KINDS)
    for i, datagram in enumerate(datagrams):
        verdict = Verdict(int(batch.verdict[i]))
        theirs = aiortc_parsed(datagram)
        if isinstance(theirs, str):
            assert verdict not in WHOLE or THEIRS_ALONE in theirs, theirs
            continue
        assert verdict in WHOLE or verdict in OURS_ALONE
        if verdict not in WHOLE:
            continue
        at, length = int(batch.payload_at[i]), int(batch.payload_size[i])
        assert datagram[at : at + length] == theirs.payload
        ours = batch.payload_type[i], batch.marker[i], batch.sequence[i], batch.timestamp[i], batch.ssrc[i]
        assert ours == (
            theirs.payload_type, bool(theirs.marker), theirs.sequence_number, theirs.timestamp, theirs.ssrc
        )  # fmt: skip


@given(st.integers(1, 1460), st.lists(st.tuples(st.integers(0, 19), st.integers(12, 76)), max_size=40), st.booleans())
def test_gather_copies_the_payload_of_each_row_asked_for(size: int, asked: list[tuple[int, int]], alike: bool) -> None:
    octets = np.random.default_rng(size).integers(0, 256, (20, ROW), np.uint8)
    which, at = np.array(asked, np.int64).reshape(-1, 2).T
    at = np.full(len(at), 12) if alike else at
    gathered = rtp.gather(octets, which, 12 if alike else at, size)
    assert gathered.shape == (len(which), size)
    assert gathered.dtype == np.uint8
    assert gathered.tolist() == [octets[row, a : a + size].tolist() for row, a in zip(which, at, strict=True)]
    octets[:] = 0xFF
    assert not np.shares_memory(gathered, octets)
