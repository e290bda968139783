"""From frames of the part axes to frames of the recording: what a sidecar tells of marks, pauses and epochs. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from receiver.archive import axes, pauses
from receiver.archive.axes import Lanes
from receiver.archive.gaps import Runs
from receiver.archive.pauses import Paused
from receiver.archive.sidecar import Channel, Digit, Epoch, Noise, Pause

Mark = TypeVar("Mark", Digit, Noise)


@dataclass(frozen=True)
class Placing:
    """Where a recording's frames come from: its frame 0 and one past its last one on the shared axis, the lanes of its
    segments, and what was left out."""

    begins: int = 0
    stop: int = 0
    segments: tuple[Lanes, ...] = ()
    left_out: Runs = field(default_factory=lambda: pauses.NONE)

    def marks(self, marks: Iterable[Mark]) -> tuple[Mark, ...]:
        """What lies before the first sound is told at frame 0, what lies in frames left out at the end of these."""

        def placed(mark: Mark) -> Mark:
            frame = pauses.place(axes.shared(mark.channel, mark.frame, self.segments), self.left_out) - self.begins
            return msgspec.structs.replace(mark, frame=max(0, frame))

        return tuple(sorted(map(placed, marks), key=lambda mark: mark.frame))

    def pauses(self, of: int, known: Iterable[Paused], cut: bool) -> tuple[Pause, ...]:
        """The rows of the sidecar; the pauses are told in frames of channel ``of``."""
        there = [pause.moved(lambda frame: axes.shared(of, frame, self.segments)) for pause in known]
        return pauses.in_sidecar(there, self.left_out, self.begins, self.stop, cut)

    def channel(self, number: int, channel: Channel, rate: int) -> Channel:
        """Its epochs from the recording's frame 0 on. One that began before is told at frame 0, on its line."""

        def placed(epoch: Epoch) -> Epoch:
            frame = axes.shared(number, epoch.frame, self.segments)
            epoch = pauses.along(msgspec.structs.replace(epoch, frame=frame), max(0, self.begins - frame), rate)
            return msgspec.structs.replace(epoch, frame=pauses.place(epoch.frame, self.left_out) - self.begins)

        streams = [
            msgspec.structs.replace(stream, epochs=tuple(placed(epoch) for epoch in stream.epochs))
            for stream in pauses.resumed(channel.streams, self.left_out, rate)
        ]
        redecoded = channel.redecoded
        if isinstance(redecoded, tuple):
            redecoded = tuple(
                msgspec.structs.replace(it, frame=max(0, pauses.place(
                    axes.shared(number, it.frame, self.segments), self.left_out) - self.begins))
                for it in redecoded
            )  # fmt: skip
        return msgspec.structs.replace(channel, streams=tuple(streams), redecoded=redecoded)
