"""SRTP against the RFCs' numbers, against a second implementation, and against the order of things."""

import struct
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Error, Policy, Session

from receiver import keys
from receiver.wire.rtp import HEADER_OCTETS
from receiver.wire.srtp import LONGEST_PLAIN, LONGEST_TRAILER, MOST_SOURCES, WINDOW, Opener, Sealer, Suite
from tests.tools import count
from tests.wire import srtp_oracle as oracle

MASTER = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
MASTER_SALT = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")


def material(suite: Suite, seed: int = 1) -> bytes:
    return Random(seed).randbytes(keys.SUITES[suite.name])


def rtp(index: int, ssrc: int = 7, payload: bytes = b"said") -> bytes:
    return struct.pack("!BBHLL", 0x80, 0, index & 0xFFFF, index * 160 & 0xFFFF_FFFF, ssrc) + payload


def test_rfc_3711_b_3_key_derivation() -> None:
    """What the second implementation stands on."""
    for label, told in (
        (oracle.ENCRYPTION, "C61E7A93744F39EE10734AFE3FF7A087"),
        (oracle.SALT, "30CBBC08863D8C85D49DB34A9AE1"),
        (oracle.AUTHENTICATION, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"),
    ):
        assert oracle.derived(MASTER, MASTER_SALT, label, len(told) // 2).hex().upper() == told


def test_rfc_7714_16_1_1_aead_aes_128_gcm() -> None:
    """The RFC tells the session's key and salt, which libsrtp does not take: this is for the second implementation."""
    packet = bytes.fromhex("8040f17b8041f8d35501a0b2") + b"Gallia est omnis divisa in partes tres"
    sealed = oracle.gcm(bytes(range(16)), b"Quid pro quo", packet, 0xF17B)
    assert sealed[12:].hex() == (
        "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce"
    )


def test_the_packet_of_libsrtps_own_test() -> None:
    """With the master key of RFC 3711, B.3."""
    plain = bytes.fromhex("800f1234decafbadcafebabe" + "ab" * 16)
    sealed = bytes.fromhex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")
    assert oracle.protect("AES_CM_128_HMAC_SHA1_80", MASTER + MASTER_SALT, plain, 0x1234) == sealed
    opener = Opener(Suite.AES_CM_128_HMAC_SHA1_80, MASTER + MASTER_SALT)
    assert opener.open(sealed, 0xCAFEBABE, 0x1234) == plain


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("index", [0, 0x7FFF, 0x8000, 0xFFFF, 0x1_0000, 0x1_8001, 12_345_678])
def test_what_a_second_implementation_seals_is_opened_and_the_other_way_round(suite: Suite, index: int) -> None:
    key = material(suite)
    sealed = oracle.protect(suite.name, key, rtp(index), index)
    assert Sealer(suite, key).seal(rtp(index), 7, index) == sealed
    assert Opener(suite, key).open(sealed, 7, index) == rtp(index)
    assert len(sealed) - len(rtp(index)) <= LONGEST_TRAILER


@pytest.mark.parametrize("suite", Suite)
def test_every_bit_of_a_packet_is_authenticated_and_its_index(suite: Suite) -> None:
    key = material(suite)
    opener, sealed = Opener(suite, key), Sealer(suite, key).seal(rtp(70_000), 7, 70_000)
    for bit in range(8 * len(sealed)):
        wrong = bytearray(sealed)
        wrong[bit // 8] ^= 1 << bit % 8
        ssrc, low = int.from_bytes(wrong[8:12], "big"), int.from_bytes(wrong[2:4], "big")
        assert opener.open(bytes(wrong), ssrc, 65_536 + low) is None
    assert opener.open(sealed, 7, 70_000 + 65_536) is None
    assert opener.open(sealed, 7, 70_000 - 65_536) is None
    assert Opener(suite, material(suite, 2)).open(sealed, 7, 70_000) is None
    assert opener.open(sealed, 7, 70_000) == rtp(70_000)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 21, 22, 1_500, 1_501, 65_535])
def test_nothing_raises_whatever_the_octets_are(length: int) -> None:
    opener = Opener(Suite.AES_CM_128_HMAC_SHA1_80, material(Suite.AES_CM_128_HMAC_SHA1_80))
    for fill in (b"\x80", b"\x00", b"\xff", b"\x9f"):
        assert opener.open(fill * length, 7, 1) is None
        assert opener.open_control(fill * length) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1_400)), min_size=1, max_size=60), st.integers(0, 2**40))
