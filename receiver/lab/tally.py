"""The log counted as RFC 3550 counts: what the counters of a sidecar must say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from receiver.archive.sidecar import Stream
from receiver.lab.evidence import Findings


@dataclass(frozen=True)
class Arrivals:
    """What was sent with one SSRC, in the order of arrival (loopback keeps the order of a socket).

    ``packets`` are SENT records, ``sequence`` their extended sequence numbers, ``first`` marks those that are no
    duplicates.
    """

    packets: NDArray[np.void]
    sequence: NDArray[np.int64]
    first: NDArray[np.bool_]

    @property
    def distinct(self) -> NDArray[np.void]:
        """The packets without their duplicates, by sequence number."""
        which = np.flatnonzero(self.first)
        packets: NDArray[np.void] = self.packets[which[np.argsort(self.sequence[which])]]
        return packets

    @property
    def duplicate(self) -> int:
        """Packets that had come before."""
        return int(np.count_nonzero(~self.first))

    @property
    def reordered(self) -> int:
        """Packets, not counting duplicates, that came when a higher sequence number had been seen."""
        return int(np.count_nonzero(self.first & (self.sequence < np.maximum.accumulate(self.sequence))))

    @property
    def lost(self) -> int:
        """RFC 3550 A.3: expected − received, where duplicates count as received. Expected from the lowest number that
        came."""
        return int(np.ptp(self.sequence)) + 1 - len(self.packets)


def by_ssrc(packets: NDArray[np.void]) -> dict[int, Arrivals]:
    """Take a log apart by SSRC, in order of first arrival."""
    ssrcs, first_at = np.unique(packets["ssrc"], return_index=True)
    arrivals: dict[int, Arrivals] = {}
    for ssrc in ssrcs[np.argsort(first_at)]:
        mine = packets[packets["ssrc"] == ssrc]
        sequence = extended(mine["sequence"])
        first = np.zeros(len(mine), np.bool_)
        first[np.unique(sequence, return_index=True)[1]] = True
        arrivals[int(ssrc)] = Arrivals(mine, sequence, first)
    return arrivals


def extended(sequence: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Sequence numbers without their wraps: each the nearest to the one that came before it."""
    as_sent = sequence.astype(np.int64)
    step: NDArray[np.int64] = np.diff(as_sent, prepend=as_sent[:1])
    whole: NDArray[np.int64] = int(sequence[0]) + np.cumsum((step + 0x8000) % 0x10000 - 0x8000)
    return whole


def compare(arrivals: dict[int, Arrivals], streams: Sequence[Stream], slack: int, findings: Findings) -> None:
    """Compare the counters of a channel's streams with the log; each may be off by ``slack`` (datagrams the kernel
    dropped)."""
    told = {stream.ssrc for stream in streams}
    for ssrc in arrivals.keys() - told:
        findings.add("streams", f"SSRC {ssrc:08x} sent {len(arrivals[ssrc].packets)} packets and is not in the sidecar")
    for ssrc in told - arrivals.keys():
        findings.add("streams", f"SSRC {ssrc:08x} is in the sidecar and never sent anything")
    for ssrc in told & arrivals.keys():
        mine = [stream for stream in streams if stream.ssrc == ssrc]
        true = arrivals[ssrc]
        wanted = {"packets": len(true.packets), "duplicate": true.duplicate, "reordered": true.reordered}
        wanted |= {"late_lost": 0, "invalid": 0}
        if len(mine) == 1:  # one stream per source: their losses do not add up
            wanted["lost"] = true.lost
        for name, value in wanted.items():
            counted = [getattr(stream, name) for stream in mine]
            if any(isinstance(count, UnsetType) for count in counted):
                findings.add("counters", f"SSRC {ssrc:08x}: {name} is not told")
            elif abs(sum(counted) - value) > slack:
                findings.add("counters", f"SSRC {ssrc:08x}: {name} is {sum(counted)} and should be {value}")
