"""The writer: one thread, first in, first out. Puts octets where they belong and then raises the cursor that says so.

It does not know what a cursor means: ``written`` of a block, the end of the patch log, a count of notes. For each it
remembers how far it came since the last commit took the marks away (``take_marks``); that is all the commit needs.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.archive.files import Piece
from receiver.archive.part import Growing

Cursor = NDArray[np.int64]


class Write(NamedTuple):
    """Octets for one file. After the last of them lies there, ``cursor[index]`` becomes ``upto``.

    ``pieces`` may be views of the ring, which stays as it is until the commit (rule K4). No pieces: only the cursor,
    in its turn.
    """

    file: Growing
    octet: int
    pieces: tuple[Piece, ...]
    cursor: Cursor
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of these
    upto: int


class Mark(NamedTuple):
    """How far a cursor was raised by writes into one file: what a commit makes durable.

    Compare ``file`` before you believe ``index``: the row may have been given to another tap since.
    """

    file: Growing
    cursor: Cursor
    index: int  # type: ignore[assignment]
    upto: int
    octets: int  # how far the file reached then


Call = Callable[[], object]
OnError = Callable[[Write | Call, Exception], None]


class Writer:
    """One thread that owns the writing of many files.

    ``on_error`` is called in that thread, at once, with the write (or call) that failed, before the next one is begun;
    the cursor was not raised and the thread lives on.
    """

    def __init__(self, on_error: OnError, clock: Callable[[], int] = time.monotonic_ns, name: str = "writer") -> None:
        self._on_error = on_error
        self._clock = clock
        self._queue: queue.SimpleQueue[Write | Call | None] = queue.SimpleQueue()
        self._marks: dict[tuple[int, int, int], Mark] = {}
        self._put = 0
        self._done = 0
        self.moved_ns = clock()
        """Monotonic time of the last thing done. A disk that hangs shows in it, while there is a backlog."""
        self.at_disk = False
        """Whether the thread waits for the disk to take something now."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, write: Write) -> None:
        """Queue a write; never waits. One thread may put (rule K6: one writer for a tap, so one order)."""
        self._put += 1
        self._queue.put(write)

    def call(self, function: Call) -> None:
        """Have something done in the writer's thread, behind all that was put before: a barrier."""
        self._put += 1
        self._queue.put(function)

    @property
    def backlog(self) -> int:
        """Writes and calls that wait or are under way."""
        return self._put - self._done

    def take_marks(self) -> list[Mark]:
        """Take away what was written since the last time. Only from a ``call``: the marks are this thread's."""
        marks, self._marks = self._marks, {}
        return list(marks.values())

    def close(self) -> None:
        """Do all that was put, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if isinstance(item, Write):
                    self._write(item)
                else:
                    item()
            except Exception as error:  # whatever it is, the other taps' sound must go on
                self._on_error(item, error)
            self._done += 1
            self.moved_ns = self._clock()

    def _write(self, write: Write) -> None:
        file, octet, pieces, cursor, index, upto = write
        self.at_disk = True
        try:
            file.write(octet, pieces)
        finally:
            self.at_disk = False
        cursor[index] = upto
        # Keyed by identity; the mark keeps file and cursor alive, so no other can get the same one meanwhile.
        self._marks[id(file), id(cursor), index] = Mark(file, cursor, index, upto, file.octets)
