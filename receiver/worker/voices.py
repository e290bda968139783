"""Which channels a recording has: one for each of its taps, then those that SSRCs have beside others (rule A12).

A channel is a row of the ring while it grows. In spool it has a number of its own, which says whose it is; in the file
the taps' own come first, in their order, then the further ones in the order in which they came to be.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from receiver.archive.gaps import Stretch
from receiver.archive.names import MOST_TAPS
from receiver.media.state import Records, State
from receiver.worker import story
from receiver.worker.shelf import Shelved


def rows(state: State, slots: Sequence[int]) -> list[int]:
    """The rows of a recording whose taps these are, as its channels lie in the file; committed columns."""
    live = state.live
    further = np.flatnonzero((live.rows["further"] > 0) & np.isin(live.rows["tap"], slots)).tolist()
    side = {slot: number for number, slot in enumerate(slots)}
    beside = sorted(further, key=lambda row: (int(live.rows["further"][row]), side[int(live.rows["tap"][row])]))
    return [*live.taps["row"][list(slots)].tolist(), *beside]


def stretches(notes: Records, shelved: Shelved, numbers: Mapping[int, int]) -> Iterator[Stretch]:
    """Why frames of a tap's channels are absent. ``numbers``: from a part's channel to that of the file."""
    for further in shelved.strands:
        number = numbers.get(shelved.part.channel + MOST_TAPS * further)
        if number is not None:
            yield from story.stretches(story.own(notes, further), number)
    for stretch in shelved.unwritten:
        if stretch.channel in numbers:
            yield stretch._replace(channel=numbers[stretch.channel])
