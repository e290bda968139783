"""Senders with a key: a plan's packets as SRTP, each sealed under its index, in whatever order the weather has them."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from receiver import keys
from receiver.lab.plan import PlanError
from receiver.lab.weather import Packets
from receiver.wire.rtp import HEADER_OCTETS
from receiver.wire.srtp import LONGEST_PLAIN, LONGEST_TRAILER, Sealer, Suite

LONGEST_PAYLOAD: Final = LONGEST_PLAIN - HEADER_OCTETS
_CIRCLE: Final = 1 << 16


class Sealing:
    """The key in a file, and the packets of one schedule. Raises PlanError."""

    def __init__(self, file: str, packets: Packets) -> None:
        try:
            key = keys.read_file(Path(file).read_text())
        except (OSError, ValueError) as error:
            raise PlanError(f"srtp_file: {error}") from None
        if packets["size"].max(initial=0) > LONGEST_PAYLOAD:
            raise PlanError(f"with a key a packet holds at most {LONGEST_PAYLOAD} samples")
        self._sealer = Sealer(Suite[key.suite], key.octets)
        self._index = indices(packets)

    def seal(self, octets: NDArray[np.uint8], packets: Packets, first: int) -> tuple[NDArray[np.uint8], list[int]]:
        """Datagrams, u1[n, longest], of the packets from ``first`` on in the schedule; sealed, and how long each is."""
        sealed = np.zeros((octets.shape[0], octets.shape[1] + LONGEST_TRAILER), np.uint8)
        sizes = (packets["size"].astype(np.int64) + HEADER_OCTETS).tolist()
        ssrcs, numbers = packets["ssrc"].tolist(), self._index[first : first + len(packets)].tolist()
        for row, (size, ssrc, index) in enumerate(zip(sizes, ssrcs, numbers, strict=True)):
            whole = self._sealer.seal(octets[row, :size].tobytes(), ssrc, index)
            sealed[row, : len(whole)] = np.frombuffer(whole, np.uint8)
            sizes[row] = len(whole)
        return sealed, sizes


def indices(packets: Packets) -> NDArray[np.int64]:
    """The index of each packet (RFC 3711, section 3.3.1): its sequence number, and how often they have wrapped."""
    index = packets["sequence"].astype(np.int64)
    order = np.lexsort((packets["sample"], packets["ssrc"], packets["caller"]))
    ordered = packets[order]
    begins = np.ones(len(packets), np.bool_)
    begins[1:] = (ordered["ssrc"][1:] != ordered["ssrc"][:-1]) | (ordered["caller"][1:] != ordered["caller"][:-1])
    steps = np.zeros(len(packets), np.int64)
    steps[1:] = np.diff(index[order]) % _CIRCLE
    steps[begins] = 0
    first = np.flatnonzero(begins)
    along = np.cumsum(steps)
    run = np.cumsum(begins) - 1
    index[order] = along - along[first][run] + index[order][first][run] if len(first) else along
    return index
