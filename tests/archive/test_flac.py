"""FLAC on a descriptor of ours: exact, its header read by ourselves, its errors the system's."""

import contextlib
import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from receiver.archive import flac
from tests.archive.world import Sound, sound


def made(path: Path, *chunks: Sound, channels: int = 1, rate: int = 8000) -> bytes:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        with flac.writer(descriptor, channels, rate) as write:
            for chunk in chunks:
                write(chunk.reshape(-1, channels))
    finally:
        os.close(descriptor)
    return path.read_bytes()


def inspect(octets: bytes) -> flac.Shape:
    return flac.inspect(lambda at, count: octets[at : at + count], len(octets))


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("rate", [8000, 48000])
def test_somebody_else_reads_the_same_frames(channels: int, rate: int, tmp_path: Path) -> None:
    loud = np.array([-32767, 32767] * channels * 4, np.int16)
    octets = made(tmp_path / "x", sound(1_000 * channels), loud, channels=channels, rate=rate)
    read, said = soundfile.read(tmp_path / "x", dtype="int16", always_2d=True)
    assert said == rate
    assert np.array_equal(read.ravel(), np.concatenate((sound(1_000 * channels), loud)))
    assert inspect(octets) == (channels, rate, 16, 1_008)


def test_the_checksum_is_that_of_the_samples(tmp_path: Path) -> None:
    made(tmp_path / "x", sound(10_001))
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    try:
        assert flac.checksum(descriptor) == zlib.crc32(sound(10_001).tobytes())
    finally:
        os.close(descriptor)


def test_a_disk_that_is_full_is_an_error_of_the_system(tmp_path: Path) -> None:
    """By the limit of a file's size: the kernel refuses the octets just as a full disk does."""
    noise = np.random.default_rng(1).integers(-30_000, 30_000, 200_000, np.int16)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="libsndfile"):
            made(tmp_path / "x", *np.split(noise, 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("octets", [b"", b"RIFF", b"fLaC\x80\x00\x00\x22"])
def test_what_cannot_be_read_is_an_error_of_the_system(octets: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(octets)
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="libsndfile"):
            flac.checksum(descriptor)
    finally:
        os.close(descriptor)


def block(kind: int, octets: bytes) -> bytes:
    return bytes([kind]) + len(octets).to_bytes(3, "big") + octets


def streaminfo(channels: int = 1, rate: int = 8000, bits: int = 16, frames: int = 5) -> bytes:
    packed = rate << 44 | channels - 1 << 41 | bits - 1 << 36 | frames
    return struct.pack(">HHxxxxxx", 16, 16) + packed.to_bytes(8, "big") + bytes(16)


FRAME = b"\xff\xf8"


def test_blocks_that_we_do_not_know_are_stepped_over() -> None:
    octets = b"fLaC" + block(0, streaminfo(2, 48000)) + block(4, b"by whom") + block(0x81, bytes(9)) + FRAME
    assert inspect(octets) == (2, 48000, 16, 5)


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "ends inside"),
        (b"RIFF", "does not begin"),
        (b"fLaC", "ends inside"),
        (b"fLaC" + block(0x84, streaminfo()) + FRAME, "first block"),
        (b"fLaC" + block(0x80, streaminfo()[:-1]) + FRAME, "first block"),
        (b"fLaC" + block(0x80, streaminfo()), "no sound"),
        (b"fLaC" + block(0x80, streaminfo()) + b"RIFF", "no sound"),
        (b"fLaC" + block(0, streaminfo()) + block(1, b"") * 99, "no end"),
        (b"fLaC" + block(0x80, streaminfo(rate=0)) + FRAME, "cannot be ours: 0 frames a second"),
        (b"fLaC" + block(0x80, streaminfo(bits=24)) + FRAME, "cannot be ours: .* 24 bits"),
    ],
)
def test_what_is_wrong_is_said(octets: bytes, said: str) -> None:
    with pytest.raises(flac.NotFlac, match=said):
        inspect(octets)


@given(st.binary(max_size=60))
def test_no_header_however_broken_raises_anything_else(octets: bytes) -> None:
    for each in (octets, b"fLaC" + octets, b"fLaC" + block(0, streaminfo()) + octets):
        with contextlib.suppress(flac.NotFlac):
            assert inspect(each).bits == 16


def test_libsndfile_is_loaded_with_the_first_flac_and_not_before() -> None:
    code = "import sys, receiver.archive.finish, receiver.archive.check; sys.exit('soundfile' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_works_where_no_memory_may_be_written_and_executed(tmp_path: Path) -> None:
    """As under ``MemoryDenyWriteExecute=yes``; a kernel before 6.3 has no such order, there it only works."""
    code = """if True:
        import ctypes, os, sys
        import numpy as np
        from receiver.archive import flac
        PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
        ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)
        descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
        with flac.writer(descriptor, 1, 8000) as write:
            write(np.arange(1_000, dtype=np.int16)[:, None])
        os.lseek(descriptor, 0, os.SEEK_SET)
        print(flac.checksum(descriptor))
    """
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x"], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert int(done.stdout) == zlib.crc32(np.arange(1_000, dtype=np.int16).tobytes())