@settings(max_examples=count(15, all=300, full=3_000), deadline=None)
def test_what_comes_out_does_not_depend_on_what_came_before(jumps: list[tuple[int, int]], base: int) -> None:
    """Any order, any copies, circles apart: an opener that has a past says what a new one says."""
    suite = Suite.AES_CM_128_HMAC_SHA1_32
    key = material(suite)
    base = base % count(200_000, all=2_000_000, full=1 << 30)
    opener = Opener(suite, key)
    for circle, step in jumps:
        index = base + circle * 65_536 + step
        sealed = oracle.protect(suite.name, key, rtp(index), index)
        assert opener.open(sealed, 7, index) == rtp(index)
        assert opener.open(sealed, 7, index + 65_536) is None


def test_libsrtps_window_would_refuse_what_ours_takes() -> None:
    """Why it is made anew: a packet beyond the window, and a copy, are opened; the caller judges."""
    suite = Suite.AEAD_AES_128_GCM
    key = material(suite)
    sealer = Sealer(suite, key)
    sealed = {index: sealer.seal(rtp(index), 7, index) for index in range(WINDOW + 10)}
    opener, theirs = Opener(suite, key), Session(Policy(key, Policy.SSRC_ANY_INBOUND, 0, 6 + 1))
    assert opener.open(sealed[WINDOW + 9], 7, WINDOW + 9)
    for index in (WINDOW + 9, 3, 3, 700, 9, 700):
        assert opener.open(sealed[index], 7, index) == rtp(index)
    theirs.unprotect(sealed[WINDOW + 9])
    with pytest.raises(Error, match="too old"):
        theirs.unprotect(sealed[WINDOW + 9 - 345])


def test_a_sender_of_many_ssrcs_costs_bounded_memory() -> None:
    suite = Suite.AES_CM_128_HMAC_SHA1_80
    key = material(suite)
    opener, sealer = Opener(suite, key), Sealer(suite, key)
    for ssrc in range(3 * MOST_SOURCES):
        assert opener.open(sealer.seal(rtp(5, ssrc), ssrc, 5), ssrc, 5) == rtp(5, ssrc)
        assert len(opener._main._at) <= MOST_SOURCES
    assert opener.open(sealer.seal(rtp(6, 0), 0, 6), 0, 6) == rtp(6, 0)


def test_rtcp_is_sealed_and_opened_and_a_wrong_one_is_none() -> None:
    suite = Suite.AES_CM_128_HMAC_SHA1_80
    key = material(suite)
    report = struct.pack("!BBHL", 0x80, 200, 6, 7) + bytes(20)
    sealed = Sealer(suite, key).seal_control(report)
    opener = Opener(suite, key)
    assert opener.open_control(sealed[:-1] + b"\0") is None
    assert opener.open_control(sealed) == report
    assert opener.open_control(sealed) is None


def test_a_sealer_takes_what_pylibsrtp_takes() -> None:
    sealer = Sealer(Suite.AES_CM_128_HMAC_SHA1_80, material(Suite.AES_CM_128_HMAC_SHA1_80))
    sealer.seal(rtp(1, payload=bytes(LONGEST_PLAIN - HEADER_OCTETS)), 7, 1)
    with pytest.raises(ValueError, match="too long"):
        sealer.seal(rtp(2, payload=bytes(LONGEST_PLAIN - HEADER_OCTETS + 1)), 7, 2)


def test_the_suites_are_those_that_keys_are_read_for() -> None:
    assert [suite.name for suite in Suite] == list(keys.SUITES)
    for suite in Suite:
        Opener(suite, material(suite))
