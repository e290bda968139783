"""libopus itself, by ctypes from the wheel of PyAV: what Opus decodes to, without PyAV, libav or us between."""

import ctypes
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

LONGEST = 5_760  # frames of 120 ms at 48 kHz


@functools.cache
def library() -> Any:
    """The shared object, with the types of what is called."""
    (found,) = (Path(av.__file__).parents[1] / "av.libs").glob("libopus*")
    lib = ctypes.CDLL(str(found))
    lib.opus_decoder_create.restype = ctypes.c_void_p
    lib.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
    lib.opus_decode.argtypes = [
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int, ctypes.c_int,
    ]  # fmt: skip
    return lib


class Decoder:
    """One channel at 48 kHz."""

    def __init__(self) -> None:
        error = ctypes.c_int()
        self._decoder = library().opus_decoder_create(48_000, 1, ctypes.byref(error))
        assert error.value == 0

    def __del__(self) -> None:
        library().opus_decoder_destroy(self._decoder)

    def decode(self, packet: bytes) -> NDArray[np.int16]:
        """The samples of one packet; ValueError for what is none."""
        out = np.zeros(LONGEST, np.int16)
        frames = library().opus_decode(self._decoder, packet, len(packet), out.ctypes.data, LONGEST, 0)
        if frames < 0:
            raise ValueError(f"libopus: {frames}")
        return out[:frames]


def decoded(packets: Iterable[bytes]) -> list[NDArray[np.int16]]:
    """Packets of one stream in order, by one decoder."""
    decoder = Decoder()
    return [decoder.decode(packet) for packet in packets]
