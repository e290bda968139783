"""Numbers that wrap: widened once, at the door; behind it they are int64 and compare with ``<`` (rule A5)."""

from typing import overload

import numpy as np
from numpy.typing import NDArray


@overload
def widen(reference: int, value: int, bits: int) -> int: ...
@overload
def widen(reference: NDArray[np.int64] | int, value: NDArray[np.int64], bits: int) -> NDArray[np.int64]: ...
@overload
def widen(reference: NDArray[np.int64], value: int, bits: int) -> NDArray[np.int64]: ...
def widen(reference: NDArray[np.int64] | int, value: NDArray[np.int64] | int, bits: int) -> NDArray[np.int64] | int:
    """Return the integer nearest ``reference`` whose low ``bits`` equal those of ``value``.

    Scalars, or int64 arrays that broadcast (never narrower: their difference would wrap). Of two equally near the lower
    one is taken. True as long as the number moved less than half a circle since the reference (RFC 3550, appendix A.1).
    """
    circle, half = 1 << bits, 1 << (bits - 1)
    return reference + ((value - reference + half) & (circle - 1)) - half
