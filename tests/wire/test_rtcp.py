"""Rule A13: what RTCP says is read as RFC 3550 draws it; aiortc is asked too, both ways round; nothing raises."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from aiortc import rtp as oracle
from hypothesis import given
from hypothesis import strategies as st

from receiver.wire.rtcp import Compound, SenderReport, parse

word = st.integers(0, 2**32 - 1)
long = st.integers(0, 2**64 - 1)


def sr(ssrc: int = 7, ntp: int = 0xE8F1_2345_8000_0000, timestamp: int = 160, blocks: int = 0) -> bytes:
    """A sender report as it is drawn."""
    body = struct.pack("!LQLLL", ssrc, ntp, timestamp, 3, 480) + bytes(24 * blocks)
    return struct.pack("!BBH", 0x80 | blocks, 200, len(body) // 4) + body


def rr(ssrc: int = 7) -> bytes:
    return struct.pack("!BBHL", 0x80, 201, 1, ssrc)


def sdes(*chunks: tuple[int, list[tuple[int, bytes]]]) -> bytes:
    body = b""
    for ssrc, items in chunks:
        body += struct.pack("!L", ssrc) + b"".join(bytes([kind, len(text)]) + text for kind, text in items)
        body += bytes(4 - len(body) % 4)
    return struct.pack("!BBH", 0x80 | len(chunks), 202, len(body) // 4) + body


def bye(*ssrcs: int, reason: bytes = b"") -> bytes:
    body = b"".join(struct.pack("!L", ssrc) for ssrc in ssrcs)
    if reason:
        body += bytes([len(reason)]) + reason
        body += bytes(-len(body) % 4)
    return struct.pack("!BBH", 0x80 | len(ssrcs), 203, len(body) // 4) + body


def padded(packet: bytes, octets: int = 8) -> bytes:
    """With padding, counted in its length."""
    first, kind, words = struct.unpack_from("!BBH", packet)
    return (
        struct.pack("!BBH", first | 0x20, kind, words + octets // 4) + packet[4:] + bytes(octets - 1) + bytes([octets])
    )


def test_a13_a_compound_packet_as_senders_make_it() -> None:
    said = parse(sr(blocks=1) + sdes((7, [(1, b"me@192.0.2.7"), (6, b"a phone")])) + bye(7, 8, reason=b"done"))
    assert said is not None
    assert said.names == ((7, "me@192.0.2.7"),)
    assert said.leaving == (7, 8)
    [report] = said.reports
    assert report._replace(wall_ns=None) == SenderReport(7, None, 160, 3, 480)


@pytest.mark.parametrize(
    ("ntp", "when"),
    [
        (0x83AA_7E80_0000_0000, datetime(1970, 1, 1, tzinfo=UTC)),
        (0xE8F1_2345_8000_0000, datetime(2023, 11, 4, 20, 8, 37, 500_000, tzinfo=UTC)),
        (0xFFFF_FFFF_0000_0000, datetime(2036, 2, 7, 6, 28, 15, tzinfo=UTC)),
        (0x0000_0000_4000_0000, datetime(2036, 2, 7, 6, 28, 16, 250_000, tzinfo=UTC)),
        (0x0000_0001_0000_0000, datetime(2036, 2, 7, 6, 28, 17, tzinfo=UTC)),
    ],
)
def test_a13_wall_time_is_told_also_when_ntp_seconds_wrap(ntp: int, when: datetime) -> None:
    said = parse(sr(ntp=ntp))
    assert said is not None
    assert said.reports[0].wall_ns == round(when.timestamp() * 1_000) * 1_000_000


def test_a13_a_sender_without_a_clock_says_zero() -> None:
    said = parse(sr(ntp=0))
    assert said is not None
    assert said.reports[0].wall_ns is None


@pytest.mark.parametrize(
    "datagram",
    [
        b"", b"\x80", sr()[:-1], sr() + b"\x80", sr() + b"\x80\xca\x00\x09" + bytes(8), b"\x40" + sr()[1:],
        sr() + b"\x40" + bye(7)[1:], sdes((7, [(1, b"x")])), bye(7), padded(sr()), b"\x80" + bytes([204]) + sr()[2:],
    ],
)  # fmt: skip
def test_a13_what_appendix_a_2_does_not_let_pass_says_nothing(datagram: bytes) -> None:
    """Too short, too long, another version, no report in front, padding in the first packet."""
    assert parse(datagram) is None


def test_a13_padding_behind_the_last_packet_is_none_of_it() -> None:
    assert parse(rr() + padded(bye(7))) == Compound(leaving=(7,))
    assert parse(rr() + padded(sdes((7, [(1, b"abc")])))) == Compound(names=((7, "abc"),))
    sticking_out = bytearray(padded(bye(7)))
    sticking_out[-1] = 200
    assert parse(rr() + sticking_out) == Compound()


@pytest.mark.parametrize(
    "broken",
    [
        b"\x81\xca\x00\x00",  # one chunk, no octets
        b"\x81\xca\x00\x02" + bytes(4) + b"\x01\x09ab",  # an item sticks out
        b"\x81\xca\x00\x02" + bytes(4) + b"\x01\x02ab",  # nothing ends the items
        b"\x81\xca\x00\x02" + bytes(4) + b"\x01\x01a\x01",  # an item without its length
        b"\x82\xcb\x00\x01" + bytes(4),  # two leave, one is named
        b"\x80\xc8\x00\x05" + bytes(20),  # a sender report without its last word
        b"\x81\xc8\x00\x06" + bytes(24),  # one without its block
        b"\x80\xcc\x00\x01name",  # of an application
    ],
)
def test_a13_of_a_broken_packet_nothing_is_taken_and_the_others_hold(broken: bytes) -> None:
    assert parse(rr() + broken + bye(5)) == Compound(leaving=(5,))


def test_a13_names_of_several_chunks_each_at_its_word() -> None:
    said = parse(rr() + sdes(*((ssrc, [(2, b"y" * ssrc), (1, b"n" * ssrc)]) for ssrc in range(9))))
    assert said is not None
    assert said.names == tuple((ssrc, "n" * ssrc) for ssrc in range(9))


def test_a13_a_name_is_text_that_can_be_printed_whatever_its_octets() -> None:
    said = parse(rr() + sdes((7, [(1, b"a\x00\x1b[2J\xff\xc3\xa9\n")])))
    assert said is not None
    assert said.names == ((7, "a\ufffd\ufffd[2J\ufffd\u00e9\ufffd"),)


# -- somebody else's program

oracle_reports = st.lists(
    st.builds(
        oracle.RtcpReceiverInfo, ssrc=word, fraction_lost=st.integers(0, 255), packets_lost=st.integers(-8, 99),
        highest_sequence=word, jitter=word, lsr=word, dlsr=word,
    ),
    max_size=3,
)  # fmt: skip
oracle_sender = st.builds(
    oracle.RtcpSrPacket,
    ssrc=word,
    sender_info=st.builds(
        oracle.RtcpSenderInfo, ntp_timestamp=long, rtp_timestamp=word, packet_count=word, octet_count=word
    ),
    reports=oracle_reports,
)
oracle_receiver = st.builds(oracle.RtcpRrPacket, ssrc=word, reports=oracle_reports)
names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), max_size=20).map(str.encode)
oracle_names = st.builds(
    oracle.RtcpSdesPacket,
    st.lists(  # of several chunks it does not begin each at a word
        st.builds(oracle.RtcpSourceInfo, word, st.lists(st.tuples(st.integers(1, 8), names), max_size=4)), max_size=1
    ),
)
oracle_goodbye = st.builds(oracle.RtcpByePacket, st.lists(word, max_size=5))
oracle_feedback = st.builds(oracle.RtcpPsfbPacket, fmt=st.integers(0, 31), ssrc=word, media_ssrc=word)


@given(
    st.one_of(oracle_sender, oracle_receiver),
    st.lists(st.one_of(oracle_sender, oracle_receiver, oracle_names, oracle_goodbye, oracle_feedback), max_size=5),
)
def test_a13_what_aiortc_makes_is_read_as_it_was_meant(first: Any, others: list[Any]) -> None:
    packets = [first, *others]
    said = parse(b"".join(bytes(packet) for packet in packets))
    assert said is not None
    senders = [packet for packet in packets if isinstance(packet, oracle.RtcpSrPacket)]
    assert [report._replace(wall_ns=None) for report in said.reports] == [
        SenderReport(
            it.ssrc, None, it.sender_info.rtp_timestamp, it.sender_info.packet_count, it.sender_info.octet_count
        )
        for it in senders
    ]
    for report, it in zip(said.reports, senders, strict=True):
        if report.wall_ns is not None:
            ntp = it.sender_info.ntp_timestamp
            assert (report.wall_ns + 2_208_988_800 * 10**9) % (10**9 << 32) == pytest.approx(
                ntp * 10**9 / 2**32, abs=900
            )
    assert said.leaving == tuple(
        ssrc for packet in packets if isinstance(packet, oracle.RtcpByePacket) for ssrc in packet.sources
    )
    assert said.names == tuple(
        (chunk.ssrc, text.decode())
        for packet in packets
        if isinstance(packet, oracle.RtcpSdesPacket)
        for chunk in packet.chunks
        for kind, text in chunk.items
        if kind == 1
    )


@given(st.lists(st.tuples(word, long, word, st.integers(0, 3)), min_size=1, max_size=3), st.lists(word, max_size=4))
def test_a13_what_we_draw_is_read_by_aiortc_as_by_us(senders: list[tuple[int, int, int, int]], gone: list[int]) -> None:
    datagram = b"".join(sr(*sender) for sender in senders) + bye(*gone)
    ours, theirs = parse(datagram), oracle.RtcpPacket.parse(datagram)
    assert ours is not None
    assert [(report.ssrc, report.timestamp) for report in ours.reports] == [
        (it.ssrc, it.sender_info.rtp_timestamp) for it in theirs if isinstance(it, oracle.RtcpSrPacket)
    ]
    assert isinstance(theirs[-1], oracle.RtcpByePacket)
    assert ours.leaving == tuple(theirs[-1].sources)


# -- hostile octets


@given(st.binary(max_size=200))
def test_a13_no_octets_raise(datagram: bytes) -> None:
    parse(datagram)
    parse(rr() + datagram)


@given(st.data())
def test_a13_no_mutation_of_a_good_packet_raises_or_says_more_than_it_holds(data: st.DataObject) -> None:
    good = bytearray(sr(blocks=1) + sdes((7, [(1, b"me"), (2, b"you")]), (8, [(1, b"he")])) + bye(7, reason=b"so"))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    said = parse(bytes(good[: data.draw(st.integers(0, len(good)))]))
    if said is not None:
        assert len(said.reports) <= 4
        assert len(said.leaving) <= 31
        assert sum(len(name) for _, name in said.names) <= len(good)
