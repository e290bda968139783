"""What a power cut, or a service that died as a whole, left in spool (rule C5). Before any tap; twice is once.

A part that no living tap claims ends with its last logged commit: what lies behind it may be anything, so it is not
read. The parts themselves are not touched before their recording is published, so a repair that is killed begins again
with the same evidence.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from receiver.archive import commitlog, names, pauses
from receiver.archive.files import Files
from receiver.archive.finish import Facts, final_stem, finish, finished
from receiver.archive.gaps import Stretch
from receiver.archive.laying import Paces
from receiver.archive.names import DEFAULT_PATTERN, PartKey, Spooled, in_the_file
from receiver.archive.part import FRAME_OCTETS, LogKey
from receiver.archive.pauses import Paused
from receiver.archive.publish import publish
from receiver.archive.roll import read_segment, roll_rest
from receiver.archive.sidecar import (
    Channel,
    Digit,
    Draft,
    Ending,
    Noise,
    Problem,
    Reason,
    Sidecar,
    decode,
    decode_draft,
)


class Described(NamedTuple):
    """What a worker's notes tell of a recording, in frames of the part axes. ``pauses`` are told in those of channel
    ``pauses_of``."""

    channels: tuple[Channel, ...]
    pauses: tuple[Paused, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    dtmf: tuple[Digit, ...] = ()
    noise: tuple[Noise, ...] = ()
    paces: Paces = ()
    pauses_of: int = 0


Describe = Callable[[Draft, Sequence[bytes], Sequence[int]], Described]
Told = Callable[[str, Problem], None]
FAR: Final = 1 << 40  # frames, more than any recording has


@dataclass
class _Found:
    """All that lies in spool of one recording."""

    recording_id: str
    names: dict[str, Spooled] = field(default_factory=dict)

    def has(self, *kinds: str) -> bool:
        return any(spooled.kind in kinds for spooled in self.names.values())

    def part_keys(self) -> list[PartKey]:
        return sorted(PartKey(*spooled[1:]) for spooled in self.names.values() if spooled.kind == "part")


def repair(
    files: Files,
    living: Collection[str],
    describe: Describe,
    told: Told = lambda name, problem: None,
) -> list[Sidecar]:
    """Bring every recording in spool to its end that is not among the ``living``; return their sidecars.

    ``describe(draft, notes, channels)`` reads the worker's notes, by tap: what it knows of the channels that there are
    parts of (`PartKey`), in frames of the part axes. ``told(name, problem)`` is told what was left alone: files
    that are not ours, and recordings that the disk did not let finish (they stay for the next time).
    """
    repaired: list[Sidecar] = []
    reached: dict[LogKey, int] | None = None
    twins: dict[str, str] | None = None
    for found in _spooled(files, living, told):
        if not found.has("draft", "part", "segment", "json", "done"):
            told(found.recording_id, Problem("stray", f"Of {found.recording_id} there is no draft and no part.", ""))
            continue
        if reached is None or twins is None:
            reached, twins = _logs(files), _published(files)
        try:
            repaired.append(_Repair(files, found, reached, describe, told).run(twins.get(found.recording_id)))
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            said = f"Recording {found.recording_id} could not be finished: {error}"
            told(found.recording_id, Problem("not_repaired", said, "It stays in spool; the next start tries again."))
    for sidecar in repaired:  # last of all, so that a repair that was killed tells of all of them again
        files.unlink(names.done(sidecar.recording_id))
    return repaired


class _Repair:
    """One recording."""

    def __init__(self, files: Files, found: _Found, reached: dict[LogKey, int], describe: Describe, told: Told) -> None:
        self._files, self._found, self._reached = files, found, reached
        self._describe, self._told = describe, told
        self._id = found.recording_id

    def run(self, twin: str | None) -> Sidecar:
        sidecar = finished(self._files, self._id)
        if sidecar is None:
            sidecar = self._publish(twin)
        for name, spooled in self._found.names.items():
            if spooled.kind not in ("json", "done"):
                self._files.unlink(name)
        return sidecar

    def _publish(self, twin: str | None) -> Sidecar:
        if self._found.has("json"):
            final = decode(self._files.read(names.final(self._id)))
            return publish(self._files, final_stem(self._files, self._draft(), final), final)
        if twin is not None:  # what lies in spool is only unlinked
            octets = self._files.read(twin)
            self._files.write_durably(names.done(self._id), octets)
            return decode(octets)
        draft = self._draft()
        parts, frames = self._last(max(1, len(draft.channels)))
        notes = [self._notes(channel) for channel in range(max(1, len(draft.channels)))]
        known = self._describe(draft, notes, [part.channel for part in parts])
        anchor, anchors = _anchor(known.channels), _anchors(known.channels, len(parts), draft.sample_rate)
        if anchors:
            anchor = 0, min((each for each in anchors if each is not None), default=None)
        stretches = [*known.stretches, *self._cut_off(parts, frames)]
        paused = pauses.stretches(known.pauses, max(frames))
        told = [*stretches, *(it._replace(channel=known.pauses_of) for it in paused)]
        roll_rest(self._files, draft, parts, *anchor, told, self._believed, anchors, known.paces)
        return finish(
            self._files,
            Facts(
                draft=draft,
                parts=parts,
                frames=frames,
                anchor_frame=anchor[0],
                anchor_ns=anchor[1],
                first_packet_ns=None,
                ended_ns=self._ended(parts, frames, anchor, anchors, draft.sample_rate),
                ending=Ending.RECOVERED,
                channels=known.channels,
                stretches=tuple(stretches),
                dtmf=known.dtmf,
                noise=known.noise,
                pauses=known.pauses,
                pauses_of=known.pauses_of,
                faults=tuple(self._faults(parts, frames)),
                anchors=anchors,
                paces=known.paces,
            ),
        )

    def _draft(self) -> Draft:
        """The draft, or what the name of the files tells; one that cannot be read is kept in quarantine."""
        name = names.draft(self._id)
        try:
            return decode_draft(self._files.read(name))
        except FileNotFoundError:
            said = f"The draft of recording {self._id} is missing."
        except msgspec.MsgspecError as error:
            said = f"The draft of recording {self._id} cannot be read: {error}."
            self._files.rename(name, f"quarantine/{self._id}.draft")
        self._told(name, Problem("no_draft", said, "Its sidecar does not tell which tap it was; the ledger may know."))
        return Draft(recording_id=self._id, name=DEFAULT_PATTERN)

    def _last(self, channels: int) -> tuple[tuple[PartKey, ...], tuple[int, ...]]:
        """The last segment's parts, one for each channel, and up to which frame each may be believed."""
        keys = self._found.part_keys()
        woven = max((it.segment for it in self._found.names.values() if it.kind == "segment"), default=-1)
        last = max((key.segment for key in keys), default=0)
        if woven >= last:  # killed between the last roll and the sidecar: only descriptions are left of it
            segment = read_segment(self._files, self._id, woven)
            before = read_segment(self._files, self._id, woven - 1) if woven else None
            first, upto = before.upto if before else 0, segment.upto if segment else 0
            return (PartKey(self._id, 0, woven, first),), (upto,)
        there = {key.channel: key for key in keys if key.segment == last}
        numbers = in_the_file({*range(channels), *(key.channel for key in keys)})
        parts = tuple(there.get(channel, PartKey(self._id, channel, last, 0)) for channel in numbers)
        return parts, tuple(self._believed(part) for part in parts)

    def _notes(self, channel: int) -> bytes:
        try:
            octets = self._files.read(names.notes(self._id, channel))
        except FileNotFoundError:
            return b""
        return octets[: self._reached.get(commitlog.key_of(Spooled("notes", self._id, channel)), 0)]

    def _believed(self, part: PartKey) -> int:
        """One past the last frame of a part that a commit has covered: whole frames only."""
        key = commitlog.key_of(Spooled("part", part.recording_id, part.channel, part.segment, part.first_frame))
        lies = self._files.stat(part.name)
        octets = min(self._reached.get(key, 0), lies.octets if lies else 0)
        return part.first_frame + octets // FRAME_OCTETS

    def _cut_off(self, parts: Sequence[PartKey], frames: tuple[int, ...]) -> list[Stretch]:
        """What lies behind a part's last commit and before the end of the recording was lost by the restart."""
        stretches, numbers = [], {part.channel: number for number, part in enumerate(parts)}
        for number, end in enumerate(frames):
            if len(parts) == 1 or end > 0:  # of a channel that nothing is known of nothing can be said
                stretches.append(Stretch(0, FAR, number, Reason.RESTART))
        for part in self._found.part_keys():
            believed = self._believed(part) - part.first_frame
            stretches.append(Stretch(part.first_frame, believed, numbers.get(part.channel, 0), Reason.LOST))
        return stretches

    def _faults(self, parts: tuple[PartKey, ...], frames: tuple[int, ...]) -> Iterable[Problem]:
        """``empty`` would say that nobody sent. Octets that no commit covers are the evidence that somebody did."""
        seen = [self._files.stat(part.name) for part in parts]
        if parts[0].segment == 0 and max(frames) == 0 and any(lies and lies.octets for lies in seen):
            yield Problem(
                "lost_before_commit",
                "Sound had come, but the host or the service went down before the first of it was safe on the disk.",
                "Up to two seconds may be lost in that way.",
            )

    def _ended(
        self,
        parts: tuple[PartKey, ...],
        frames: tuple[int, ...],
        anchor: tuple[int, int | None],
        anchors: tuple[int | None, ...],
        rate: int,
    ) -> int | None:
        """UNIX time of the last frame that is left; where no anchor is known, of the last write."""
        known = [(at, end) for at, end in zip(anchors, frames, strict=False) if at is not None]
        if known:
            return max(at + end * 1_000_000_000 // rate for at, end in known)
        if anchor[1] is not None and max(frames) > parts[0].first_frame:
            return anchor[1] + (max(frames) - anchor[0]) * 1_000_000_000 // rate
        written = [lies.modified_ns for part in parts if (lies := self._files.stat(part.name))]
        return max(written, default=None)


def _anchor(channels: tuple[Channel, ...]) -> tuple[int, int | None]:
    """One frame of which the notes tell the wall time."""
    epochs = [epoch for channel in channels for stream in channel.streams for epoch in stream.epochs]
    for epoch in sorted(epochs, key=lambda epoch: epoch.frame):
        if isinstance(epoch.at, datetime):
            return epoch.frame, _unix_ns(epoch.at)
    return 0, None


def _anchors(channels: tuple[Channel, ...], parts: int, rate: int) -> tuple[int | None, ...]:
    """The wall time of frame 0 of each channel's part axis, as far as the notes tell; nothing where there is one."""
    if len(channels) != parts or parts == 1:
        return ()
    known = [_anchor((channel,)) for channel in channels]
    return tuple(None if at is None else at - frame * 1_000_000_000 // rate for frame, at in known)


def _unix_ns(at: datetime) -> int:
    since = at - datetime(1970, 1, 1, tzinfo=at.tzinfo)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def _spooled(files: Files, living: Collection[str], told: Told) -> list[_Found]:
    found: dict[str, _Found] = {}
    for name in files.listing("spool"):
        spooled = names.parse(name)
        if spooled is None:
            if not names.is_of_a_worker(name.removesuffix(".tmp")):
                told(name, Problem("foreign", f"{name} is not a file of tapdeck's.", "It was left alone."))
        elif spooled.recording_id not in living:
            found.setdefault(spooled.recording_id, _Found(spooled.recording_id)).names[name] = spooled
    return list(found.values())


def _logs(files: Files) -> dict[LogKey, int]:
    """What all workers' commit logs say: a recording may have had another worker in its last life."""
    reached: dict[LogKey, int] = {}
    for name in files.listing("spool"):
        owner = names.log_owner(name)
        if owner is not None:
            for key, octets in commitlog.read_log(files, owner).items():
                reached[key] = max(octets, reached.get(key, 0))
    return reached


def _published(files: Files) -> dict[str, str]:
    """The sidecars in ready/, by recording."""
    found: dict[str, str] = {}
    for name in files.listing("ready"):
        recording_id = names.recording_of(name)
        if recording_id and name.endswith(".json"):
            found.setdefault(recording_id, name)
    return found
