"""A real worker with a defect in its pipeline: it raises on a packet whose SSRC is 0xDEADBEEF."""

import sys
from typing import Any

import numpy as np

from receiver.media.pipeline import Datagrams, Pipeline

MARK = np.frombuffer(bytes.fromhex("DEADBEEF"), np.uint8)


def main() -> None:
    """Break it, then be a worker."""
    real = Pipeline.step

    def step(self: Pipeline, datagrams: Datagrams, *clocks: Any) -> Any:
        if (datagrams.octets[:, 8:12] == MARK).all(axis=1).any():
            raise ZeroDivisionError("a defect that nobody has found yet")
        return real(self, datagrams, *clocks)

    Pipeline.step = step  # type: ignore[method-assign]
    from receiver.cli import main as command

    sys.exit(command())


if __name__ == "__main__":
    main()
