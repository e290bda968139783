"""The pauses of a recording, out of its notes and of what the columns know better. Frames are those of the part.

And what the notes alone still tell of a recording whose columns are gone (rule C5).
"""

from collections.abc import Sequence
from typing import Any

from receiver.archive.pauses import Paused
from receiver.archive.repair import Described
from receiver.archive.sidecar import Draft
from receiver.media.columns import CLOCK_RATE, FAR, PAUSES, TURNS, NoteKind
from receiver.media.state import Records
from receiver.worker import story


def pauses(notes: Records, turns: int = 0, aside: Any = None, ticks: int = 1) -> tuple[Paused, ...]:
    """In order. ``turns`` and the ``aside`` are the tap's; without them (rule C5) the notes alone must do. The notes
    are told in frames of the part; of the aside's ``ticks`` are one frame."""
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
        found |= {number: _known(aside, number, ticks) for number in range(max(0, latest - PAUSES), latest)}
    return tuple(found[number] for number in sorted(found))


def teller(anchors: Sequence[int | None]) -> int:
    """Which of a recording's taps tells its pauses: all are paused at once, and the one that was heard first knows in
    frames of all of them. ``anchors`` are when the first speech of each came."""
    heard = [(moment, number) for number, moment in enumerate(anchors) if moment is not None]
    return min(heard, default=(0, 0))[1]


def described(draft: Draft, octets: Sequence[bytes], channels: Sequence[int]) -> Described:
    """Rule C5; ``octets`` are the notes of its taps as they lie in spool, ``channels`` those of its parts."""
    notes = [story.read(told) for told in octets][: max(1, sum(c < len(octets) for c in channels))]
    of = teller([_heard_wall_ns(each) for each in notes])
    told = pauses(story.in_the_part(notes[of], draft.sample_rate // CLOCK_RATE))
    return story.described(draft, octets, channels)._replace(pauses=told, pauses_of=of)


def _heard_wall_ns(notes: Records) -> int | None:
    """When the first speech of a tap came, as far as its notes tell."""
    told = [int(note["wall_ns"]) for note in notes if note["kind"] == NoteKind.EPOCH and note["channel"] == 0]
    return min(told, default=None)


def _known(aside: Any, number: int, ticks: int) -> Paused:
    begin, end = 2 * number % TURNS, int(aside["pause_end"][number % PAUSES])
    goes_on, frame = end == FAR, int(aside["pause_frame"][number % PAUSES])
    return Paused(
        frame if frame == FAR else frame * ticks, None if goes_on else end * ticks,
        int(aside["turned_wall_ns"][begin]), None if goes_on else int(aside["turned_wall_ns"][begin + 1]),
    )  # fmt: skip
