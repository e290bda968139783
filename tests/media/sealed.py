"""Senders with a key, for tests of what a worker makes of them."""

from collections.abc import Iterable
from random import Random

from receiver.media.secured import Key
from receiver.wire.srtp import Sealer, Suite
from tests.media.rig import Sent

LENGTHS = {
    Suite.AES_CM_128_HMAC_SHA1_80: 30, Suite.AES_CM_128_HMAC_SHA1_32: 30,
    Suite.AEAD_AES_128_GCM: 28, Suite.AEAD_AES_256_GCM: 44,
}  # fmt: skip


def key_of(suite: Suite = Suite.AES_CM_128_HMAC_SHA1_80, seed: int = 1) -> Key:
    return Key(suite, Random(seed).randbytes(LENGTHS[suite]))


def sealed(sent: Iterable[Sent], key: Key) -> list[Sent]:
    """The same packets as SRTP, whatever their order: each is sealed in that of its sender. Copies are copies."""
    packets = list(sent)
    sealers: dict[int, Sealer] = {}
    octets: dict[tuple[int, int, int], bytes] = {}
    for packet in sorted(packets, key=lambda packet: packet.sequence):
        sealer = sealers.setdefault(packet.tap, Sealer(*key))
        octets[packet.tap, packet.ssrc, packet.sequence] = sealer.seal(packet.octets, packet.ssrc, packet.sequence)
    return [packet._replace(raw=octets[packet.tap, packet.ssrc, packet.sequence]) for packet in packets]
