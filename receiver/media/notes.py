"""What a worker tells its finish, note by note (`receiver.media.journal`). A number stays what it is."""

from enum import IntEnum, unique


@unique
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
    PACE = 20
    REPORT = 21
    NAME = 22
    GOODBYE = 23
    DECODER = 30
