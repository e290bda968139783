"""A real worker with a defect in its pipeline: it raises on a packet whose SSRC is 0xDEADBEEF."""

import numpy as np

from receiver.media.pipeline import Datagrams, Pipeline
from receiver.media.sources import News

MARK = np.frombuffer(bytes.fromhex("DEADBEEF"), np.uint8)


def main() -> None:
    """Break it, then be a worker."""
    real = Pipeline.step

    def step(self: Pipeline, datagrams: Datagrams, now_ns: int, wall_offset_ns: int) -> list[News]:
        if (datagrams.octets[:, 8:12] == MARK).all(axis=1).any():
            raise ZeroDivisionError("a defect that nobody has found yet")
        return real(self, datagrams, now_ns, wall_offset_ns)

    Pipeline.step = step  # type: ignore[method-assign]
    from receiver.cli import main as command

    command()


if __name__ == "__main__":
    main()
