"""A rough sea for several taps at once: all that rules A and B know, seeded. For tests of order, not of places."""

from random import Random

from receiver.media.columns import Policy
from receiver.media.sources import Source
from tests.media.rig import HOME, MS, SECOND, START, STRANGER, Rig, Sent, codes

THIRD = Source.of("2001:db8::7", 6_000)
POLICIES = (Policy.EXACT, Policy.ANY, Policy.ANNOUNCED, Policy.ADDRESS)


def storm(seed: int, taps: int = 4, packets: int = 120, spread_ms: int = 300) -> list[Sent]:
    """Datagrams in order of arrival."""
    dice = Random(seed)
    sent: list[Sent] = []
    for tap in range(taps):
        source = STRANGER if tap == 2 else HOME
        sequence, timestamp, ssrc = dice.randrange(1 << 16), dice.randrange(1 << 32), dice.randrange(1 << 32)
        clock_ns, size = START + dice.randrange(100) * MS, 160
        for _ in range(packets):
            happens = dice.random()
            if happens < 0.02:
                timestamp += dice.choice([-50_000, 90_000, 1 << 31])  # rule A10
            elif happens < 0.04:
                clock_ns += 5 * SECOND  # rule A17: arrival jumps, the timestamp does not
            elif happens < 0.06:
                pause = dice.choice([2, 4, 11])
                clock_ns, timestamp = clock_ns + pause * SECOND, timestamp + pause * 8_000  # rule A7
            elif happens < 0.08:
                ssrc, sequence, timestamp = dice.randrange(1 << 32), dice.randrange(1 << 16), dice.randrange(1 << 32)
            elif happens < 0.09:
                source = dice.choice([HOME, STRANGER, THIRD])
            elif happens < 0.12:
                size = dice.choice([80, 160, 333, 960])
            kind = dice.choice([0] * 20 + [8, 13, 101])
            payload = codes(tap, timestamp, size)
            for _ in range(dice.choice([0, 1, 1, 1, 1, 1, 1, 2])):
                arrival_ns = clock_ns + dice.randrange(spread_ms * MS)
                sent.append(Sent(arrival_ns, sequence, timestamp, payload, ssrc, tap, source, kind))
            sequence, timestamp, clock_ns = sequence + 1, timestamp + size, clock_ns + size * 125_000
    return sorted(sent, key=lambda packet: packet.arrival_ns)


def open_all(rig: Rig, taps: int = 4) -> None:
    """One tap of each policy."""
    for tap in range(taps):
        rig.open(tap, POLICIES[tap % len(POLICIES)])


def batches(sent: list[Sent], dice: Random) -> list[list[Sent]]:
    """Cut anywhere, in slices of about a tick or far more."""
    cut: list[list[Sent]] = []
    while sent:
        most = dice.choice([1, 7, 30, 100])
        cut.append(sent[:most])
        sent = sent[most:]
    return cut
