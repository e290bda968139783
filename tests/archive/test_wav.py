"""Our own WAV: 44 octets, true, read by everybody else's programs as what it is."""

import io
import json
import struct
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from receiver.archive import wav
from receiver.wire.g711 import ALAW, ULAW
from tests.archive.world import sound
from tests.tools import needs


def made(channels: int, frames: int = 1_000) -> bytes:
    return wav.header(frames, channels, 8000) + sound(frames * channels).tobytes()


def inspect(octets: bytes) -> wav.Format:
    return wav.inspect(lambda at, count: octets[at : at + count], len(octets))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("frames", [0, 1, 1_000])
def test_python_reads_the_same_frames(channels: int, frames: int) -> None:
    octets = made(channels, frames)
    with wave.open(io.BytesIO(octets)) as file:
        assert file.getparams()[:4] == (channels, 2, 8000, frames)
        assert file.readframes(frames) == octets[44:]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_libsndfile_reads_the_same_frames(channels: int) -> None:
    octets = made(channels)
    read, rate = soundfile.read(io.BytesIO(octets), dtype="int16", always_2d=True)
    assert rate == 8000
    assert np.array_equal(read.ravel(), np.frombuffer(octets[44:], "<i2"))


@needs("sox")
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_sox_reads_the_same_frames(channels: int, tmp_path: Path) -> None:
    octets = made(channels)
    (tmp_path / "x.wav").write_bytes(octets)
    raw = ["-t", "raw", "-e", "signed", "-b", "16", "-"]
    done = subprocess.run(["sox", "-V2", tmp_path / "x.wav", *raw], capture_output=True, check=True)
    assert done.stdout == octets[44:]
    assert done.stderr == b""  # sox warns of headers that it does not believe


@needs("ffmpeg", "ffprobe")
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_ffmpeg_reads_the_same_frames(channels: int, tmp_path: Path) -> None:
    octets = made(channels)
    (tmp_path / "x.wav").write_bytes(octets)
    raw = ["-f", "s16le", "-c:a", "pcm_s16le", "-"]
    done = subprocess.run(
        ["ffmpeg", "-v", "warning", "-guess_layout_max", "0", "-i", tmp_path / "x.wav", *raw],
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == octets[44:]
    assert done.stderr == b""
    told = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", tmp_path / "x.wav"], capture_output=True, check=True
    )
    stream = json.loads(told.stdout)["streams"][0]
    assert (stream["channels"], stream["sample_rate"], stream["duration_ts"]) == (channels, "8000", 1_000)


@given(channels=st.integers(1, 8), frames=st.integers(0, 100), rate=st.sampled_from([8000, 16000, 48000]))
def test_our_reader_reads_our_header(channels: int, frames: int, rate: int) -> None:
    octets = wav.header(frames, channels, rate) + bytes(2 * frames * channels)
    assert inspect(octets) == (wav.PCM, channels, rate, 16, 44, 2 * frames * channels)
    assert inspect(octets).frames == frames


@pytest.mark.parametrize("tag", [wav.ALAW, wav.ULAW])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("frames", [0, 1, 1_000])
def test_g711_counts_its_frames_and_ends_even(tag: int, channels: int, frames: int) -> None:
    sound = bytes(range(256)) * 12
    octets = wav.header(frames, channels, 8000, tag) + sound[: frames * channels] + wav.pad(frames * channels)
    assert len(octets) % 2 == 0
    assert inspect(octets) == (tag, channels, 8000, 8, 58, frames * channels)
    assert inspect(octets).frames == frames
    law = {wav.ALAW: ("ALAW", ALAW), wav.ULAW: ("ULAW", ULAW)}[tag]
    with soundfile.SoundFile(io.BytesIO(octets)) as file:
        assert (file.subtype, file.samplerate, file.frames) == (law[0], 8000, frames)
        read = file.read(dtype="int16", always_2d=True)
    assert np.array_equal(read.ravel(), law[1][np.frombuffer(sound[: frames * channels], np.uint8)])


def test_a_count_that_is_not_true_is_told() -> None:
    octets = wav.header(7, 1, 8000, wav.ULAW) + bytes(7) + wav.pad(7)
    assert octets[38:50] == b"fact\4\0\0\0\7\0\0\0"
    with pytest.raises(wav.NotWav, match="counts 8 frames, it has 7"):
        inspect(octets[:46] + b"\10" + octets[47:])


def test_chunks_that_we_do_not_know_are_stepped_over() -> None:
    plain = made(1)
    junk = struct.pack("<4sI", b"JUNK", 3) + b"abc\0"
    octets = plain[:12] + junk + plain[12:]
    octets = octets[:4] + struct.pack("<I", len(octets) - 8) + octets[8:]
    assert inspect(octets).data_at == 44 + len(junk)


def test_c7_more_than_a_wav_can_hold_is_refused() -> None:
    assert len(wav.header(wav.LONGEST_DATA // 2, 1, 8000)) == 44
    with pytest.raises(ValueError, match="do not fit"):
        wav.header(wav.LONGEST_DATA // 2 + 1, 1, 8000)


GOOD = made(2, 10)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(struct.pack("<4sI", name, len(octets)) + octets for name, octets in chunks)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body


FORMAT = GOOD[20:36]


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "ends inside its header"),
        (b"RIFX" + GOOD[4:], "does not begin"),
        (riff(), "no sound"),
        (riff((b"fmt ", FORMAT)), "no sound"),
        (riff((b"data", b"")), "no format in front"),
        (riff((b"fmt ", FORMAT[:14]), (b"data", b"")), "too short"),
        (riff((b"fmt ", FORMAT), (b"data", b"abcdef")), "not whole frames"),
        (riff((b"fmt ", FORMAT[:12] + bytes(4)), (b"data", b"")), "cannot be"),
        (riff((b"fmt ", FORMAT[:8] + bytes(4) + FORMAT[12:]), (b"data", b"")), "contradicts itself"),
        (riff((b"fmt ", FORMAT), *[(b"JUNK", b"")] * 99, (b"data", b"")), "no sound"),
        (riff((b"fmt ", FORMAT), (b"data", b""), *[(b"JUNK", b"")] * 99), "there is more"),
    ],
)
def test_what_is_wrong_is_said(octets: bytes, said: str) -> None:
    with pytest.raises(wav.NotWav, match=said):
        inspect(octets)


def test_chunks_behind_the_sound_are_fine() -> None:
    assert inspect(riff((b"fmt ", FORMAT), (b"data", b"abcd"), (b"LIST", b"ab"))).frames == 1


@given(cut=st.integers(0, len(GOOD) - 1))
def test_a_file_that_was_cut_is_told(cut: int) -> None:
    with pytest.raises(wav.NotWav):
        inspect(GOOD[:cut])


@given(at=st.integers(0, 43), value=st.integers(0, 255))
@example(at=22, value=0)
@example(at=34, value=0)
def test_no_header_however_broken_raises_anything_else(at: int, value: int) -> None:
    octets = GOOD[:at] + bytes([value]) + GOOD[at + 1 :]
    try:
        shape = inspect(octets)
    except wav.NotWav:
        return
    assert shape.data_at + shape.data_octets <= len(octets)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_the_sizes_that_a_killed_writer_leaves_are_told(size: int) -> None:
    octets = GOOD[:40] + struct.pack("<I", size) + GOOD[44:]
    with pytest.raises(wav.NotWav):
        inspect(octets if size else octets[:4] + struct.pack("<I", size) + octets[8:])
