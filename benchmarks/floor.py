"""Builds and runs floor.c: what receiving alone costs here, in C, on sockets like the worker's."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


def build(folder: Path) -> Path | None:
    """Compile it into ``folder``; None where there is no C compiler. Raises CalledProcessError."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = folder / "floor"
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", program, SOURCE], check=True)
    return program


class Floor:
    """The program at work; ``packets`` is known when it has ended."""

    def __init__(self, program: Path, sockets: Sequence[int], period_ms: int, longest_s: float) -> None:
        self._child = subprocess.Popen(
            [program, str(period_ms), str(int(longest_s) + 1)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=sockets,
        )  # fmt: skip
        self.pid = self._child.pid
        self.packets = 0
        assert self._child.stdin is not None
        self._child.stdin.write("".join(f"{descriptor}\n" for descriptor in sockets))
        self._child.stdin.close()

    def end(self) -> None:
        """Stop it; twice is once. Raises RuntimeError when it failed."""
        if self._child.returncode is not None:
            return
        self._child.terminate()
        assert self._child.stdout is not None
        with self._child.stdout:
            told = self._child.stdout.read()
        if self._child.wait(10.0) != 0:
            raise RuntimeError(f"the floor ended with {self._child.returncode}")
        self.packets = int(told)


@contextmanager
def running(program: Path, sockets: Sequence[int], period_ms: int, longest_s: float) -> Iterator[Floor]:
    """It runs inside; ended whatever happens, and by itself after ``longest_s``."""
    floor = Floor(program, sockets, period_ms, longest_s)
    try:
        yield floor
    finally:
        floor.end()
