"""SRTP by the book, in the words of RFC 3711 and RFC 7714, over somebody else's AES: what ours is compared with."""

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ENCRYPTION, AUTHENTICATION, SALT = 0, 1, 2
TAGS: Final = {"AES_CM_128_HMAC_SHA1_80": 10, "AES_CM_128_HMAC_SHA1_32": 4}
KEYS: Final = {"AEAD_AES_256_GCM": 32}
GCM_SALT: Final = 12


def keystream(key: bytes, iv: int, octets: int) -> bytes:
    """AES in counter mode (RFC 3711, section 4.1.1)."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(iv.to_bytes(16, "big"))).encryptor()
    return encryptor.update(bytes(octets))


def derived(master: bytes, salt: bytes, label: int, octets: int) -> bytes:
    """A session key (RFC 3711, section 4.3.1), the key derivation rate being 0."""
    x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ label << 48
    return keystream(master, x << 16, octets)


def gcm(key: bytes, salt: bytes, packet: bytes, index: int) -> bytes:
    """RFC 7714, section 8: the header (12 octets here) is authenticated, the payload encrypted, too."""
    head, payload = packet[:12], packet[12:]
    iv = int.from_bytes(salt, "big") ^ (int.from_bytes(head[8:12], "big") << 48 | index)
    return head + AESGCM(key).encrypt(iv.to_bytes(12, "big"), payload, head)


def protect(suite: str, material: bytes, packet: bytes, index: int) -> bytes:
    """A packet with a header of 12 octets, sealed. ``material``: master key and salt."""
    size = KEYS.get(suite, 16)
    master, salt = material[:size], material[size:]
    encryption = derived(master, salt, ENCRYPTION, size)
    if suite not in TAGS:
        return gcm(encryption, derived(master, salt, SALT, GCM_SALT), packet, index)
    session_salt = int.from_bytes(derived(master, salt, SALT, 14), "big")
    head, payload = packet[:12], packet[12:]
    iv = session_salt << 16 ^ int.from_bytes(head[8:12], "big") << 64 ^ index << 16
    stream = keystream(encryption, iv, len(payload))
    sealed = head + bytes(a ^ b for a, b in zip(payload, stream, strict=True))
    told = sealed + (index >> 16).to_bytes(4, "big")
    return sealed + hmac.digest(derived(master, salt, AUTHENTICATION, 20), told, hashlib.sha1)[: TAGS[suite]]
