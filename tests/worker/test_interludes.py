"""A recording's pauses are told from its notes, and better from its columns where these are left."""

import numpy as np

from receiver.archive.pauses import Paused
from receiver.archive.sidecar import Channel, Draft
from receiver.media.columns import FAR, NOTE, TAP_ASIDE, NoteKind
from receiver.worker.interludes import described, pauses


def notes(*told: tuple[NoteKind, int, int, int, int]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    found = np.zeros(len(told), NOTE)
    for note, (kind, number, frame, frames, wall_ns) in zip(found, told, strict=True):
        note["kind"], note["timestamp"], note["frame"], note["frames"] = kind, number, frame, frames
        note["wall_ns"] = wall_ns
    return found


def test_notes_alone_tell_of_pauses_also_of_one_that_never_ended() -> None:
    told = notes(
        (NoteKind.EPOCH, 0, 5, 0, 1), (NoteKind.PAUSE, 0, 100, 0, 11), (NoteKind.RESUME, 0, 100, 60, 12),
        (NoteKind.PAUSE, 1, 300, 0, 13),
    )  # fmt: skip
    assert pauses(told) == (Paused(100, 160, 11, 12), Paused(300, None, 13, None))


def test_of_two_notes_the_later_holds_and_the_columns_hold_before_both() -> None:
    aside = np.zeros((), TAP_ASIDE)
    aside["turned_wall_ns"][:3] = 11, 12, 13
    aside["pause_frame"][:2], aside["pause_end"][:2] = (90, 300), (170, FAR)
    told = notes((NoteKind.PAUSE, 0, 100, 0, 11), (NoteKind.RESUME, 0, 100, 60, 12), (NoteKind.RESUME, 0, 95, 70, 12))
    assert pauses(told) == (Paused(95, 165, 11, 12),)
    assert pauses(told, 3, aside) == (Paused(90, 170, 11, 12), Paused(300, None, 13, None))


def test_a_tap_that_never_was_paused_has_none() -> None:
    assert pauses(notes(), 0, np.zeros((), TAP_ASIDE)) == ()


def test_c5_the_tap_that_was_heard_first_tells_of_the_pauses_of_both() -> None:
    def told(heard_ns: int, frame: int) -> bytes:
        found = notes((NoteKind.EPOCH, 0, 3_200, 0, heard_ns), (NoteKind.PAUSE, 0, frame, 0, 9))
        return bytes(found.tobytes())

    draft = Draft(recording_id="r", name="n", channels=(Channel(party="speak"), Channel(party="listen")))
    known = described(draft, [told(7, 111), told(5, 222)], [0, 1])
    assert (known.pauses, known.pauses_of) == ((Paused(222, None, 9, None),), 1)
    known = described(draft, [told(7, 111), told(5, 222)], [0])
    assert (known.pauses, known.pauses_of) == ((Paused(111, None, 9, None),), 0)
