"""A long recording becomes several files in a row (rule C7): what ended of it is published while the rest goes on.

``<id>.<segment>.segment`` in spool describes a file that is woven; while its sound still lies in spool too, it is not
yet published. The sidecar at the end lists them all.
"""

import contextlib
import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType

from receiver.archive import axes, names, pauses
from receiver.archive.axes import Lane, Lanes
from receiver.archive.encoding import forms
from receiver.archive.files import Files
from receiver.archive.gaps import Stretch, explain, in_order, merge, merged
from receiver.archive.laying import Paces, lay
from receiver.archive.names import PartKey
from receiver.archive.publish import Content, name_taken, place
from receiver.archive.sidecar import PCM16, Draft, File, Gap, Problem, Reason, encode, moment
from receiver.archive.weave import Woven, opened, weave


class Segment(Struct, frozen=True, kw_only=True):
    """One file of a recording, as its finish will tell of it. Frames count from frame 0 of the recording.

    ``upto`` is the frame of the shared axis behind its last one; ``begins`` the one that is frame 0 of the recording,
    absent as long as nothing came. ``lanes`` tell where its channels' parts lie on that axis; ``left_out`` are runs of
    it, of this file and those before (a pause).
    """

    upto: int
    begins: int | UnsetType = UNSET
    started_at: datetime | UnsetType = UNSET
    stem: str = ""
    file: File | None = None
    gaps: tuple[Gap, ...] = ()
    problem: Problem | None = None
    lanes: tuple[Lane, ...] = ()
    left_out: tuple[tuple[int, int], ...] = ()


class Sound(Struct, frozen=True):
    """One segment woven into spool: ``woven`` is None when there is no sample in it and none came before."""

    woven: Woven | None
    gaps: tuple[Gap, ...]  # frames from frame 0 of the recording
    missing_frames: int  # that should lie in the parts and do not
    left_out: tuple[tuple[int, int], ...] = ()  # runs of the part axis, of the segments before, too


def sound_of(
    files: Files,
    draft: Draft,
    parts: Sequence[PartKey],
    lanes: Lanes,
    upto: int,
    believed: Sequence[int],
    stretches: Iterable[Stretch],
    begins: int | None,
    behind: Reason = Reason.NOT_SENT,
    left_out: Sequence[tuple[int, int]] = (),
) -> Sound:
    """Weave one segment's parts, which lie in these lanes, up to frame ``upto`` of the shared axis.

    ``believed``: one past the last frame that each part should hold; what is missing of it is a ``write_failed``.
    ``begins``: the recording's frame 0 if an earlier segment had it, else it is looked for here (rule A2). Frames of
    ``stretches`` are those of the part axes. ``behind`` a channel's end, beside others, is absent for this reason.
    ``left_out`` tells which frames the segments before left out (a pause that is cut).
    """
    target = names.woven(parts[0].recording_id, parts[0].segment)
    span = axes.begin(lanes), upto
    stretches = axes.moved(stretches, lanes)
    ends = [lane.end(last) for last, lane in zip(believed, lanes, strict=True)]
    with opened(files, parts, believed, lanes) as tracks:
        short = [
            Stretch(track.stop, ends[channel] - track.stop, channel, Reason.WRITE_FAILED)
            for channel, track in enumerate(tracks)
            if track.stop < ends[channel]
        ]
        missing = sum(stretch.frames for stretch in short)
        if begins is not None and span[0] >= upto:
            return Sound(None, (), missing)
        wanted = forms(draft.encoding, len(parts), draft.sample_rate, [it.codec for it in draft.channels])
        told = [*short, *stretches]
        paused = pauses.inside(told, span) if draft.pause_as == pauses.CUT else None
        woven = weave(files, target, tracks, span, draft.sample_rate, begins is None, forms=wanted, paused=paused)
    if woven is None:
        return Sound(None, (), missing)
    shift = woven.begins if begins is None else begins
    told = [*_quiet(parts, woven, ends, behind), *short, *stretches]
    gone = np.concatenate((np.array(left_out, np.int64).reshape(-1, 2), woven.left_out))
    listed = [explain(absent, channel, told) for channel, absent in enumerate(woven.absent)]
    gaps = in_order([pauses.closed_up(rows, gone, shift) for rows in listed])
    return Sound(woven, gaps, missing, tuple((first, stop) for first, stop in gone.tolist()))


