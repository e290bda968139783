"""What comes between speech and is none: keys that were pressed (rule A8), levels of comfort noise (rule A7).

A key is known by its timestamp, which is its start: its packets, their repetitions and its three last ones tell one key
with a growing duration. It is over when one of the last ones comes; where none does, when another key begins, after a
second without any, or at the end. It is told a moment later, because what arrived behind the instant of a pause must
not be told, and the order for it takes its way. The last few keys of a stream lie in its columns. A note that tells a
key again tells a longer duration. A candidate's keys wait until it is admitted.

A key is of the recording if it began, and was heard of, outside a pause. Of one that was held over a pause's beginning
what came before is told; of one that had begun when the pause ended, nothing, though its last packets come behind it.
"""

from typing import Any, NamedTuple

import numpy as np

from receiver.media import lines
from receiver.media.columns import KEYS, NS_PER_SAMPLE, Flaw, NoteKind, Role
from receiver.media.journal import Journal
from receiver.media.state import State
from receiver.media.timeline import Timeline
from receiver.wire.events import DIGITS, LONGEST

OPEN, ENDED, TOLD = 1, 2, 3
NOTE_NS, NOTES_AT_ONCE = 50_000_000, 40  # of one stream: the log is everybody's
PATIENCE_NS = 1_000_000_000  # a key is repeated every 20 to 50 ms while it is held
ORDER_NS = 200_000_000  # within it an order to pause has come; it takes a few ms


class Pressed(NamedTuple):
    """A key that is told for the first time. ``frames``: how long it was held, as far as is known."""

    tap: int
    digit: str
    frame: int
    frames: int


