"""What notes tell: the kinds of `receiver.media.columns.NOTE`."""

from enum import IntEnum


class NoteKind(IntEnum):
    """What a note in ``spool/<recording>.notes`` tells."""

    EPOCH = 1
    STREAM = 2
    SOURCE = 3
    STRETCH = 4
    ROLL = 5
    KEY = 6
    NOISE = 7
    PAUSE = 10
    RESUME = 11
    DECODER = 20
