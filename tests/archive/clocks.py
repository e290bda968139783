"""Senders with clocks of their own, in virtual time: what came when, in which order, and the pace points of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.archive.align import Course
from receiver.archive.pace import Pace

RATE = 8_000
PACKET = 160
FIRST = 3_200  # where the worker puts a tap's first packet (rule A2)
SECOND = 1_000_000_000
WINDOW_NS = 10 * SECOND
Floats = NDArray[np.float64]

MODELS = ("quiet", "24 ms", "266 ms", "lognormal", "congested", "seldom undelayed")
"""``24 ms`` and ``266 ms``: exponential delays with that 99th percentile, what a first packet may be off by."""


def delays_ns(model: str, count: int, dice: np.random.Generator) -> Floats:
    """What the network adds to each packet."""
    if model == "quiet":
        return np.abs(dice.normal(0, 0.5e6, count)) + 1e5
    if model in ("24 ms", "266 ms"):
        return dice.exponential(float(model.split()[0]) * 1e6 / np.log(100), count)
    if model == "lognormal":
        return np.minimum(dice.lognormal(np.log(20e6), 1.1, count), 2e9)
    if model == "congested":  # a queue that fills and empties in minutes
        return np.abs(np.sin(np.arange(count) / 9_000 * 2 * np.pi / 3)) * 30e6 + dice.exponential(10e6, count)
    assert model == "seldom undelayed"
    return dice.gamma(4, 15e6, count)


class Talk(NamedTuple):
    """One epoch: when its packets were sent (true time, ns), their frames on the part's axis, and its pace."""

    sent: Floats
    frames: NDArray[np.int64]
    pace: Pace

    @property
    def stop(self) -> int:
        """One past the last frame."""
        return int(self.frames[-1]) + PACKET


def talk(
    seconds: int, ppm: float, model: str, dice: np.random.Generator, start_ns: float = 0, first: int = FIRST,
    ssrc: int = 7, spoken: NDArray[np.bool_] | None = None,
) -> Talk:  # fmt: skip
    """A sender whose clock runs ``ppm`` fast. ``spoken``: which of its packets it sent."""
    count = seconds * RATE // PACKET
    sent = np.asarray(start_ns + np.arange(count) * (PACKET * 1e9 / RATE) / (1 + ppm * 1e-6), np.float64)
    frames = first + PACKET * np.arange(count, dtype=np.int64)
    if spoken is not None:
        sent, frames = sent[spoken], frames[spoken]
    arrival = (sent + delays_ns(model, len(sent), dice)).astype(np.int64)
    return Talk(sent, frames, Pace(ssrc, int(frames[0]), points(frames, arrival)))


def points(frames: NDArray[np.int64], arrival: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least delayed packet of each window, by the definition."""
    window = (arrival - arrival.min()) // WINDOW_NS
    transit = arrival - frames * (SECOND // RATE)
    best = np.lexsort((transit, window))
    chosen = best[np.unique(window[best], return_index=True)[1]]
    return np.stack((frames[chosen], arrival[chosen]), axis=1)


def on_the_woven_axis(course: Course, frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where frames of a part lie, all at once."""
    put = np.array(course.insertions, np.int64).reshape(-1, 2)
    before = np.concatenate(([0], np.cumsum(put[:, 1])))
    return frames + course.offset + before[np.searchsorted(put[:, 0], frames, side="right")]


def apart_ms(one: tuple[Course, list[Talk]], other: tuple[Course, list[Talk]], times: Floats) -> Floats:
    """How far what two channels sent at the same true times lies apart in the file."""
    places = []
    for course, talks in (one, other):
        sent = np.concatenate([talk.sent for talk in talks])
        frames = np.concatenate([talk.frames for talk in talks])
        places.append(np.interp(times, sent, on_the_woven_axis(course, frames)))
    return np.abs(places[0] - places[1]) * 1_000 / RATE
