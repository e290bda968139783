"""Weathers by name, and what one caller sends in them: the order in which the pieces of ``weather`` happen."""

from typing import Final

import msgspec
import numpy as np

from receiver.lab import weather
from receiver.lab.weather import Dice, Packets
from receiver.wire.g711 import CLOCK_RATE
from receiver.wire.rtp import LONGEST_PAYLOAD

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000

QUIET_END_S: Final = 1.5
"""Nothing happens to a sender's numbers in its last moments: a recorder must see enough of them to judge (rules A11,
A17)."""

_LONGEST_MS: Final = 600_000

SPREAD_S: Final = 0.5
"""Callers of one plan meet their moments at different times, up to so much later."""


class Moments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When something happens to a sender: first, and then every so often (0: once). Seconds of its sound."""

    first_s: float
    every_s: float = 0.0


class Weather(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can happen to one caller's packets. Shares are 0..1; times tell their unit; defaults are good
    weather."""

    loss: float = 0.0
    loss_run: float = 1.0
    """Mean length of a run of lost packets."""
    jitter_ms: float = 0.0
    stall: Moments | None = None
    stall_ms: float = 700.0
    reorder: float = 0.0
    reorder_ms: float = 200.0
    duplicate: float = 0.0
    duplicate_ms: float = 100.0
    pause: Moments | None = None
    pause_ms: float = 800.0
    ssrc_change: Moments | None = None
    jump: Moments | None = None
    jump_samples: int = 400_000
    clock_stop: Moments | None = None
    clock_stop_ms: float = 2_000.0
    sizes: tuple[int, ...] = ()
    """Sizes of packets, in samples, drawn by lot; none: the caller's own."""
    sizes_run: int = 1
    """Packets until the next draw."""
    wrap: bool = False
    """Sequence numbers wrap after 60 packets, timestamps after 2 s (rule A5)."""

    def __post_init__(self) -> None:
        """Raises ValueError for what no network can do."""
        for name in ("loss", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share: 0..1, not {getattr(self, name)}")
        for name in ("jitter", "stall", "reorder", "duplicate", "pause", "clock_stop"):
            if not 0 <= getattr(self, f"{name}_ms") <= _LONGEST_MS:
                raise ValueError(f"{name}_ms is 0..{_LONGEST_MS}, not {getattr(self, f'{name}_ms')}")
        if any(not 1 <= size <= LONGEST_PAYLOAD for size in self.sizes) or self.sizes_run < 1:
            raise ValueError(f"sizes are 1..{LONGEST_PAYLOAD} samples, each for a run of at least one packet")
        weather.gilbert_elliott(0, self.loss, self.loss_run, np.random.default_rng(0))


PRESETS: Final[dict[str, Weather]] = {
    "clean": Weather(),
    "lossy": Weather(loss=0.05),
    "bursty": Weather(loss=0.08, loss_run=6),
    "reordered": Weather(reorder=0.2),
    "late": Weather(reorder=0.02, reorder_ms=1_500),
    "jittery": Weather(jitter_ms=300),
    "stalled": Weather(stall=Moments(2, 5)),
    "duplicated": Weather(duplicate=0.1),
    "ssrc_change": Weather(ssrc_change=Moments(3, 12)),
    "jump_forward": Weather(jump=Moments(3, 12)),
    "jump_back": Weather(jump=Moments(3, 12), jump_samples=-40_000),
    "wrap": Weather(wrap=True),
    "pauses": Weather(pause=Moments(1, 2)),
    "clock_stop": Weather(clock_stop=Moments(3, 12)),
    "repacketized": Weather(sizes=(80, 160, 240, 320, 480, 800, 960), sizes_run=25),
    "odd_sizes": Weather(sizes=(81, 97, 113, 160, 161, 203, 333, 960)),
    "everything": Weather(
        loss=0.03,
        loss_run=3,
        jitter_ms=60,
        reorder=0.1,
        reorder_ms=150,
        duplicate=0.05,
        pause=Moments(1, 7),
        pause_ms=600,
        ssrc_change=Moments(2, 30),
        jump=Moments(4, 30),
        clock_stop=Moments(5.5, 30),
        sizes=(80, 160, 240),
        sizes_run=40,
        wrap=True,
    ),
}
"""By name. None opens more than 8 epochs a minute (rule A11), and each moment happens within 8 s of sound but for the
last 1.5 s."""


class UnknownWeather(ValueError):
    """No weather has that name; the message lists those that are known."""


def named(name: str) -> Weather:
    """Return a preset; raises UnknownWeather."""
    try:
        return PRESETS[name]
    except KeyError:
        raise UnknownWeather(f"no weather is called {name!r}; there are: {', '.join(PRESETS)}") from None


def forecast(told: Weather, size: int, seconds: float, dice: Dice, *, start_ns: int = 0) -> Packets:
    """Return what a caller hands to the network, in order: PACKET records without caller, voice and payload type.

    ``seconds`` of sound are spoken in packets of ``size`` samples (``told.sizes`` wins). Standing clocks make the
    call longer.
    """
    samples = round(seconds * CLOCK_RATE)
    packets = weather.steady(weather.cut(samples, told.sizes or (size,), told.sizes_run, dice), start_ns)
    sequence, timestamp = int(dice.integers(1 << 15)), int(dice.integers(1 << 31))  # far from both wraps
    if told.wrap:
        sequence, timestamp = -60 & 0xFFFF, -2 * CLOCK_RATE & 0xFFFFFFFF
    packets = weather.number_from(packets, int(dice.integers(1 << 32)), sequence, timestamp)
    return _network(_sender(packets, told, seconds, dice, start_ns), told, seconds, dice, start_ns)


def _sender(packets: Packets, told: Weather, seconds: float, dice: Dice, start_ns: int) -> Packets:
    """What the sender does. Its clock comes last: the other moments are told in its own time."""
    shift = dice.random() * SPREAD_S
    packets = weather.pause(packets, _moments(told.pause, seconds, shift, start_ns), round(told.pause_ms * _MS))
    packets = weather.change_ssrc(packets, _moments(told.ssrc_change, seconds, shift, start_ns), dice)
    packets = weather.jump(packets, _moments(told.jump, seconds, shift, start_ns), told.jump_samples)
    stops = _moments(told.clock_stop, seconds, shift, start_ns)
    return weather.stop_clock(packets, stops, round(told.clock_stop_ms * _MS))


def _network(packets: Packets, told: Weather, seconds: float, dice: Dice, start_ns: int) -> Packets:
    """What the way does to what was sent."""
    packets = weather.lose(packets, told.loss, told.loss_run, dice)
    packets = weather.jitter(packets, round(told.jitter_ms * _MS), dice)
    stalls = _moments(told.stall, seconds, dice.random() * SPREAD_S, start_ns)
    packets = weather.stall(packets, stalls, round(told.stall_ms * _MS))
    packets = weather.reorder(packets, told.reorder, round(told.reorder_ms * _MS), dice)
    return weather.duplicate(packets, told.duplicate, round(told.duplicate_ms * _MS), dice)


def _moments(told: Moments | None, seconds: float, shift_s: float, start_ns: int) -> list[int]:
    """The moments that lie in so many seconds of sound, but for their end; nanoseconds of the plan."""
    if told is None:
        return []
    last = seconds - QUIET_END_S
    times = [told.first_s + shift_s]
    while told.every_s > 0 and times[-1] < last:
        times.append(times[-1] + told.every_s)
    return [start_ns + round(time * _SECOND) for time in times if time < last]


def dice_of(seed: int, caller: int) -> Dice:
    """The dice of one caller of a plan."""
    return np.random.default_rng([seed, caller])
