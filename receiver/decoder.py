"""The decoder: a process that makes samples of Opus packets, because Opus remembers what came before.

A media worker starts one at its first tap of Opus and talks to it over a socket pair; the end of file is its end. It
holds nothing that must survive: the worker keeps every packet in the ring until its samples are committed, and tells
the next decoder all of it again, with some packets before it to remember (`receiver.worker.decoding`).

Samples are one channel at 48 kHz, as libopus itself mixes packets of two down to one. The packets of a stream are given
to one libopus decoder in the order in which they come here, nothing between them: what was lost is nobody's invention.
"""

import asyncio
import socket
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from receiver.socketpair import Link

RATE: Final = 48_000
LEAST: Final = np.int16(-32_767)  # −32768 means "never came": a sample is clipped one above (media.block)


class Decode(Struct, frozen=True, tag=True):
    """Packets of a stream, in order, and at which frame each begins; answered by `Decoded`.

    With ``before`` (which may be empty) the stream begins anew: its decoder hears these, and nobody else does.
    """

    number: int
    stream: int
    frames: list[int]
    packets: list[bytes]
    before: list[bytes] | None = None


class Drop(Struct, frozen=True, tag=True):
    """Nothing more comes of this stream."""

    stream: int


class Decoded(Struct, frozen=True, tag=True):
    """The samples of one `Decode`, int16, little-endian: runs of packets that follow each other without a hole.

    ``refused`` packets could not be decoded.
    """

    number: int
    frames: list[int]
    sound: list[bytes]
    refused: int


def worker_end(end: socket.socket) -> Link[Decode | Drop, Decoded]:
    """A worker's side of the pair."""
    return Link(end, msgspec.msgpack.encode, msgspec.msgpack.Decoder[Decoded](Decoded).decode)


def decoder_end(descriptor: int) -> Link[Decoded, Decode | Drop]:
    """The decoder's side."""
    end = socket.socket(fileno=descriptor)
    return Link(end, msgspec.msgpack.encode, msgspec.msgpack.Decoder[Decode | Drop](Decode | Drop).decode)


class Streams:
    """A libopus decoder for each stream."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}

    def take(self, message: Decode | Drop) -> Decoded | None:
        """Do what is asked."""
        if isinstance(message, Drop):
            self._streams.pop(message.stream, None)
            return None
        if message.before is not None:
            self._streams[message.stream] = Stream()
            for packet in message.before:
                self._streams[message.stream].decode(packet)
        return self._decode(message, self._streams[message.stream])

    @staticmethod
    def _decode(message: Decode, stream: "Stream") -> Decoded:
        frames: list[int] = []
        runs: list[list[NDArray[np.int16]]] = []
        end, refused = -1, 0
        for frame, packet in zip(message.frames, message.packets, strict=True):
            samples = stream.decode(packet)
            if samples is None:
                refused += 1
                continue
            if frame != end:
                frames.append(frame)
                runs.append([])
            runs[-1].append(samples)
            end = frame + samples.size
        sound = [np.maximum(np.concatenate(run), LEAST).astype("<i2").tobytes() for run in runs]
        return Decoded(message.number, frames, sound, refused)


class Stream:
    """One libopus decoder, by way of PyAV."""

    def __init__(self) -> None:
        import av  # takes a third of a second, and no other process needs it

        self._av: Any = av
        self._context = av.CodecContext.create("libopus", "r")
        self._context.sample_rate, self._context.layout = RATE, "mono"
        # As libopus' own decoder of one channel does; libav asks for the inverted phase where nobody says otherwise
        self._context.options = {"apply_phase_inv": "0"}

    def decode(self, packet: bytes) -> NDArray[np.int16] | None:
        """The samples of one packet; None: it is none."""
        try:
            made: Any = self._context.decode(self._av.Packet(packet))
        except self._av.error.FFmpegError:
            return None
        pieces: list[NDArray[np.int16]] = [frame.to_ndarray().reshape(-1) for frame in made]
        return np.concatenate(pieces) if len(pieces) != 1 else pieces[0]


async def run(descriptor: int) -> None:
    """Decode until the other end is gone."""
    end, streams = decoder_end(descriptor), Streams()
    while (received := await end.receive()) is not None:
        answer = streams.take(received.message)
        if answer is not None:
            end.send(answer)
            await asyncio.sleep(0)  # let it go before the next one
