"""A worker that dies where it is told to: the real one, started by exec in its place, with one method wrapped.

    python -m tests.journeys.dying_worker worker --index 0 --link 5

``TAPDECK_TEST_DEATHS`` names a file of lines ``point hit``; every worker that starts takes the first line away and dies
by SIGKILL when that point is passed for the ``hit``-th time. No line: it lives. ``TAPDECK_TEST_WITHOUT`` takes one of
the rules K out of it, to see that the test would notice (its teeth).
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from receiver.archive.commitlog import CommitLog
from receiver.archive.files import Files, Piece
from receiver.archive.part import Growing
from receiver.archive.writer import Write, Writer
from receiver.media.block import ABSENT
from receiver.media.journal import Journal
from receiver.media.state import State
from receiver.media.timeline import Timeline
from receiver.net.slab import Slab
from receiver.net.table import Table
from receiver.worker.recovery import Recovery
from receiver.worker.shelf import Shelf


def die() -> None:
    """Nothing after this line is run: no handler, no flush, no exit code of ours."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


class Point:
    """Dies when it is passed for the n-th time."""

    def __init__(self, hit: int) -> None:
        self.left = hit

    def passed(self) -> bool:
        self.left -= 1
        return self.left == 0


def before(owner: type, name: str) -> Callable[[Point], None]:
    """Die instead of calling this method."""

    def arm(point: Point) -> None:
        real = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            if point.passed():
                die()
            return real(*arguments, **named)

        setattr(owner, name, wrapped)

    return arm


def after(owner: type, name: str, counts: Callable[[Any], bool] = lambda result: True) -> Callable[[Point], None]:
    """Die when this method returns, before its caller knows. ``counts`` says which results are a pass."""

    def arm(point: Point) -> None:
        real = getattr(owner, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            result = real(*arguments, **named)
            if counts(result) and point.passed():
                die()
            return result

        setattr(owner, name, wrapped)

    return arm


def at_writing(point: Point, behind: bool) -> None:
    """Before, or ``behind``, what puts octets into a file: writes without any only have a commit name it."""
    real = Growing.write

    def write(self: Growing, octet: int, pieces: Sequence[Piece]) -> None:
        passed = any(len(piece) for piece in pieces) and point.passed()
        if passed and not behind:
            die()
        real(self, octet, pieces)
        if passed:
            die()

    Growing.write = write  # type: ignore[method-assign]


def inside_placing(point: Point) -> None:
    """Half of a group of packets is in the ring."""
    real = Timeline.place

    def place(self: Timeline, row: Any, position: Any, sound: Any) -> None:
        if point.passed():
            half = max(len(row) // 2, 1)
            real(self, row[:half], position[:half], sound[:half])
            die()
        real(self, row, position, sound)

    Timeline.place = place  # type: ignore[method-assign]


def inside_clearing(point: Point) -> None:
    """Between clear and raise: the room is filled with absence, ``cleared`` says nothing of it yet."""
    real = Timeline.clear

    def clear(self: Timeline, row: int, upto: int) -> None:
        if point.passed():
            for piece in self.views(row, int(self._state.cleared[row]), upto):
                piece[:] = ABSENT
            die()
        real(self, row, upto)

    Timeline.clear = clear  # type: ignore[method-assign]


def before_a_patch(point: Point) -> None:
    """A packet that came late is in the log and not yet with the writer (rule K6)."""
    real = Shelf.write_logs

    def write_logs(self: Shelf) -> tuple[int, int]:
        if self._journal.patches_since(self._patches) and point.passed():
            die()
        return real(self)

    Shelf.write_logs = write_logs  # type: ignore[method-assign]


POINTS: dict[str, Callable[[Point], None]] = {
    "after the receive": after(Slab, "fill", counts=bool),
    "inside placing": inside_placing,
    "before the generation": before(State, "commit"),
    "after the generation": before(State, "_echo"),
    "between drain and write": partial(at_writing, behind=False),
    "between write and cursor": partial(at_writing, behind=True),
    "between write and commit": before(Files, "sync_all"),
    "between commit and log": after(Files, "sync_all"),
    "between log and cursors": after(CommitLog, "append"),
    "between clear and raise": inside_clearing,
    "between patch and write": before_a_patch,
    "in recovery, after clearing": after(Recovery, "clear_again"),
    "in recovery, before writing": before(Recovery, "write_again"),
    "in recovery, after writing": after(Recovery, "write_again"),
    "in recovery, before the slab": before(Recovery, "run_slab"),
    "in recovery, after the slab": after(Recovery, "run_slab"),
}

ONCE_A_SECOND = {
    "between write and commit", "between commit and log", "between log and cursors", "between patch and write",
}  # fmt: skip
"""Points that a worker passes about once a second; the others many times."""


def without_k2() -> None:
    """The call's return value is the record of what was received, and it died with its process."""
    Table.in_hand = lambda self, generation: 0  # type: ignore[method-assign]


def without_k3() -> None:
    """The columns exist once: a turn that is run again counts twice."""

    real = State.__init__

    def once(self: State, *arguments: Any) -> None:
        real(self, *arguments)
        self._copies = (self._copies[0], self._copies[0])
        self._opaque = [self._opaque[0], self._opaque[0]]
        self.live, self.now = self._copies

    State.__init__ = once  # type: ignore[method-assign, assignment]


def without_k4() -> None:
    """Cursors are raised before that is true which they say: ``written`` before the octets are in the part."""
    real = Writer._write

    def early(self: Writer, write: Write) -> None:
        write.cursor[write.index] = write.upto
        real(self, write)

    Writer._write = early  # type: ignore[method-assign]


def without_k5() -> None:
    """What was handed on and not written is not written by the next worker."""
    Recovery.write_again = lambda self: None  # type: ignore[method-assign]


def without_k6() -> None:
    """Patches live in the process only: the next worker does not find them, nor are they in the ring."""
    Timeline.patch = lambda self, row, position, sound: None  # type: ignore[method-assign]
    real = Shelf.__init__

    def forgetful(self: Shelf, state: State, journal: Journal, *others: Any) -> None:
        real(self, state, journal, *others)
        self._patches = int(state.live.world["patches"][0])

    Shelf.__init__ = forgetful  # type: ignore[method-assign, assignment]


WITHOUT = {"K2": without_k2, "K3": without_k3, "K4": without_k4, "K5": without_k5, "K6": without_k6}


def next_death(plan: Path) -> tuple[str, int] | None:
    """Take the first line of the plan away."""
    lines = plan.read_text().splitlines() if plan.exists() else []
    if not lines:
        return None
    plan.write_text("".join(f"{line}\n" for line in lines[1:]))
    point, _, hit = lines[0].rpartition(" ")
    return point, int(hit)


def main() -> None:
    """Arm, then be a worker."""
    rule = os.environ.get("TAPDECK_TEST_WITHOUT")
    death = next_death(Path(os.environ["TAPDECK_TEST_DEATHS"]))
    point = Point(death[1] if death else -1)
    if rule:
        WITHOUT[rule]()
    if death:
        POINTS[death[0]](point)
    from receiver.cli import main as command

    command()
    sys.exit()


if __name__ == "__main__":
    main()
