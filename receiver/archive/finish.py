"""The end of a recording: what lies in spool becomes two names in ``ready/``, once (rule C4, rules D).

Blocking, for a thread. Each function may be killed at any point and called again with the same arguments by another
process; the spool tells how far it came (see ``receiver/archive/__init__.py``). The published sidecar stays in spool as
``<id>.done`` until ``forget``: a worker that dies before it could say "finished" finds it there and says it then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from receiver.archive import axes, names, pauses
from receiver.archive.files import Files
from receiver.archive.gaps import Stretch
from receiver.archive.laying import Paces, lay
from receiver.archive.names import MOST_TAPS, PartKey
from receiver.archive.outcome import judge
from receiver.archive.pauses import Paused
from receiver.archive.placing import Placing
from receiver.archive.publish import publish, put_final
from receiver.archive.roll import all_gaps, read_segment, roll, roll_rest, sound_of, started, stem_of
from receiver.archive.sidecar import (
    PCM16,
    Channel,
    Digit,
    Draft,
    Ending,
    File,
    Gap,
    Noise,
    Outcome,
    Problem,
    Reason,
    Sidecar,
    decode,
    encode,
    moment,
)


@dataclass(frozen=True)
class Facts:
    """What the worker knows of a recording that ended. Frames count on the part axis of the whole recording.

    ``parts`` and ``frames`` go by channel: the last segment's part, and one past the last frame written. The anchor is
    one frame of which the wall time is known; where several channels lie beside each other, ``anchors`` tell it of each
    and ``anchor_ns`` is the earliest. The ``pauses`` are told in frames of the channel ``pauses_of``. Any of the
    ``faults`` makes the recording ``degraded``, ``notices`` are only told; ``problem`` is what to say if there is no
    sound in it.
    """

    draft: Draft
    parts: tuple[PartKey, ...]
    frames: tuple[int, ...]
    anchor_frame: int
    anchor_ns: int | None
    first_packet_ns: int | None
    ended_ns: int | None
    ending: str
    channels: tuple[Channel, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    dtmf: tuple[Digit, ...] = ()
    noise: tuple[Noise, ...] = ()
    pauses: tuple[Paused, ...] = ()
    faults: tuple[Problem, ...] = ()
    problem: Problem | None = None
    anchors: tuple[int | None, ...] = ()
    paces: Paces = ()
    pauses_of: int = 0
    notices: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class _Sound:
    """What came out of the parts, whether in one file or in several."""

    frames: int = 0
    started_at: datetime | UnsetType = UNSET
    file: str | None = None
    octets: int | UnsetType = UNSET
    sha256: str | UnsetType = UNSET
    encoding: str = PCM16
    files: tuple[File, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notices: tuple[Problem, ...] = ()
    missing_frames: int = 0
    placing: Placing = field(default_factory=Placing)


def finish(files: Files, facts: Facts) -> Sidecar:
    """Bring a recording to ``ready/``; return its sidecar as it lies there. Behind the last write of its parts.

    Raises ``OSError`` when the disk does not play along: nothing is lost then, it may be tried again.
    """
    recording_id = facts.draft.recording_id
    sidecar = finished(files, recording_id)
    if sidecar is None:
        sidecar = _read(files, names.final(recording_id))
        if sidecar is None:
            _keep_draft(files, facts.draft)
            sidecar = put_final(files, _compose(files, facts))
        sidecar = publish(files, final_stem(files, facts.draft, sidecar), sidecar)
    own = [file for part in facts.parts for file in (part.name, names.notes(recording_id, part.channel))]
    sweep(files, recording_id, own, facts.parts[0].segment if facts.parts else 0)
    return sidecar


def refuse(
    files: Files,
    draft: Draft,
    ending: str,
    outcome: str,
    problem: Problem,
    ended_ns: int | None = None,
    parts: Sequence[PartKey] | None = None,
) -> Sidecar:
    """Publish the sidecar of a recording without sound (``empty``, ``failed``), and sweep its draft and parts.

    ``parts`` are those of ``begin`` where nothing else is told.
    """
    sidecar = finished(files, draft.recording_id)
    if sidecar is None:
        sidecar = _read(files, names.final(draft.recording_id))
        if sidecar is None:
            _keep_draft(files, draft)
            ended = UNSET if ended_ns is None else moment(ended_ns)
            silent = _sidecar(draft, _Sound(), Ending(ending), Outcome(outcome), problem, draft.channels)
            sidecar = put_final(files, msgspec.structs.replace(silent, ended_at=ended))
        sidecar = publish(files, final_stem(files, draft, sidecar), sidecar)
    if parts is None:
        parts = [PartKey(draft.recording_id, channel, 0, 0) for channel in range(max(1, len(draft.channels)))]
    sweep(files, draft.recording_id, [part.name for part in parts])
    return sidecar


def finished(files: Files, recording_id: str) -> Sidecar | None:
    """Return the sidecar of a recording that is published and not yet forgotten."""
    return _read(files, names.done(recording_id))


def forget(files: Files, recording_id: str) -> None:
    """The ledger knows how this recording ended: the spool need not any more. Twice is once.

    What a worker that died while it swept has left goes too, or what the next one has opened again since.
    """
    sidecar = finished(files, recording_id)
    if sidecar is None:
        return
    channels = range(MOST_TAPS * max(1, len(sidecar.channels)))
    left = [PartKey(recording_id, channel, 0, 0).name for channel in channels]
    left += [names.notes(recording_id, channel) for channel in channels]
    if sidecar.file is None:  # perhaps of several segments: their names tell frames that we do not know
        mine = f"spool/{recording_id}."
        left = [name for name in files.listing("spool") if name.startswith(mine) and name != names.done(recording_id)]
    sweep(files, recording_id, left)
    files.unlink(names.done(recording_id))


def final_stem(files: Files, draft: Draft, sidecar: Sidecar) -> str:
    """Return the name under ready/ of a final sidecar: the same before and after a kill."""
    for index in range(len(sidecar.parts) + 1):
        segment = read_segment(files, draft.recording_id, index)
        if segment and segment.stem:
            return segment.stem
    return stem_of(draft, sidecar.started_at, sidecar.requested_at, sidecar.ended_at)


def sweep(files: Files, recording_id: str, parts: Sequence[str], last_segment: int = 0) -> None:
    """Remove from spool what is published; its ``.done`` stays."""
    for name in parts:
        files.unlink(name)
    for index in range(last_segment + 1):
        files.unlink(names.woven(recording_id, index))
        if last_segment:
            files.unlink(names.segment(recording_id, index))
            files.unlink(f"{names.segment(recording_id, index)}.tmp")
    files.unlink(names.notes(recording_id))
    files.unlink(names.draft(recording_id))
    files.unlink(f"{names.final(recording_id)}.tmp")


def _read(files: Files, name: str) -> Sidecar | None:
    try:
        return decode(files.read(name))
    except FileNotFoundError:
        return None


def _keep_draft(files: Files, draft: Draft) -> None:
    """A final sidecar in spool has its draft beside it: ``repair`` finds the pattern of the name there."""
    if files.stat(names.draft(draft.recording_id)) is None:
        files.write_durably(names.draft(draft.recording_id), encode(draft))


def _compose(files: Files, facts: Facts) -> Sidecar:
    sound = _Sound()
    stop = max(facts.frames, default=0)
    paused = (it._replace(channel=facts.pauses_of) for it in pauses.stretches(facts.pauses, stop))
    facts = replace(facts, stretches=(*facts.stretches, *paused))
    if facts.parts and facts.parts[0].segment:
        sound = _several(files, facts)
    elif facts.parts:
        sound = _single(files, facts)
    placing, rate = sound.placing, facts.draft.sample_rate
    channels = tuple(placing.channel(number, channel, rate) for number, channel in enumerate(facts.channels))
    ending = Ending(facts.ending)
    outcome, problem = judge(
        bool(sound.file or sound.files), ending, channels, sound.gaps, sound.missing_frames, facts.faults,
        (*facts.notices, *sound.notices), facts.problem,
    )  # fmt: skip
    return msgspec.structs.replace(
        _sidecar(facts.draft, sound, ending, outcome, problem, channels or facts.draft.channels),
        first_packet_at=UNSET if facts.first_packet_ns is None else moment(facts.first_packet_ns),
        ended_at=UNSET if facts.ended_ns is None else moment(facts.ended_ns),
        dtmf=placing.marks(facts.dtmf),
        noise=placing.marks(facts.noise),
        pauses=placing.pauses(facts.pauses_of, facts.pauses, facts.draft.pause_as == pauses.CUT),
    )


def _single(files: Files, facts: Facts) -> _Sound:
    rate = facts.draft.sample_rate
    lanes = lay(files, facts.parts, facts.frames, facts.frames, facts.paces, facts.anchors, rate, None)
    upto = axes.reach(facts.frames, lanes)
    made = sound_of(files, facts.draft, facts.parts, lanes, upto, facts.frames, facts.stretches, None)
    if made.woven is None:
        return _Sound(missing_frames=made.missing_frames)
    begins = made.woven.begins
    first = started(rate, begins, facts.anchor_frame, facts.anchor_ns)
    ended = UNSET if facts.ended_ns is None else moment(facts.ended_ns)
    stem = stem_of(facts.draft, first, facts.draft.requested_at, ended)
    return _Sound(
        frames=made.woven.frames,
        started_at=first,
        file=f"{stem.rpartition('/')[2]}{made.woven.form.suffix}",
        octets=made.woven.octets,
        sha256=made.woven.sha256,
        encoding=made.woven.form.encoding,
        gaps=made.gaps,
        missing_frames=made.missing_frames,
        placing=Placing(begins, upto, (lanes,), made.woven.left_out),
    )


def _several(files: Files, facts: Facts) -> _Sound:
    """The last segment is rolled as its predecessors were, then all are told of together."""
    common, times = (facts.anchor_frame, facts.anchor_ns, facts.stretches), (facts.anchors, facts.paces)
    segments = roll_rest(files, facts.draft, facts.parts, *common, None, *times)
    last = roll(files, facts.draft, facts.parts, facts.frames, *common, facts.frames, *times, Reason.NOT_SENT)
    segments.append(last)
    begun = [segment for segment in segments if isinstance(segment.begins, int)]
    if not begun:
        return _Sound()
    begins = begun[0].begins
    assert isinstance(begins, int)
    encoding, told = _told([segment.file for segment in begun if segment.file])
    left_out = np.array(begun[-1].left_out, np.int64).reshape(-1, 2)
    return _Sound(
        frames=pauses.place(segments[-1].upto, left_out) - begins,
        started_at=begun[0].started_at,
        encoding=encoding,
        files=told,
        gaps=all_gaps(begun),
        notices=tuple(segment.problem for segment in begun if segment.problem),
        placing=Placing(begins, segments[-1].upto, tuple(segment.lanes for segment in segments), left_out),
    )


def _told(rolled: Sequence[File]) -> tuple[str, tuple[File, ...]]:
    """The recording's encoding, which is its first file's, and its files, each with its own where that is another."""
    encodings = [file.encoding or PCM16 for file in rolled]
    first = encodings[0] if encodings else PCM16
    return first, tuple(
        msgspec.structs.replace(file, encoding=UNSET if encoding == first else encoding)
        for file, encoding in zip(rolled, encodings, strict=True)
    )


def _sidecar(
    draft: Draft,
    sound: _Sound,
    ending: Ending,
    outcome: Outcome,
    problem: Problem | None,
    channels: tuple[Channel, ...],
) -> Sidecar:
    return Sidecar(
        recording_id=draft.recording_id,
        tap_id=draft.tap_id,
        call_id=draft.call_id,
        node_id=draft.node_id,
        labels=draft.labels,
        direction=draft.direction,
        layout=draft.layout,
        file=sound.file,
        bytes=sound.octets,
        sha256=sound.sha256,
        encoding=sound.encoding,
        sample_rate=draft.sample_rate,
        frames=sound.frames,
        duration_s=sound.frames / draft.sample_rate,
        requested_at=draft.requested_at,
        started_at=sound.started_at,
        ending=ending,
        outcome=outcome,
        problem=UNSET if problem is None else problem,
        absent_frames=sum(gap.frames for gap in sound.gaps),
        gaps=sound.gaps,
        parts=sound.files,
        software=draft.software,
        host=draft.host,
        channels=channels,
    )
