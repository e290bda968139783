"""May this source be heard at this tap, and for what proof (rules A11, B2, B5)? Decided on a tap's record alone."""

import ipaddress
from typing import Any, NamedTuple

from receiver.media.address import Source
from receiver.media.columns import Policy, Trust

SECOND_NS = 1_000_000_000
UNANNOUNCED_NS = 3 * SECOND_NS  # rule B2
SILENCE_NS = 3 * SECOND_NS  # rule B5


class Claim(NamedTuple):
    """What a source must prove: packets in sequence, over how long, with what trust it is heard then."""

    packets: int
    trust: Trust
    span_ns: int = 0
    not_before_ns: int = 0  # monotonic
    alone: bool = False  # only if no other candidate has proved as much


class Claims:
    """``allow``: the networks of the policy ``allow-list``. ``tap`` is always a record of `columns.TAP`."""

    def __init__(self, allow: list[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in allow]

    def of(self, tap: Any, source: Source, arrival_ns: int) -> Claim | None:
        """What a source from which something came now must prove; None: it may not be heard."""
        latched = bool(tap["stream"] >= 0)
        if latched and Source.read(tap["source"]) == source:
            return Claim(2, Trust(tap["trust"]))  # rule A11: another SSRC, or the same one started anew
        if latched and arrival_ns - int(tap["heard_ns"]) < SILENCE_NS:
            return None
        first = self.first(tap, source, latched)
        return first._replace(packets=8) if latched and first else first

    def first(self, tap: Any, source: Source, latched: bool) -> Claim | None:
        """What comes for a tap with a key has a right tag, which is proof enough; the policy may still be narrower."""
        claim = self._by_policy(tap, source, latched)
        return Claim(1, Trust.SRTP) if claim and tap["suite"] else claim

    def _by_policy(self, tap: Any, source: Source, latched: bool) -> Claim | None:
        announced, policy = Source.read(tap["announced"]), int(tap["policy"])
        same_host = source[:2] == announced[:2]
        if policy in (Policy.EXACT, Policy.ANNOUNCED) and same_host and announced.port in (source.port, 0):
            return Claim(1, Trust.ANNOUNCED)
        if policy == Policy.ANNOUNCED and not latched:
            return Claim(4, Trust.UNANNOUNCED, not_before_ns=int(tap["answered_ns"]) + UNANNOUNCED_NS, alone=True)
        if policy == Policy.ADDRESS and same_host:
            return Claim(4, Trust.ADDRESS)
        if policy == Policy.ALLOW_LIST and any(source.address in network for network in self._networks):
            return Claim(4, Trust.ALLOW_LIST, span_ns=22_000_000)
        return Claim(4, Trust.UNVERIFIED) if policy == Policy.ANY else None