class Keys:
    """Follows the keys and the comfort noise of one stream; changes the columns of the present turn."""

    def __init__(self, state: State, timeline: Timeline, journal: Journal) -> None:
        self._state, self._timeline, self._journal = state, timeline, journal

    def press(
        self, stream: int, timestamp: int, event: int, ended: bool, duration: int, arrival_ns: int
    ) -> list[Pressed]:
        """One packet of an event; returns the keys that are told by it. Other events than keys are let pass."""
        if event >= len(DIGITS):
            return []
        record, aside = self._records(stream)
        keys = aside["keys"]
        aside["key_ns"] = max(int(aside["key_ns"]), arrival_ns)
        k = self._find(keys, timestamp, event)
        if k is None:
            k = int(np.argmin(np.where(keys["state"] > 0, keys["timestamp"], np.iinfo(np.int64).min)))
            if keys[k]["state"] and timestamp < keys[k]["timestamp"]:
                return []  # older than all that are remembered
            told = self._tell(record, aside, k) if keys[k]["state"] in (OPEN, ENDED) else []
            keys[k] = timestamp, self._frame(record, timestamp), event, duration, OPEN, arrival_ns, arrival_ns
        else:
            told = []
        key = keys[k]
        duration += timestamp - int(key["timestamp"])
        longer = duration > key["duration"]
        key["heard_ns"] = max(int(key["heard_ns"]), arrival_ns)
        key["duration"] = max(int(key["duration"]), duration)
        if ended and key["state"] == OPEN:
            key["state"] = ENDED
        newer = (keys["state"] == OPEN) & (keys["timestamp"] < keys["timestamp"].max())
        keys["state"][newer] = ENDED
        if key["state"] == TOLD and longer and record["role"] != Role.PROBATION:
            self._note(record, aside, key)
        return told + self.settle(stream, arrival_ns)

    def settle(self, stream: int, now_ns: int | None = None) -> list[Pressed]:
        """Tell the keys that are over, and those that nothing was heard of for a second; without ``now_ns`` all: the
        end."""
        record, aside = self._records(stream)
        if record["role"] == Role.PROBATION:
            return []
        state = aside["keys"]["state"]
        over = (state == OPEN) | (state == ENDED)
        if now_ns is not None:
            over &= now_ns - aside["keys"]["heard_ns"] > np.where(state == ENDED, ORDER_NS, PATIENCE_NS)
        which = np.flatnonzero(over)
        order = which[np.argsort(aside["keys"]["timestamp"][which], kind="stable")]
        return [pressed for k in order.tolist() for pressed in self._tell(record, aside, k)]

    def withhold(self, stream: int, timestamp: int, arrival_ns: int) -> None:
        """A packet of a key that is none of the recording: it began inside a pause, or came inside one."""
        aside = self._state.now.streams_aside[stream]
        known = arrival_ns - int(aside["withheld_ns"]) <= PATIENCE_NS
        aside["withheld"] = max(int(aside["withheld"]), timestamp) if known else timestamp
        aside["withheld_ns"] = max(int(aside["withheld_ns"]), arrival_ns)

    def is_withheld(self, stream: int, timestamp: int, arrival_ns: int) -> bool:
        """Whether a packet tells no younger key than one of which packets were withheld a short while ago."""
        aside = self._state.now.streams_aside[stream]
        if not aside["withheld_ns"] or arrival_ns - int(aside["withheld_ns"]) > PATIENCE_NS:
            return False  # a sender's clock may have jumped back since
        on = timestamp - int(aside["withheld"])
        return on <= 0 or on % LONGEST == 0

    def pause(self, stream: int, at_ns: int) -> None:
        """A pause began at an instant that may be past: of what arrived since then nothing is told."""
        keys = self._state.now.streams_aside["keys"][stream]
        for k, key in enumerate(keys):
            if key["state"] not in (OPEN, ENDED) or key["heard_ns"] < at_ns:
                continue
            held = (at_ns - int(key["born_ns"])) // NS_PER_SAMPLE
            if held <= 0:
                self.withhold(stream, int(key["timestamp"]), int(key["heard_ns"]))
                keys[k] = np.zeros((), keys.dtype)
            else:
                key["duration"], key["state"] = min(int(key["duration"]), held), ENDED

    def waiting(self) -> list[int]:
        """Streams with keys that are not told yet."""
        now = self._state.now
        pressed = np.flatnonzero((now.streams_aside["key_ns"] > 0) & (now.streams["role"] >= Role.LIVE))
        states = now.streams_aside["keys"]["state"][pressed]
        found: list[int] = pressed[((states == OPEN) | (states == ENDED)).any(axis=1)].tolist()
        return found

    def noise(self, stream: int, timestamp: int, level: int, arrival_ns: int) -> None:
        """Comfort noise of a level in −dBov. Told where it changes; one that was overtaken tells the newest again."""
        record, aside = self._records(stream)
        if record["role"] == Role.PROBATION or not lines.spoken(record):
            return
        frame = self._frame(record, timestamp)
        aside["key_ns"] = max(int(aside["key_ns"]), arrival_ns)
        known, newest, newest_level = aside["noise_known"], int(aside["noise_frame"]), int(aside["noise_level"])
        if known and frame < newest:
            self._tell_noise(record, aside, frame, level)
            if level != newest_level:
                self._tell_noise(record, aside, newest, newest_level)
            return
        if not known or level != newest_level:
            self._tell_noise(record, aside, frame, level)
        aside["noise_known"], aside["noise_frame"], aside["noise_level"] = 1, frame, level

    def shift(self, aside: Any, row: int, delta: int) -> None:
        """A candidate's keys, from its own row, where frames are positions, to the tap's."""
        for key in aside["keys"]:
            key["frame"] = self._timeline.frame(row, int(key["frame"]) + delta)

    # -- inside

    def _records(self, stream: int) -> tuple[Any, Any]:
        return self._state.now.streams[stream], self._state.now.streams_aside[stream]

    @staticmethod
    def _find(keys: Any, timestamp: int, event: int) -> int | None:
        for k in range(KEYS):
            start, _, code, duration, state, *_ = keys[k].tolist()
            on = timestamp - start
            if state and code == event and 0 <= on <= duration and on % LONGEST == 0:
                return k
        return None

    def _frame(self, record: Any, timestamp: int) -> int:
        """Where it began; before any speech there is no time line, and it is told at the beginning."""
        if not lines.spoken(record):
            return 0
        return max(0, self._timeline.frame(int(record["row"]), timestamp + int(record["offset"])))

    def _tell(self, record: Any, aside: Any, k: int) -> list[Pressed]:
        if record["role"] == Role.PROBATION:
            return []
        key = aside["keys"][k]
        key["state"] = TOLD
        self._note(record, aside, key)
        return [Pressed(int(record["tap"]), DIGITS[int(key["event"])], int(key["frame"]), int(key["duration"]))]

    def _note(self, record: Any, aside: Any, key: Any) -> None:
        tap = int(record["tap"])
        if not self._may_note(aside):
            self._state.touch("taps", tap)
            self._state.now.taps["flaws"][tap] |= Flaw.NOTES_LOST
            return
        self._journal.note(
            tap, NoteKind.KEY, int(record["row"]), ssrc=record["ssrc"], frame=key["frame"], frames=key["duration"],
            timestamp=key["timestamp"], value=key["event"],
        )  # fmt: skip

    def _tell_noise(self, record: Any, aside: Any, frame: int, level: int) -> None:
        if self._may_note(aside):
            tap, row = int(record["tap"]), int(record["row"])
            self._journal.note(tap, NoteKind.NOISE, row, ssrc=record["ssrc"], frame=frame, value=level)

    @staticmethod
    def _may_note(aside: Any) -> bool:
        """So many notes at once and 20 a second are more than fingers can do."""
        now_ns = int(aside["key_ns"])
        due_ns = max(int(aside["note_ns"]), now_ns - NOTES_AT_ONCE * NOTE_NS)
        if due_ns > now_ns:
            return False
        aside["note_ns"] = due_ns + NOTE_NS
        return True
