"""Pause and resume: an instant that is told to the worker, kept in the ledger's seat, and told to who listens.

The instant is when it was asked for; packets are judged by when they arrived (`receiver.media.pauses`), so it matters
little when the worker hears of it, and a worker or a daemon that is started again is told all turns once more.
"""

from typing import Final

from receiver import link
from receiver.control import orders, sides
from receiver.control.changes import Changes
from receiver.control.means import Means
from receiver.control.taps import Tap

REMEMBERED: Final = 16  # turns that a worker may have missed; it remembers as many itself


class Pausing:
    """The clock is that of `Means`: in the daemon the machine's monotonic one, which the workers share."""

    def __init__(self, means: Means, changes: Changes) -> None:
        self._means, self._changes = means, changes

    async def ask(self, tap: Tap, paused: bool) -> None:
        """Pause a tap, and all of its recording, or let it go on, from now. Twice is once. Returns when the next daemon
        would know it, too.

        Raises ``sqlite3.Error`` where it cannot be kept: it holds all the same, as long as we live.
        """
        now_ns = self._means.clock_ns()
        for side in sides.of(tap):
            if side.paused is not paused:
                self._turn(side, side.turns + 1, now_ns)
                self._means.send(side.worker, orders.pausing(side), ())
                self._changes.turned(side)
        for side in sides.of(tap):
            await self._means.clerk.do(self._means.clerk.ledger.seat, side.id, orders.seat(side))

    def learn(self, tap: Tap, news: link.Happened) -> None:
        """A worker knows of turns that a daemon before us did not live to write down: they hold."""
        turns, at_ns = news.fields.get("turns"), news.fields.get("turned_ns")
        if isinstance(turns, int) and isinstance(at_ns, int) and turns > tap.turns:
            was_paused = tap.paused
            self._turn(tap, turns, at_ns)
            self._means.clerk.post(self._means.clerk.ledger.seat, tap.id, orders.seat(tap))
            if tap.paused is not was_paused:
                self._changes.turned(tap)

    @staticmethod
    def _turn(tap: Tap, turns: int, at_ns: int) -> None:
        before = tap.turned_ns if turns == tap.turns + 1 else []
        tap.turns, tap.turned_ns = turns, [*before, at_ns][-REMEMBERED:]
