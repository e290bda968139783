"""What one drain cuts off: the only thing of this room that the archive knows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ABSENT = np.int16(-32768)
"""Never came. No G.711 code decodes to it; a codec with the full range is clipped one above."""


class Block(NamedTuple):
    """A run of samples on its way to a part.

    ``frame`` counts in the channel's part from the recording's beginning (also over segments); ``samples`` is
    C-contiguous native int16 and may be a view of the ring: it stays true until its commit has returned (rule K4).
    """

    row: int
    frame: int
    samples: NDArray[np.int16]
