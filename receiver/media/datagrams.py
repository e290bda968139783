"""What comes into the room: a slab as the door hands it over."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Datagrams(NamedTuple):
    """A slab. Element *i* of every column speaks of datagram *i*."""

    octets: NDArray[np.uint8]  # (n, 1536)
    size: NDArray[Any]
    tap: NDArray[np.int32]
    high: NDArray[np.uint64]  # source address, port
    low: NDArray[np.uint64]
    port: NDArray[np.uint16]
    arrival_ns: NDArray[np.int64]  # monotonic (rule A18)
