"""Which sockets the kernel filters for us (rule B4): those whose tap has latched, while nobody else may be let in."""

import socket
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from receiver.media.columns import ADDRESS, Policy, TapState
from receiver.media.sources import SILENCE_NS, Source
from receiver.media.state import State
from receiver.net import filter as kernel
from receiver.worker.intake import Intake, Slots

A_SLICE: Final = 8  # 44 µs each
ADDRESS_FIELDS: Final = ("high", "low", "port")
log = structlog.get_logger("worker")


class Filter(IntEnum):
    """What lies on a socket. UNKNOWN: a worker before us may have put something there."""

    NONE = 0
    UNKNOWN = 1
    NETWORKS = 2
    SOURCE = 3


class Filters:
    """Compares what should be filtered with what is, a few changes at a time."""

    def __init__(self, state: State, intake: Intake, allow: Sequence[str]) -> None:
        self._state, self._intake, self._allow = state, intake, allow
        self._on: NDArray[np.uint8] = np.zeros(state.shape.taps, np.uint8)
        self._source = np.zeros(state.shape.taps, ADDRESS)
        self.failed = 0
        """How often the kernel refused one; the source is checked in media as well."""

    def attach(self, slot: int) -> None:
        """A tap's socket came. With an allow-list everybody else is dropped from the first datagram on."""
        self._on[slot] = Filter.UNKNOWN
        if self._wanted(np.array([slot]), 0)[0] == Filter.NETWORKS:
            self._change(slot, Filter.NETWORKS)

    def forget(self, slot: int) -> None:
        """The tap is over; its socket goes, and its filter with it."""
        self._on[slot] = Filter.NONE

    def review(self, slots: Slots, now_ns: int) -> None:
        """Attach where a source is latched and nobody else may come; take off where somebody may (rule B5)."""
        if not slots.size:
            return
        wanted = self._wanted(slots, now_ns)
        other = self._on[slots] != wanted
        source = self._state.live.taps["source"]
        for field in ADDRESS_FIELDS:
            other |= (wanted == Filter.SOURCE) & (source[field][slots] != self._source[field][slots])
        for k in np.flatnonzero(other)[:A_SLICE].tolist():
            self._change(int(slots[k]), Filter(int(wanted[k])))

    def _wanted(self, slots: Slots, now_ns: int) -> NDArray[np.uint8]:
        """A latched source that is silent keeps its filter only where the policy knows no other one."""
        taps = self._state.live.taps  # field by field: numpy takes its time over whole records
        policy, announced, source = taps["policy"][slots], taps["announced"], taps["source"]
        only = ((policy == Policy.EXACT) | (policy == Policy.ANNOUNCED)) & (announced["port"][slots] != 0)
        for field in ADDRESS_FIELDS:
            only &= announced[field][slots] == source[field][slots]
        latched = (taps["state"][slots] == TapState.OPEN) & (taps["stream"][slots] >= 0)
        closed = latched & (only | (now_ns - taps["heard_ns"][slots] < SILENCE_NS))
        before = np.where(policy == Policy.ALLOW_LIST, Filter.NETWORKS, Filter.NONE)
        return np.where(closed, Filter.SOURCE, before).astype(np.uint8)

    def _change(self, slot: int, wanted: Filter) -> None:
        descriptor = self._intake.socket(slot)
        if descriptor is None:
            return
        source = Source.read(self._state.live.taps["source"][slot])
        self._on[slot], self._source[slot] = wanted, tuple(source)
        try:
            if wanted == Filter.SOURCE:
                kernel.attach(descriptor, family(descriptor), str(source.address), source.port)
            elif wanted == Filter.NETWORKS:
                kernel.attach_networks(descriptor, family(descriptor), self._allow)
            else:
                kernel.detach(descriptor)
        except OSError as error:  # not tried again: strangers cost time now, but are heard no more than before
            self.failed += 1
            if self.failed == 1:
                hint = "see net.core.optmem_max; strangers are told apart without the kernel's help"
                log.warning("the kernel takes no filter", error=str(error), hint=hint)


def family(descriptor: int) -> int:
    """The address family of a socket that is known by its descriptor."""
    borrowed = socket.socket(fileno=descriptor)
    try:
        return borrowed.family
    finally:
        borrowed.detach()
