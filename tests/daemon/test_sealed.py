"""Rule D9: what goes to the next process is in memory that nobody can change, and nowhere else."""

import os

import pytest

from receiver.daemon import sealed
from receiver.keys import Key

KEY = Key("AEAD_AES_128_GCM", bytes(range(28)))


def test_d9_a_key_is_sealed_and_comes_back() -> None:
    descriptor = sealed.seal_key(KEY)
    try:
        assert sealed.unseal_key(descriptor) == KEY
        assert not os.get_inheritable(descriptor)
        assert KEY.suite not in os.readlink(f"/proc/self/fd/{descriptor}")
        for change in (lambda: os.pwrite(descriptor, b"x", 0), lambda: os.ftruncate(descriptor, 0)):
            with pytest.raises(PermissionError):
                change()
    finally:
        os.close(descriptor)


def test_what_is_no_key_is_none() -> None:
    for octets in (b"", b"\xc1", b"\x92\x01\x02"):
        descriptor = sealed.seal("x", octets)
        assert sealed.unseal_key(descriptor) is None
        os.close(descriptor)


def test_what_cannot_be_written_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> int:
        raise OSError(28, "No space left on device")

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "pwrite", no_room)
    with pytest.raises(OSError, match="No space"):
        sealed.seal("x", b"x")
    assert len(os.listdir("/proc/self/fd")) == before