def _quiet(parts: Sequence[PartKey], woven: Woven, ends: Sequence[int], behind: Reason) -> Iterator[Stretch]:
    """What a channel has beside others behind its end, and before it was ever heard: that nobody sent."""
    stop = woven.begins + woven.frames
    for channel, (key, absent, end) in enumerate(zip(parts, woven.absent, ends, strict=True)):
        if len(parts) > 1 and end < stop:
            yield Stretch(max(end, woven.begins), stop - max(end, woven.begins), channel, behind)
        if len(parts) > 1 and not key.first_frame and len(absent) and absent[0, 0] == woven.begins:
            heard = merged(absent)[0, 1]
            yield Stretch(woven.begins, int(heard) - woven.begins, channel, Reason.NOT_SENT)


def read_segment(files: Files, recording_id: str, index: int) -> Segment | None:
    """Return the description of a woven segment; None if it is not woven yet."""
    try:
        return msgspec.json.decode(files.read(names.segment(recording_id, index)), type=Segment)
    except FileNotFoundError:
        return None


def started(rate: int, begins: int, anchor_frame: int, anchor_ns: int | None) -> datetime | UnsetType:
    """Return the wall time of the recording's frame 0, if that of any frame is known."""
    return UNSET if anchor_ns is None else moment(anchor_ns + (begins - anchor_frame) * 1_000_000_000 // rate)


def stem_of(draft: Draft, *times: datetime | UnsetType) -> str:
    """Return the recording's name under ready/, without suffix; it tells the first of the times that is known."""
    known = next((time for time in (*times, draft.requested_at) if isinstance(time, datetime)), moment(0))
    return names.render(draft.name, known, draft.recording_id, draft.tap_id or "", draft.call_id or "")


def roll(
    files: Files,
    draft: Draft,
    parts: Sequence[PartKey],
    ends: int | Sequence[int],
    anchor_frame: int,
    anchor_ns: int | None,
    stretches: Iterable[Stretch] = (),
    believed: Sequence[int] | None = None,
    anchors: Sequence[int | None] = (),
    paces: Paces = (),
    behind: Reason = Reason.DRIFT,
) -> Segment:
    """Publish one segment as ``<name>.001.wav`` (``.flac``) and so on.

    ``ends`` are one past the last frame of each channel, in frames of the part axes; a number is that of all. Behind
    the last write of its parts. Segments in order, each once; after a kill at any point again with the same arguments:
    it ends with the same one name. ``believed`` are the ``ends``, where nothing else is told. ``anchors`` and
    ``paces``: see `receiver.archive.laying`; ``behind``: see `sound_of`; a channel that goes on was cut where it lags.
    """
    recording_id, index = parts[0].recording_id, parts[0].segment
    segment = read_segment(files, recording_id, index)
    if segment is None:
        earlier = read_segment(files, recording_id, index - 1) if index else None
        if index and earlier is None:
            raise FileNotFoundError(errno.ENOENT, "the segment before is not rolled yet", parts[0].name)
        each = [ends] * len(parts) if isinstance(ends, int) else ends
        trusted = each if believed is None else believed
        before = earlier.upto if earlier else None
        lanes = lay(files, parts, each, trusted, paces, anchors, draft.sample_rate, before)
        upto = max(axes.reach(each, lanes), before or 0)  # the last one may end where it begins
        begins = earlier.begins if earlier and isinstance(earlier.begins, int) else None
        gone = earlier.left_out if earlier else ()
        sound = sound_of(files, draft, parts, lanes, upto, trusted, stretches, begins, behind, gone)
        written = files.stat(parts[0].name)
        fallback = moment(written.modified_ns) if written else UNSET
        segment = _describe(draft, index, upto, sound, earlier, (anchor_frame, anchor_ns), fallback)
        segment = msgspec.structs.replace(segment, lanes=lanes)
        _put(files, recording_id, index, segment)
    return _publish(files, parts, segment)


def _describe(
    draft: Draft,
    index: int,
    upto: int,
    sound: Sound,
    earlier: Segment | None,
    anchor: tuple[int, int | None],
    written: datetime | UnsetType,
) -> Segment:
    """``written`` names a recording of which no other time is known (only after a power cut)."""
    woven = sound.woven
    begun = earlier if earlier and isinstance(earlier.begins, int) else None
    if woven is None:
        return Segment(upto=upto) if begun is None else msgspec.structs.replace(begun, upto=upto, file=None, gaps=())
    if begun is None:
        first = started(draft.sample_rate, woven.begins, *anchor)
        begun = Segment(upto=upto, begins=woven.begins, started_at=first, stem=stem_of(draft, first, written))
    assert isinstance(begun.begins, int)
    file = File(
        file=f"{begun.stem.rpartition('/')[2]}.{index + 1:03}{woven.form.suffix}",
        frame=pauses.place(woven.begins, np.array(sound.left_out, np.int64).reshape(-1, 2)) - begun.begins,
        frames=woven.frames,
        bytes=woven.octets,
        sha256=woven.sha256,
        encoding=UNSET if woven.form.encoding == PCM16 else woven.form.encoding,
    )
    return msgspec.structs.replace(begun, upto=upto, file=file, gaps=sound.gaps, problem=None, left_out=sound.left_out)


def _publish(files: Files, parts: Sequence[PartKey], segment: Segment) -> Segment:
    """Link the sound, then sweep: the parts first, so that the one in spool goes on saying that there is work left."""
    recording_id, index = parts[0].recording_id, parts[0].segment
    source = names.woven(recording_id, index)
    there = files.stat(source)
    if there is not None and segment.file is not None:
        folder = f"ready/{segment.stem}".rpartition("/")[0]
        target = f"{folder}/{segment.file.file}"

        def taken(name: str) -> None:
            nonlocal segment
            assert segment.file is not None
            file = msgspec.structs.replace(segment.file, file=name.rpartition("/")[2])
            segment = msgspec.structs.replace(segment, file=file, problem=name_taken(recording_id))
            _put(files, recording_id, index, segment)

        if there.links == 1:
            files.make_folders(target)
            place(files, source, target, Content(segment.file.bytes, segment.file.sha256), taken)
        with contextlib.suppress(FileNotFoundError):  # linked in an earlier life, and a job took the folder away
            files.sync_folder(target)
    for part in parts:
        files.unlink(part.name)
    files.unlink(source)
    return segment


def _put(files: Files, recording_id: str, index: int, segment: Segment) -> None:
    files.write_durably(names.segment(recording_id, index), encode(segment))


def roll_rest(
    files: Files,
    draft: Draft,
    last: Sequence[PartKey],
    anchor_frame: int,
    anchor_ns: int | None,
    stretches: Sequence[Stretch] = (),
    believed: Callable[[PartKey], int] | None = None,
    anchors: Sequence[int | None] = (),
    paces: Paces = (),
) -> list[Segment]:
    """Return the descriptions of all segments before the ``last``; roll what was not rolled to its end.

    ``believed`` tells up to which frame of the part axis a part may be believed; None: each as far as it should reach.
    """
    recording_id = last[0].recording_id
    lying: list[PartKey] | None = None
    segments: list[Segment] = []
    for index in range(last[0].segment):
        segment = read_segment(files, recording_id, index)
        # The sound in spool is the sign that there is work left; a segment without sound has no such sign.
        if segment is None or segment.file is None or files.stat(names.woven(recording_id, index)):
            if lying is None:
                lying = _lying(files, recording_id)
            first = segments[-1].upto if segments else 0
            there = {key.channel: key for key in lying if key.segment == index}
            silence = [PartKey(recording_id, key.channel, index, first) for key in last]  # where there is no part
            parts = [there.get(key.channel, key) for key in silence]
            ends = [_next(key, (*lying, *last)) for key in parts]
            frames = ends if believed is None else list(map(believed, parts))
            segment = roll(files, draft, parts, ends, anchor_frame, anchor_ns, stretches, frames, anchors, paces)
        segments.append(segment)
    return segments


def _next(part: PartKey, others: Sequence[PartKey]) -> int:
    """The frame at which a channel's next segment begins."""
    return min(key.first_frame for key in others if key.channel == part.channel and key.segment > part.segment)


def _lying(files: Files, recording_id: str) -> list[PartKey]:
    """The parts of a recording that lie in spool, by segment and channel."""
    spooled = [names.parse(name) for name in files.listing("spool")]
    keys = [
        PartKey(it.recording_id, it.channel, it.segment, it.first_frame)
        for it in spooled
        if it and it.kind == "part" and it.recording_id == recording_id
    ]
    return sorted(keys, key=lambda key: (key.segment, key.channel))


def all_gaps(segments: Sequence[Segment]) -> tuple[Gap, ...]:
    """Return the gaps of all files as one list: what goes on over a file's end is one gap."""
    rows = [gap for segment in segments for gap in segment.gaps]
    channels = {gap.channel for gap in rows}
    return in_order([merge(gap for gap in rows if gap.channel == channel) for channel in sorted(channels)])
