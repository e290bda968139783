"""Opus for tests: packets made by PyAV, and what libopus makes of those that came, at the place that they belong to."""

import functools
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.media.rig import MS, START, Sent
from tests.wire.libopus import Decoder

TYPE = 111
RATE = 48_000
Sound = NDArray[np.int16]


def voice(count: int, seed: int = 1) -> Sound:
    """Something that sounds a little like one: a gliding tone that swells, and noise."""
    at = np.arange(count)
    glide = np.sin(at * 2 * np.pi * (200 + 40 * seed + 100 * np.sin(at / 30_000)) / RATE)
    noise = np.random.default_rng(seed).normal(0, 300, count)
    return np.asarray(7_000 * glide * (1 + np.sin(at / 5_000)) / 2 + noise, np.int16)


@functools.cache
def packets(count: int, seed: int = 1, ms: float = 20, channels: int = 1, bits: int = 24_000) -> tuple[bytes, ...]:
    """So many packets of one encoder."""
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.format, codec.bit_rate = RATE, "s16", bits
    codec.layout = "mono" if channels == 1 else "stereo"
    codec.options = {"application": "voip", "frame_duration": str(ms)}
    size, made = round(ms * 48), []
    sound = voice(count * size, seed)
    for k in range(count):
        piece = sound[k * size : (k + 1) * size]
        both = piece if channels == 1 else np.stack((piece, np.roll(piece, 311)), axis=1).reshape(-1)
        frame = av.AudioFrame.from_ndarray(both.reshape(1, -1), format="s16", layout=codec.layout.name)
        frame.sample_rate, frame.pts = RATE, k * size
        made += [bytes(packet) for packet in codec.encode(frame)]
    return tuple(made[:count])


def call(
    made: Sequence[bytes], ms: float = 20, timestamp: int = 5_000, sequence: int = 100, start_ns: int = START,
    ssrc: int = 7, tap: int = 0,
) -> list[Sent]:  # fmt: skip
    """Packets as RTP, in time and in order."""
    return [
        Sent(start_ns + round(k * ms * MS), sequence + k, timestamp + round(k * ms * 48), each, ssrc, tap,
             payload_type=TYPE)
        for k, each in enumerate(made)
    ]  # fmt: skip


def heard(received: Sequence[Sent]) -> Sound:
    """What libopus makes of the received packets in timestamp order (P1): the recording, 0 where nothing came."""
    inside = sorted({each.timestamp: each for each in received}.values(), key=lambda each: each.timestamp)
    decoder, first = Decoder(), inside[0].timestamp
    pieces = [(each.timestamp - first, decoder.decode(each.payload)) for each in inside]
    whole = np.zeros(max(at + piece.size for at, piece in pieces), np.int16)
    for at, piece in pieces:
        whole[at : at + piece.size] = np.maximum(piece, -32_767)
    return whole


def read(path: Path) -> Sound:
    """A recording of one channel at 48 kHz, as somebody else reads it."""
    sound, rate = soundfile.read(path, dtype="int16", always_2d=True)
    assert (rate, sound.shape[1]) == (RATE, 1)
    return np.asarray(sound[:, 0])
