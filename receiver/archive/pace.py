"""How a sender's clock runs against ours, seen in its least delayed packets (rule A15). Pure.

Transit is arrival − frame. Its lower envelope is the network's least delay and does not depend on how much the network
delays the others; where the sender's clock drifts, the envelope has a slope. One slope is sought for all epochs of a
clock, and an offset for each: the line below which a tenth of an epoch's windows lie (quantile regression; the line
below which none lies, by Moon, Skelly and Towsley 1999, hangs on two windows where jitter seldom leaves the least
delay alone).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int64]
Floats = NDArray[np.float64]

QUANTILE = 0.1
STEEPEST = 500e-6  # no telephone's clock is that wrong; what looks steeper is a network
LIKELY = 200e-6  # ... and nearly none is wronger than this: where a call was short, jitter looks like it
SHORT_SPAN_S = 30  # within it no clock gets 10 ms away from another one, but jitter may look as if
LEAST_SPAN_S = 300  # on shorter calls some milliseconds of jitter would pass for a drift
_GOLDEN = (5**0.5 - 1) / 2
_STEPS = 40  # of the golden section: 1e-3 shrinks to below 1e-11


class Pace(NamedTuple):
    """How one epoch of a channel kept time: ``points`` are the least delayed packets, one of each window of 10 s.

    A point is (frame on the part's axis, monotonic arrival in ns); they are in order, and there is at least one.
    ``begin`` is the epoch's first frame, ``ssrc`` whose clock it was.
    """

    ssrc: int
    begin: int
    points: Points


def slope(paces: Sequence[Pace], rate: int) -> float:
    """Return ns of our clock gained per ns of the sender's, for epochs of one clock; 0.0 where nothing tells.

    Negative: the sender's clock is fast.
    """
    told, span_s = [_transit(pace, rate) for pace in paces if len(pace.points) > 1], _span_s(paces)
    if span_s < SHORT_SPAN_S:
        return 0.0
    high = STEEPEST if span_s >= LEAST_SPAN_S else LIKELY
    low = -high
    inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    costs = [_cost(told, at) for at in inner]
    for _ in range(_STEPS):
        if costs[0] <= costs[1]:
            high, inner[1], costs[1] = inner[1], inner[0], costs[0]
            inner[0] = high - _GOLDEN * (high - low)
            costs[0] = _cost(told, inner[0])
        else:
            low, inner[0], costs[0] = inner[0], inner[1], costs[1]
            inner[1] = low + _GOLDEN * (high - low)
            costs[1] = _cost(told, inner[1])
    return (low + high) / 2


def drift_ppm(paces: Sequence[Pace], rate: int) -> float | None:
    """Return how fast a sender's clock is against ours, in parts per million; None where it was heard too shortly.

    ``paces`` are the epochs of one clock. Five minutes on it are the least.
    """
    if _span_s(paces) < LEAST_SPAN_S:
        return None
    return (1 / (1 + slope(paces, rate)) - 1) * 1e6


def envelope(pace: Pace, gained: float, rate: int, reach: int = 30) -> Floats:
    """Return the arrival, in ns, that each point's frame would have had without any delay but the least.

    The least delay is sought ``reach`` windows to either side, after the slope ``gained`` was taken out.
    """
    along, late = _transit(pace, rate)
    rest = late - gained * along
    padded = np.concatenate((np.full(reach, np.inf), rest, np.full(reach, np.inf)))
    least = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).min(axis=1)
    arrival: Floats = pace.points[:, 1] - (rest - least)
    return arrival


def _span_s(paces: Sequence[Pace]) -> float:
    """How long a clock was seen to run."""
    return sum(int(pace.points[-1, 1] - pace.points[0, 1]) for pace in paces if len(pace.points)) / 1e9


def _transit(pace: Pace, rate: int) -> tuple[Floats, Floats]:
    """Time by the sender's clock and transit of each point, in ns, both from the first one on."""
    frames, arrivals = (pace.points - pace.points[0]).astype(np.float64).T
    along = frames * (1e9 / rate)
    return along, arrivals - along


def _cost(told: Sequence[tuple[Floats, Floats]], at: float) -> float:
    """How badly lines of this slope fit, one line for each epoch, at its best height. Convex in the slope."""
    cost = 0.0
    for along, late in told:
        rest = late - at * along
        rest -= np.quantile(rest, QUANTILE, method="inverted_cdf")
        cost += float(np.maximum(QUANTILE * rest, (QUANTILE - 1) * rest).sum())
    return cost
