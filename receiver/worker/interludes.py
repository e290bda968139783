"""The pauses of a recording, out of its notes and of what the columns know better. Frames are those of the part.

And what the notes alone still tell of a recording whose columns are gone (rule C5).
"""

from typing import Any

from receiver.archive.pauses import Paused
from receiver.archive.repair import Described
from receiver.archive.sidecar import Draft
from receiver.media.columns import CLOCK_RATE, FAR, PAUSES, TURNS, NoteKind
from receiver.media.state import Records
from receiver.worker import story


def pauses(notes: Records, turns: int = 0, aside: Any = None, ticks: int = 1) -> tuple[Paused, ...]:
    """In order. ``turns`` and the ``aside`` are the tap's; without them (rule C5) the notes alone must do. ``ticks``:
    frames of the part for each of the row."""
    found: dict[int, Paused] = {}
    for note in notes:
        number = int(note["timestamp"])
        if note["kind"] == NoteKind.PAUSE:
            found[number] = Paused(int(note["frame"]), None, int(note["wall_ns"]), None)
        elif note["kind"] == NoteKind.RESUME and number in found:
            begun = found[number]
            end = int(note["frame"]) + int(note["frames"])
            found[number] = Paused(int(note["frame"]), end, begun.at_ns, int(note["wall_ns"]))
    if aside is not None:
        latest = (turns + 1) // 2
        found |= {number: _known(aside, number) for number in range(max(0, latest - PAUSES), latest)}
    return tuple(_in_the_part(found[number], ticks) for number in sorted(found))


def described(draft: Draft, octets: bytes) -> Described:
    """Rule C5; ``octets`` are its notes as they lie in spool."""
    return story.described(draft, octets)._replace(
        pauses=pauses(story.read(octets), ticks=draft.sample_rate // CLOCK_RATE)
    )


def _in_the_part(paused: Paused, ticks: int) -> Paused:
    frame, end = paused.frame, paused.end
    return paused._replace(frame=frame if frame == FAR else frame * ticks, end=None if end is None else end * ticks)


def _known(aside: Any, number: int) -> Paused:
    begin, end = 2 * number % TURNS, int(aside["pause_end"][number % PAUSES])
    goes_on = end == FAR
    return Paused(
        int(aside["pause_frame"][number % PAUSES]), None if goes_on else end,
        int(aside["turned_wall_ns"][begin]), None if goes_on else int(aside["turned_wall_ns"][begin + 1]),
    )  # fmt: skip
