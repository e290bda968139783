"""The pauses of a recording, out of its notes and of what the columns know better. Frames are those of the part.

And what the notes alone still tell of a recording whose columns are gone (rule C5).
"""

from typing import Any

from receiver.archive.pauses import Paused
from receiver.archive.repair import Described
from receiver.archive.sidecar import Draft
from receiver.media.columns import FAR, PAUSES, TURNS, NoteKind
from receiver.media.state import Records
from receiver.worker import story


def pauses(notes: Records, tap: Any = None) -> tuple[Paused, ...]:
    """In order. ``tap`` is its record; without it (rule C5) the notes alone must do."""
    found: dict[int, Paused] = {}
    for note in notes:
        number = int(note["timestamp"])
        if note["kind"] == NoteKind.PAUSE:
            found[number] = Paused(int(note["frame"]), None, int(note["wall_ns"]), None)
        elif note["kind"] == NoteKind.RESUME and number in found:
            begun = found[number]
            end = int(note["frame"]) + int(note["frames"])
            found[number] = Paused(int(note["frame"]), end, begun.at_ns, int(note["wall_ns"]))
    if tap is not None:
        latest = (int(tap["turns"]) + 1) // 2
        found |= {number: _known(tap, number) for number in range(max(0, latest - PAUSES), latest)}
    return tuple(found[number] for number in sorted(found))


def described(draft: Draft, octets: bytes) -> Described:
    """Rule C5; ``octets`` are its notes as they lie in spool."""
    notes = story.read(octets)
    return Described(
        story.described(draft, octets), pauses(notes), tuple(story.stretches(notes)), story.digits(notes),
        story.noises(notes),
    )  # fmt: skip


def _known(tap: Any, number: int) -> Paused:
    begin, end = 2 * number % TURNS, int(tap["pause_end"][number % PAUSES])
    goes_on = end == FAR
    return Paused(
        int(tap["pause_frame"][number % PAUSES]), None if goes_on else end,
        int(tap["turned_wall_ns"][begin]), None if goes_on else int(tap["turned_wall_ns"][begin + 1]),
    )  # fmt: skip
