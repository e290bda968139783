"""Payload types that nobody announced (rule A1): their packets are counted, and each tap says once that they came.

Of what a tap's source sends, not of what strangers do. Which types is a column of 128 bits, so it costs no memory
whatever comes, and is known after a worker's death as well.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from receiver.media.columns import Policy, TapState
from receiver.media.state import State
from receiver.wire import rtp
from receiver.wire.rtp import Verdict

KNOWN_BY_ADDRESS = (Policy.EXACT, Policy.ADDRESS)
"""Policies that know the source before it is latched; with the others whoever sends first may be it."""


class Unknown:
    """Remembers payload types in the column ``unknown_types`` of a tap's aside."""

    def __init__(self, state: State) -> None:
        self._state = state

    def note(
        self, batch: rtp.Batch, tap: NDArray[np.int32], source: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    ) -> list[tuple[int, int]]:
        """Learn from a turn's datagrams; return (tap, datagram) of each tap's very first packet of such a type."""
        which = np.flatnonzero(batch.verdict == Verdict.PAYLOAD_TYPE)
        which = which[self._of_the_source(tap[which], *(column[which] for column in source))]
        if not which.size:
            return []
        kind, owner = batch.payload_type[which].astype(np.int64), tap[which].astype(np.int64)
        seen = self._state.now.taps_aside["unknown_types"]
        new = np.flatnonzero(seen[owner, kind >> 6] >> (kind & 63).astype(np.uint64) & np.uint64(1) == 0)
        if not new.size:
            return []
        _, first = np.unique(owner[new] << 7 | kind[new], return_index=True)
        new = new[np.sort(first)]
        taps, heads = np.unique(owner[new], return_index=True)
        unheard = ~seen[taps].any(axis=1)
        self._state.touch("taps_aside", taps)
        np.bitwise_or.at(seen, (owner[new], kind[new] >> 6), np.uint64(1) << (kind[new] & 63).astype(np.uint64))
        return list(zip(taps[unheard].tolist(), which[new[heads[unheard]]].tolist(), strict=True))

    def _of_the_source(
        self, tap: NDArray[np.int32], high: NDArray[Any], low: NDArray[Any], port: NDArray[Any]
    ) -> NDArray[np.bool_]:
        taps = self._state.now.taps
        latched, policy = taps["stream"][tap] >= 0, taps["policy"][tap]
        expected = np.where(latched, taps["source"][tap], taps["announced"][tap])
        same = (expected["high"] == high) & (expected["low"] == low)
        any_port = (expected["port"] == 0) | (~latched & (policy == Policy.ADDRESS))
        mine = (same & ((expected["port"] == port) | any_port)) | ~(latched | np.isin(policy, KNOWN_BY_ADDRESS))
        return np.asarray(mine & np.isin(taps["state"][tap], (TapState.OPEN, TapState.CLOSING)))


def types(seen: NDArray[np.uint64]) -> tuple[int, ...]:
    """The payload types of one tap's column, u8[2]."""
    return tuple(kind for kind in range(128) if int(seen[kind >> 6]) >> (kind & 63) & 1)
