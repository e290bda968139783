"""Kinds of notes: each has a number of its own, which fits the column."""

from receiver.media.columns import NOTE
from receiver.media.notes import NoteKind


def test_each_kind_has_its_own_number_and_none_is_that_of_a_hole() -> None:
    """A note that the disk did not take reads as zeros."""
    numbers = [int(kind) for kind in NoteKind.__members__.values()]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) > 0
    assert max(numbers) < 1 << 8 * NOTE["kind"].itemsize
