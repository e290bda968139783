"""The first reading: who sends what to whom, and which of it is RTP.

A flow is all that one source address and port sent to one destination. It is RTP if two of its datagrams are one
after the other (RFC 3550 A.1: one SSRC, sequence numbers less than 32 apart); a name server's answers, of which one in
a hundred looks like a packet of RTP, are not.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from receiver.importing.letters import Letters
from receiver.media.address import Source
from receiver.wire import rtp
from receiver.wire.rtp import Verdict

Ints = NDArray[np.int64]
MOST_FLOWS: Final = 65_536
NEAR: Final = 32  # sequence numbers


@dataclass
class Flow:
    """One of them. ``last`` is the number of its last datagram in the capture."""

    number: int
    source: Source
    target: Source
    packets: int = 0
    rtp: bool = False
    speech: int = 0
    samples: int = 0
    """Of its speech, duplicates with them."""
    last: int = 0
    unknown: Counter[int] = field(default_factory=Counter)
    """Payload types that we do not record, and how many packets there were of each."""
    newest: tuple[int, int] = (-1, -1)  # SSRC and sequence number of the last packet that could be RTP

    def __str__(self) -> str:
        return f"{in_words(self.source)} → {in_words(self.target)}"

    @property
    def recorded(self) -> bool:
        """Whether it becomes a recording."""
        return self.rtp and self.speech > 0


class Flows:
    """All flows of a capture, by the number of their first appearance. ``crowded``: datagrams of flows beyond the
    65,536th, which nobody looks at."""

    def __init__(self, kinds: NDArray[np.uint8]) -> None:
        self._kinds = kinds
        self._known: dict[bytes, int] = {}
        self.flows: list[Flow] = []
        self.datagrams = self.crowded = 0

    def number(self, letters: Letters, meet: bool = False) -> Ints:
        """The flow of each datagram, −1 for one beyond the limit; with ``meet`` new ones are taken in."""
        keys, first, inverse = np.unique(letters.key, return_index=True, return_inverse=True)
        numbers = np.full(keys.size, -1, np.int64)
        for k in np.argsort(first).tolist():
            octets = keys[k].tobytes()
            known = self._known.get(octets, -1)
            if known < 0 and meet and len(self.flows) < MOST_FLOWS:
                known = self._known[octets] = len(self.flows)
                self.flows.append(_flow(known, letters, int(first[k])))
            numbers[k] = known
        return numbers[inverse.reshape(-1)]

    def survey(self, letters: Letters) -> None:
        """Learn from the next datagrams."""
        if not letters.at.size:
            return
        flow = self.number(letters, meet=True)
        self.crowded += int((flow < 0).sum())
        batch = rtp.parse(letters.rows(np.arange(flow.size)), np.minimum(letters.size, 1 << 16), self._kinds)
        self._count(flow, batch)
        self._evidence(flow, batch)
        self.datagrams += flow.size

    def beside(self, wanted: Iterable[Flow]) -> Iterator[tuple[int, Flow]]:
        """Of these flows each that has a flow of no RTP beside it, from port + 1 to port + 1, and its number."""
        known = {(flow.source, flow.target): flow for flow in self.flows if not flow.rtp}
        for flow in wanted:
            source, target = (end._replace(port=end.port + 1) for end in (flow.source, flow.target))
            if (found := known.get((source, target))) is not None:
                yield found.number, flow

    def _count(self, flow: Ints, batch: rtp.Batch) -> None:
        for number in np.unique(flow[flow >= 0]).tolist():
            mine = np.flatnonzero(flow == number)
            one = self.flows[number]
            one.packets += mine.size
            speech = mine[batch.verdict[mine] == Verdict.ACCEPTED]
            one.speech += speech.size
            one.samples += int(batch.payload_size[speech].sum())
            one.last = self.datagrams + int(mine[-1])
            strange = mine[batch.verdict[mine] == Verdict.PAYLOAD_TYPE]
            one.unknown.update(batch.payload_type[strange].tolist())

    def _evidence(self, flow: Ints, batch: rtp.Batch) -> None:
        """Which flows are RTP, by neighbours in each flow's order of arrival and in the order of the numbers."""
        may = (batch.verdict <= Verdict.EVENT) | (batch.verdict == Verdict.PAYLOAD_TYPE)
        which = np.flatnonzero(may & (flow >= 0))
        if not which.size:
            return
        flow, ssrc, sequence = flow[which], batch.ssrc[which].astype(np.int64), batch.sequence[which]
        for order in (np.lexsort((ssrc, flow)), np.lexsort((sequence, ssrc, flow))):
            apart = np.diff(sequence[order]) & 0xFFFF
            near = (apart > 0) & (np.minimum(apart, 0x1_0000 - apart) < NEAR)
            near &= (np.diff(flow[order]) == 0) & (np.diff(ssrc[order]) == 0)
            for number in np.unique(flow[order][1:][near]).tolist():
                self.flows[number].rtp = True
        self._beyond(flow, ssrc, sequence)

    def _beyond(self, flow: Ints, ssrc: Ints, sequence: Ints) -> None:
        """The same for the last one of the piece before and the first one of this."""
        numbers, first = np.unique(flow, return_index=True)
        last = flow.size - 1 - np.unique(flow[::-1], return_index=True)[1]
        for number, head, tail in zip(numbers.tolist(), first.tolist(), last.tolist(), strict=True):
            one = self.flows[number]
            before_ssrc, before = one.newest
            ahead = (int(sequence[head]) - before) & 0xFFFF
            one.rtp |= before_ssrc == int(ssrc[head]) and 0 < min(ahead, 0x1_0000 - ahead) < NEAR
            one.newest = int(ssrc[tail]), int(sequence[tail])


def _flow(number: int, letters: Letters, k: int) -> Flow:
    def end(address: NDArray[np.uint64], port: Ints) -> Source:
        return Source(int(address[k, 0]), int(address[k, 1]), int(port[k]))

    return Flow(number, end(letters.source, letters.source_port), end(letters.target, letters.target_port))


def in_words(end: Source) -> str:
    """``address:port`` as people write it."""
    return f"{end.address}:{end.port}" if end.address.version == 4 else f"[{end.address}]:{end.port}"
