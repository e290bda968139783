"""The commit: one thread that makes all growing files durable at once (rule C2).

The order is the promise. In the writer's thread the marks are taken (what they speak of lies in the page cache). In the
commit's thread: sync, then the log, durable itself, then ``on_done``. Only what ``on_done`` names may leave the ring.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from receiver.archive.commitlog import CommitLog
from receiver.archive.files import Files
from receiver.archive.part import Growing, LogKey
from receiver.archive.writer import Mark, Writer

BREATHER = 4  # a commit begins at the earliest four times its predecessor's duration after it
SLOW_NS = 500_000_000
SLOW_TIMES = 2
SYNC_THREADS = 16

OnDone = Callable[[list[Mark], int], None]
OnError = Callable[[list[Mark], OSError], None]
OnSlow = Callable[[int], None]


class Commit:
    """Commits on request. All callbacks are called in the commit's thread.

    ``on_done(marks, duration_ns)``: these are durable and logged. ``on_error(marks, error)``: nobody may believe in
    these; the same files must not be synced again (rule C3, Linux would say yes without the data), so the marks do
    not come back. ``on_slow(duration_ns)``: said once, when ``syncfs`` took more than 500 ms twice in a row and each
    file is synced by itself from then on, 16 at a time.
    """

    def __init__(
        self,
        files: Files,
        writer: Writer,
        worker: int,
        interval_ns: int,
        on_done: OnDone,
        on_error: OnError,
        on_slow: OnSlow,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._files, self._writer, self._clock = files, writer, clock
        self._asked_interval_ns = interval_ns
        self._on_done, self._on_error, self._on_slow = on_done, on_error, on_slow
        self._log = CommitLog(files, worker)
        self._slow_in_a_row = 0
        self._pool: ThreadPoolExecutor | None = None
        self._underway = False
        self.duration_ns = 0
        """How long the last commit took, log included."""
        self.safe_ns = clock()
        """Monotonic time: what was written before then is durable. Its age is the gauge of promise P3."""
        self._queue: queue.SimpleQueue[tuple[list[Mark], int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
        self._thread.start()

    @property
    def interval_ns(self) -> int:
        """How far apart commits should begin now: rule C2."""
        return max(self._asked_interval_ns, BREATHER * self.duration_ns)

    @property
    def underway(self) -> bool:
        """Whether one was asked for and has not been answered."""
        return self._underway

    @property
    def file_by_file(self) -> bool:
        """Whether ``syncfs`` was given up as too slow."""
        return self._pool is not None

    def request(self) -> bool:
        """Ask for a commit of all that was put into the writer so far; never waits. False: one is under way."""
        if self._underway:
            return False
        self._underway = True
        self._writer.call(self._snapshot)
        return True

    def close(self) -> None:
        """Commit all that was put so far, then end the thread. Before ``Writer.close``."""
        behind = threading.Event()
        self._writer.call(self._snapshot)
        self._writer.call(behind.set)
        behind.wait()
        self._queue.put(None)
        self._thread.join()
        self._log.close()
        if self._pool is not None:
            self._pool.shutdown()

    def _snapshot(self) -> None:
        self._queue.put((self._writer.take_marks(), self._clock()))

    def _run(self) -> None:
        while (taken := self._queue.get()) is not None:
            marks, taken_ns = taken
            began_ns = self._clock()
            try:
                if marks:  # a quiet night wakes no disk
                    marks = self._make_durable(marks)
            except OSError as error:
                self._underway = False
                self._on_error(marks, error)
                continue
            took_ns = self._clock() - began_ns
            if marks:
                self.duration_ns = took_ns
            self.safe_ns = taken_ns
            self._underway = False
            self._on_done(marks, took_ns)

    def _make_durable(self, marks: list[Mark]) -> list[Mark]:
        """Return the marks that are durable and logged."""
        if self._pool is None:
            began_ns = self._clock()
            self._files.sync_all()
            self._watch(self._clock() - began_ns)
        else:
            marks = self._sync_each(self._pool, marks)
        reached: dict[LogKey, int] = {}
        for mark in marks:
            key = mark.file.log_key
            reached[key] = max(mark.octets, reached.get(key, 0))
        if reached:
            self._log.append(reached)
        return marks

    def _sync_each(self, pool: ThreadPoolExecutor, marks: list[Mark]) -> list[Mark]:
        """Sync file by file: here an error speaks of one file, and only its marks are lost."""
        files = {id(mark.file): mark.file for mark in marks}
        errors = dict(zip(files, pool.map(_sync, files.values()), strict=True))
        for identity, error in errors.items():
            if error is not None:
                self._on_error([mark for mark in marks if id(mark.file) == identity], error)
        self._files.sync_folder(marks[0].file.name)  # parts and notes that were made since
        return [mark for mark in marks if errors[id(mark.file)] is None]

    def _watch(self, took_ns: int) -> None:
        self._slow_in_a_row = self._slow_in_a_row + 1 if took_ns > SLOW_NS else 0
        if self._slow_in_a_row == SLOW_TIMES:
            self._pool = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="sync")
            self._on_slow(took_ns)


def _sync(file: Growing) -> OSError | None:
    try:
        file.sync()
    except OSError as error:
        return error
    return None
