"""Bare codec bytes become RTP (RFC 3550, section 5.1). Pure: octets and times in, packets out.

A WebSocket is a byte stream on top of TCP: frames may have any size, nothing is lost, and what a slow network held back
comes in one burst. So the timestamp is the number of octets so far, and only a true pause moves it by arrival:

* The **end** of what came together lies at its arrival, so it began as much earlier as it is long. A pause is what then
  lies between the end of all earlier sound and that beginning, if it is more than 200 ms. So a second of sound once a
  second is no pause, a burst of five seconds after a stall of five seconds leaves no gap, and one frame after five
  seconds of hold leaves five seconds of silence.
* Up to 200 ms is jitter and moves nothing. Only the clock is followed, at up to 500 ppm, half of what rule A10 allows a
  sender: so one that is off makes no pause and builds up no lead, and one that is much too slow shows its pauses here,
  before they add up to the second of rule A17.

How fast it is handed on, by what the worker makes of it:

* At most `LEAD_NS` ahead of its time. With a packet of 182 ms and a delay of 200 ms, transits then differ by 882 ms:
  below the second from which rules A10 and A17 see a clock that jumped or stood still.
* What lies behind its time, the burst after a stall, goes at once: rule A17 knows it from a clock that stood still by
  its coming at more than twice its time. But the worker's ring holds 6 s, and a socket without privileges 30 s of such
  packets; so after `BURST_NS` of sound, four times as fast as it was said.

Who waits is the reader of the WebSocket, and TCP makes the sender wait: nothing is lost, what is held is bounded.
"""

import struct
from typing import Final

CLOCK_RATE: Final = 8_000
NS_PER_OCTET: Final = 1_000_000_000 // CLOCK_RATE
PAUSE_NS: Final = 200_000_000
LEAD_NS: Final = 500_000_000
DRIFT: Final = 2_000
"""A sender's clock is followed by one part in so many: 500 ppm."""
BURST_NS: Final = 5_000_000_000
CATCH_UP: Final = 4
LONGEST_PAYLOAD: Final = 1_460  # octets, as `receiver.wire.rtp` takes them: 182 ms
HEADER: Final = struct.Struct("!BBHII")
VERSION_2: Final = 2 << 6


class Packetizer:
    """One connection's sound. ``payload_type`` 0 (PCMU) or 8 (PCMA): an octet is a sample. Times are monotonic."""

    def __init__(self, payload_type: int, ssrc: int, sequence: int, timestamp: int) -> None:
        self._payload_type, self._ssrc = payload_type, ssrc
        self._sequence, self._timestamp = sequence, timestamp
        self._end_ns: int | None = None  # when all sound so far is over
        self._busy_ns = 0  # when what was handed on would be done at `CATCH_UP`
        self.longest = LONGEST_PAYLOAD
        """How long the next payloads may be, in octets."""

    def late_ns(self, octets: int, arrival_ns: int) -> int:
        """How long after the end of all earlier sound these began, if the last of them came then."""
        return 0 if self._end_ns is None else arrival_ns - octets * NS_PER_OCTET - self._end_ns

    def meet(self, octets: int, arrival_ns: int) -> None:
        """So many octets came together, the last of them then: see whether there was a pause before them."""
        if self._end_ns is None:
            # Rule A10: no file may begin with a long burst.
            self._end_ns = arrival_ns - min(octets * NS_PER_OCTET, LEAD_NS)
            self.longest = max(1, min(LONGEST_PAYLOAD, octets // 2))  # rule A11: a new SSRC is heard once it sent two
            return
        self.longest = LONGEST_PAYLOAD
        late_ns = self.late_ns(octets, arrival_ns)
        if late_ns > PAUSE_NS:
            self._timestamp += late_ns // NS_PER_OCTET
            self._end_ns += late_ns
            return
        most_ns = octets * NS_PER_OCTET // DRIFT
        self._end_ns += max(-most_ns, min(most_ns, late_ns))

    def wait_ns(self, now_ns: int) -> int:
        """How long the next packet has to wait, 0 or more."""
        lead_ns = 0 if self._end_ns is None else self._end_ns - now_ns
        return max(0, lead_ns - LEAD_NS, self._busy_ns - now_ns - BURST_NS // CATCH_UP)

    def packet(self, payload: bytes, now_ns: int) -> bytes:
        """The next packet, of 1 to `longest` octets, which must have been met."""
        assert self._end_ns is not None
        header = HEADER.pack(
            VERSION_2, self._payload_type, self._sequence & 0xFFFF, self._timestamp & 0xFFFFFFFF, self._ssrc
        )
        span_ns = len(payload) * NS_PER_OCTET
        self._sequence += 1
        self._timestamp += len(payload)
        self._end_ns += span_ns
        self._busy_ns = max(self._busy_ns, now_ns) + span_ns // CATCH_UP
        return header + payload
