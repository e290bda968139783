"""A recording of layout ``stereo`` is two taps, one for each party, that begin together and end together. Pure.

Each side has a port, a row in the ledger and a life of its own (`receiver.control.taps`). What one side meets alone
(nobody sends, the relay refuses it or says that it is over) ends that side: it is ``finishing`` and waits, its channel
is silence from there on. What is said of the recording (a stop, the end of the call) ends both. The worker is told once
every side has ended; then all of them have the same outcome.
"""

from collections.abc import Sequence
from typing import Final

from receiver import link
from receiver.control import orders
from receiver.control.taps import FINAL, Ending, State, Tap, Wish
from receiver.ledger.rows import Problem

STEREO: Final = "stereo"
PARTIES: Final = ("speak", "listen")
"""Left and right."""
ALONE: Final = frozenset({Ending.REFUSED, Ending.NO_PACKETS, Ending.SILENCE, Ending.RELAY_FINISHED})
"""Endings of one side that say nothing of the other."""
_SILENT: Final = frozenset({Ending.REFUSED, Ending.NO_PACKETS})


def wishes(wish: Wish) -> list[Wish]:
    """The taps that one wish asks for, by their channels."""
    if wish.layout != STEREO:
        return [wish]
    return [wish._replace(direction=party) for party in PARTIES]


def of(tap: Tap) -> tuple[Tap, ...]:
    """All taps of this one's recording."""
    return tap.sides or (tap,)


def ended_by(tap: Tap, ending: Ending) -> tuple[Tap, ...]:
    """The taps that end when this one does so."""
    return (tap,) if ending in ALONE else of(tap)


def all_closed(tap: Tap) -> bool:
    """Whether the worker may be told: every side has ended, and where the relay was asked to stop it, it has."""
    return all(side.closed or side.state in FINAL for side in of(tap))


def closing(tap: Tap) -> link.Close:
    """The order to end a recording, for the reason of the side that was heard to the last."""
    if not tap.sides:
        return orders.closing(tap)
    ended = [side for side in tap.sides if side.state is State.FINISHING] or [tap]
    heard = [side for side in ended if side.ending not in _SILENT]
    last = max(heard or ended, key=lambda side: side.since_ns)
    problem = last.problem
    if not heard and len(ended) > 1:
        problem = together(ended)
    faults = [
        _told(Problem(side.problem.code, f"The tap of {side.wish.direction} was refused: {side.problem.message}.",
                      side.problem.hint))
        for side in ended if heard and side.ending == Ending.REFUSED and side.problem
    ]  # fmt: skip
    faults += [
        _told(Problem("socket_lost", f"The socket of {side.wish.direction} was lost in a restart, and what came then.",
                      "See FileDescriptorStoreMax of the unit."))
        for side in tap.sides if side.socket_lost
    ]  # fmt: skip
    return link.Close(
        last.slot, last.recording_id, last.ending or Ending.STOPPED, _told(problem) if problem else None, faults
    )


def together(ended: Sequence[Tap]) -> Problem | None:
    """What is said of a recording none of whose sides was heard."""
    told = [(side.wish.direction, side.problem) for side in ended if side.problem]
    if not told:
        return None
    _, first = told[0]
    return Problem(first.code, "; ".join(f"{party}: {problem.message}" for party, problem in told), first.hint)


def is_first_to_end(tap: Tap) -> bool:
    """Whether the recording's outcome is news, or was told with another side."""
    return not any(side.outcome for side in of(tap) if side is not tap)


def join(taps: Sequence[Tap]) -> None:
    """Make taps of one recording know each other, by their channels."""
    for tap in taps:
        tap.sides = tuple(taps) if len(taps) > 1 else ()


def _told(problem: Problem) -> dict[str, str]:
    return {"code": problem.code, "message": problem.message, "hint": problem.hint}
