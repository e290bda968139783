"""What the loss and the return of the relay's socket mean for our own taps (rules D1, D6). Pure.

A tap is media between the switch and our port; it most likely goes on while the control socket is away, so recordings
go on as well. What is lost is the relay's word. When it is back, four things are true within the same turn:

1. Topics are asked for again (`receiver.control.session`).
2. What the relay repeats of events that were missed is heard as always; it ends what is over.
3. Stops that could not be said are said now (`Debts`). To one that the relay does not know any more it answers 404,
   and that is as good.
4. Of what nothing is said, nothing is known: the relay has no question for "does this tap still run?" that would not
   change it. Silence counts again, as for a tap that nobody speaks for: one that was silent for longer than
   ``silence_timeout_s`` already ends at once, one that is heard goes on.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from receiver.control.taps import Tap, Word

MOST_DEBTS: Final = 65_536
"""Stops that are kept for the relay's return. The oldest are let go of: their calls are long over."""


def fell(taps: Iterable[Tap]) -> None:
    """The socket is away: who said ``tapping`` cannot say ``finished`` now."""
    for tap in taps:
        if tap.word in (Word.TAPPING, Word.DOUBTFUL):
            tap.word = Word.AWAY


def returned(taps: Iterable[Tap]) -> list[Tap]:
    """The socket is back: what was said meanwhile may be lost. Returns the taps of which that is so."""
    doubtful = [tap for tap in taps if tap.word is Word.AWAY]
    for tap in doubtful:
        tap.word = Word.DOUBTFUL
    return doubtful


class Debt(NamedTuple):
    """A stop that the relay must still be told."""

    control_id: str
    call_id: str
    node_id: str


class Debts:
    """Stops that could not be said, each once, oldest first."""

    def __init__(self, most: int = MOST_DEBTS) -> None:
        self._most = most
        self._owed: dict[str, Debt] = {}

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self, debt: Debt) -> None:
        """Keep one."""
        while len(self._owed) >= self._most:
            del self._owed[next(iter(self._owed))]
        self._owed[debt.control_id] = debt

    def take(self) -> list[Debt]:
        """All of them; they are not owed any more, until somebody says so again."""
        owed = list(self._owed.values())
        self._owed.clear()
        return owed
