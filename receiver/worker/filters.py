"""Which sockets the kernel filters for us (rule B4): those whose tap has latched and hears somebody."""

import socket
from collections.abc import Sequence
from typing import Final

import numpy as np

from receiver.media.columns import Policy, TapState
from receiver.media.sources import SILENCE_NS, Source
from receiver.media.state import State
from receiver.net import filter as kernel
from receiver.worker.intake import Intake

A_SLICE: Final = 8  # 44 µs each


class Filters:
    """Compares what should be filtered with what is, a few changes at a time. Idempotent after a worker's death."""

    def __init__(self, state: State, intake: Intake, allow: Sequence[str]) -> None:
        self._state, self._intake, self._allow = state, intake, allow
        self._on: dict[int, Source | None] = {}

    def admit_networks(self, slot: int) -> None:
        """A tap that admits by the operator's allow-list: everybody else is dropped from the first datagram on."""
        descriptor = self._intake.socket(slot)
        if descriptor is not None and self._state.live.taps["policy"][slot] == Policy.ALLOW_LIST:
            kernel.attach_networks(descriptor, family(descriptor), self._allow)

    def forget(self, slot: int) -> None:
        """The tap is over; its socket goes, and its filter with it."""
        self._on.pop(slot, None)

    def review(self, now_ns: int) -> None:
        """Attach where a source is latched and heard; take off where another one may have to be let in (rule B5)."""
        taps = self._state.live.taps
        latched = (taps["state"] == TapState.OPEN) & (taps["stream"] >= 0)
        heard = now_ns - taps["heard_ns"] < SILENCE_NS
        wanted = {slot: Source.read(taps["source"][slot]) for slot in np.flatnonzero(latched & heard).tolist()}
        changes = [slot for slot, source in wanted.items() if self._on.get(slot) != source]
        changes += [slot for slot in self._on if slot not in wanted]
        for slot in changes[:A_SLICE]:
            self._change(slot, wanted.get(slot))

    def _change(self, slot: int, source: Source | None) -> None:
        descriptor = self._intake.socket(slot)
        self._on.pop(slot, None)
        if descriptor is None:
            return
        if source is not None:
            kernel.attach(descriptor, family(descriptor), str(source.address), source.port)
            self._on[slot] = source
        else:
            kernel.detach(descriptor)
            self.admit_networks(slot)


def family(descriptor: int) -> int:
    """The address family of a socket that is known by its descriptor."""
    borrowed = socket.socket(fileno=descriptor)
    try:
        return borrowed.family
    finally:
        borrowed.detach()
