"""Control's word on pauses, brought into the columns; where these know more than control does, control is told."""

from collections.abc import Callable, Sequence

from receiver import link
from receiver.media.columns import TURNS
from receiver.media.pauses import Pauses
from receiver.media.state import State
from receiver.worker.intake import clocks


class Pausing:
    """Takes turns of open taps, as `link.Open` and `link.Pause` tell them. Twice is once."""

    def __init__(self, state: State, pauses: Pauses, say: Callable[[link.ToControl], None]) -> None:
        self._state, self._pauses, self._say = state, pauses, say

    def take(self, told: link.Open | link.Pause) -> None:
        """In a turn of its own; the tap is open. Recording goes on, or stops, at the instants that control says."""
        now_ns, offset_ns = clocks()
        before = int(self._state.live.taps["turns"][told.slot])
        for at_ns in _missing(before, told.turns, told.turned_ns):
            at_ns = min(at_ns, now_ns)
            self._pauses.turn(told.slot, at_ns, at_ns + offset_ns)
        self._state.commit()
        if before > told.turns:
            self._tell(told)

    def _tell(self, told: link.Open | link.Pause) -> None:
        turns = int(self._state.live.taps["turns"][told.slot])
        last_ns = int(self._state.live.taps_aside["turned_ns"][told.slot, (turns - 1) % TURNS])
        fields: dict[str, str | int | float | bool | None] = {"turns": turns, "turned_ns": last_ns}
        self._say(link.Happened(told.slot, told.recording_id, "turned", sum(clocks()), fields))


def _missing(known: int, turns: int, turned_ns: Sequence[int]) -> Sequence[int]:
    """The instants of the turns from number ``known`` on. Where some are not told any more, the tap is taken to have
    been paused from the first of them on, as far as the numbers let it."""
    new = turned_ns[max(0, len(turned_ns) - max(0, turns - known)) :]
    untold = max(0, turns - known) - len(new)
    first_ns = new[0] if new else 0
    if untold and known % 2 == 0:  # a pause of unknown length comes first
        return [0, *([first_ns] * (untold - 1)), *new]
    return [first_ns] * untold + list(new)
