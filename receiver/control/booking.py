"""Writing outcomes down: once each, and for as long as it takes.

Until its outcome is booked a tap keeps its port and its slot. A ledger whose disk is full therefore ends in "no port",
never in a tap that nobody accounts for; and what is not booked when the daemon dies is found in ``ready/`` by the next
start.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

import msgspec
import structlog

from receiver.control.taps import Ending, Tap
from receiver.ledger.clerk import Clerk
from receiver.ledger.rows import Problem, Summary, read_summary

AGAIN_S: Final = (0.5, 1, 2, 5, 10)  # the last one from then on

log = structlog.get_logger("taps")


class Result(NamedTuple):
    """How a tap ended, as it stands in the ledger."""

    outcome: str
    ending: str
    problem: Problem | None
    summary: Summary | None = None


class Booking:
    """Books one outcome per tap; ``done(tap, result)`` is called when it stands in the ledger.

    ``stem`` tells a recording's path below ``ready/``; it may block.
    """

    def __init__(
        self,
        clerk: Clerk,
        stem: Callable[[Summary], str | None],
        unix_ns: Callable[[], int],
        done: Callable[[Tap, Result], None],
    ) -> None:
        self._clerk, self._stem, self._unix_ns, self._done = clerk, stem, unix_ns, done
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def refused(self, tap: Tap, problem: Problem) -> None:
        """A tap that could not be recorded: there is no sidecar."""
        self._begin(tap, Result("failed", Ending.REFUSED, problem), None)

    def published(self, tap: Tap, sidecar: bytes) -> None:
        """A tap whose recording is in ``ready/``. Twice is once."""
        try:
            summary = read_summary(sidecar)
        except msgspec.MsgspecError as error:
            log.error("worker sent a sidecar that cannot be read", tap=tap.id, error=str(error))
            problem = Problem(
                "unreadable_sidecar", "the worker's report of the recording could not be read", "a defect"
            )
            self._begin(tap, Result("degraded", tap.ending or Ending.STOPPED, problem), None)
            return
        result = Result(summary.outcome, summary.ending, summary.problem or None, summary)
        self._begin(tap, result, sidecar)

    def repaired(self, taps: Iterable[Tap], sidecars: Iterable[bytes]) -> None:
        """Of taps that were to go on nothing was left but their parts: rule C5 has ended them (rule D7)."""
        found = {read_summary(sidecar).recording_id: sidecar for sidecar in sidecars}
        for tap in taps:  # a recording may be of two
            sidecar = found.get(tap.recording_id)
            if sidecar is not None:
                self.published(tap, sidecar)

    def abandon(self) -> None:
        """Try no longer: the daemon goes."""
        for task in self._tasks.values():
            task.cancel()

    def _begin(self, tap: Tap, result: Result, sidecar: bytes | None) -> None:
        if tap.id not in self._tasks:
            self._tasks[tap.id] = asyncio.ensure_future(self._book(tap, result, sidecar))

    async def _book(self, tap: Tap, result: Result, sidecar: bytes | None) -> None:
        verb = partial(self._write, tap.id, result, sidecar, self._unix_ns())
        tries = 0
        while True:
            try:
                await self._clerk.do(verb)
                break
            except sqlite3.Error as error:
                pause_s = AGAIN_S[min(tries, len(AGAIN_S) - 1)]
                log.error("outcome not booked yet", tap=tap.id, error=str(error), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                tries += 1
        del self._tasks[tap.id]
        self._done(tap, result)
        _say(tap, result)

    def _write(self, tap_id: str, result: Result, sidecar: bytes | None, now_ns: int) -> None:
        """What the clerk's thread does."""
        ledger = self._clerk.ledger
        if sidecar is not None and result.summary is not None:
            ledger.book(sidecar, self._stem(result.summary), now_ns)
        ledger.end(tap_id, result.outcome, result.ending, result.problem, now_ns)  # no news if `book` did it


def _say(tap: Tap, result: Result) -> None:
    """Once per life, everything."""
    summary, problem = result.summary, result.problem
    log.info(
        "recording finished",
        tap=tap.id,
        recording=tap.recording_id,
        port=tap.port,
        outcome=result.outcome,
        ending=result.ending,
        file=summary.file if summary else None,
        seconds=summary.duration_s or None if summary else None,
        absent_frames=summary.absent_frames or None if summary else None,
        problem=problem.code if problem else None,
        **tap.counts._asdict(),
    )
