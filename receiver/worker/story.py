"""What the columns and the notes know of a tap, as the sidecar tells it. Frames here are frames of the part."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from receiver.archive import sidecar
from receiver.archive.gaps import Stretch
from receiver.archive.names import MOST_TAPS
from receiver.archive.repair import Described
from receiver.archive.sidecar import Reason
from receiver.media import unknown
from receiver.media.columns import CLOCK_RATE, NOTE, STATISTICS, Flaw, NoteKind, Trust
from receiver.media.sources import Source
from receiver.media.state import Records, State
from receiver.media.taps import Damage, Picture
from receiver.wire.events import DIGITS
from receiver.wire.g711 import PCMA, PCMU
from receiver.wire.opus import DYNAMIC, TICKS
from receiver.wire.rtp import Verdict
from receiver.worker import clocks

CODECS = {PCMU: "PCMU", PCMA: "PCMA"}
OPUS = "OPUS"
FARTHEST = 1 << 59  # frames: what is farther says "not yet"
MALFORMED = [*range(Verdict.SHORT, Verdict.PAYLOAD_TYPE + 1), Verdict.NOT_OPUS]
_SUMMED = ("packets", "duplicate", "reordered", "late", "late_lost", "timed", "jitter_sum")

_FLAWS = {
    Flaw.SET_ASIDE: ("slab_set_aside", "packets were set aside after two workers died on them", "see quarantine/"),
    Flaw.CONFLICT: ("source_conflict", "more than one unannounced source sent; none was admitted meanwhile",
                    "name the right one with `source`"),
    Flaw.SSRCS: ("too_many_ssrcs", "the source sent more SSRCs than are heard (four at once, eight new ones a minute);"
                 " sound of others is in no file", "one call a port; does the sender restart its stream all the time?"),
    Flaw.UNANNOUNCED: ("source_unannounced", "the sound came from another address than the announced one",
                       "compare `seen` with `announced`; set [media].source if this is as it should be"),
    Flaw.LATE_LOST: ("late_lost", "packets came after their place in the file was closed", ""),
    Flaw.NO_ROOM: ("no_room", "packets found no room in the ring", "is the disk too slow? see [media].window_ms"),
    Flaw.CLOCK: ("clock", "packets came more than 2 s ahead of their time, or with more than eight jumps of the clock"
                 " a minute; they are in no file", "does the sender send in real time? is its clock steady?"),
    Damage.WRITE_FAILED: ("write_failed", "sound that had arrived could not be written; it is in the list of gaps",
                          "see to the disk; the log tells when it was"),
    Damage.SYNC_FAILED: ("sync_failed", "the disk failed while it was to keep this sound; nobody can vouch for it",
                         "see to the disk; the log tells when it was"),
    Flaw.KEY_LOST: ("key_lost", "the service was restarted and the SRTP key of this tap was not kept",
                    "what came afterwards cannot be read; ask for a new tap, with a new key"),
    Damage.NOT_DECODED: ("not_decoded", "decoders died over packets of this sound; they are in the list of gaps",
                         "the log tells when it was; this is a defect: please report it"),
    Flaw.NOTES_LOST: ("notes_lost", "not every epoch could be written down", "is the disk too slow?"),
}  # fmt: skip


def channel(picture: Picture, notes: Records, base: sidecar.Channel, row: int | None = None) -> sidecar.Channel:
    """A channel of a finished tap: who sent it, which streams, which epochs. ``row``: a further one's (rule A12)."""
    tap = picture.tap
    further = 0 if row is None else int(picture.further[row]["further"])
    mine = [stream for stream in picture.streams if int(stream["row"]) == (tap["row"] if row is None else row)]
    law = int(mine[-1]["law"]) if mine else PCMU
    streams = tuple(_streams(picture._replace(streams=mine), own(notes, further), not further))
    apart = further or (picture.further and base.party == "both")  # who is who, nobody said
    return sidecar.Channel(
        party="unknown" if apart else base.party, tap_id=base.tap_id, control_id=base.control_id,
        codec=codec_of(int(tap["opus"]) or law) if streams else base.codec,
        codecs=_codecs(own(notes, further), mine),
        source=_source(tap, notes, base), streams=streams, srtp=base.srtp,
        unknown_payload_types=() if further else unknown_types(picture),
        mixed_packets=int(picture.aside["stereo"]) if tap["opus"] and not further else UNSET,
        redecoded=_redecoded(own(notes, further)) if tap["opus"] else UNSET,
    )  # fmt: skip


def codec_of(law: int) -> str:
    """The codec of a payload type; a dynamic one is Opus (nothing else is announced as one). KeyError for no codec."""
    return OPUS if law >= DYNAMIC else CODECS[law]


def _codecs(notes: Records, streams: Sequence[Records]) -> tuple[str, ...] | UnsetType:
    """Rule A14: all that came, where it was more than one: so both."""
    laws = {*notes["laws"].tolist(), *(int(stream["laws"]) for stream in streams)}
    return tuple(CODECS.values()) if 3 in laws or {1, 2} <= laws else UNSET


def described(draft: sidecar.Draft, octets: Sequence[bytes], channels: Sequence[int]) -> Described:
    """Rule C5: what the notes alone, one file for each tap, still tell of a recording whose columns are gone, but for
    its pauses. ``channels`` are those of its parts (`receiver.archive.names.PartKey`)."""
    taps = draft.channels or (sidecar.Channel(),)
    ticks = draft.sample_rate // CLOCK_RATE
    notes = [in_the_part(read(told), ticks) for told in octets]
    beside = {channel % MOST_TAPS for channel in channels if channel >= MOST_TAPS}
    found: list[sidecar.Channel] = []
    mine: list[Records] = []
    for further, tap in (divmod(channel, MOST_TAPS) for channel in channels):
        if tap < len(taps):
            party = "unknown" if further or (tap in beside and taps[tap].party == "both") else taps[tap].party
            mine.append(own(notes[tap], further))
            found.append(_described(msgspec.structs.replace(taps[tap], party=party), mine[-1], ticks))
    return Described(
        tuple(found), (),
        tuple(stretch for number, these in enumerate(mine) for stretch in stretches(these, number)),
        tuple(digit for number, these in enumerate(mine) for digit in digits(these, number)),
        tuple(level for number, these in enumerate(mine) for level in noises(these, number)),
        tuple(map(clocks.paces, mine)),
    )  # fmt: skip


def in_the_part(notes: Records, ticks: int) -> Records:
    """Notes, which count as rows do, in frames of the part: ``ticks`` for each of the row (Opus: six)."""
    if ticks == 1 or not notes.size:
        return notes
    told = notes.copy()
    near = np.abs(told["frame"]) < FARTHEST
    told["frame"][near] *= ticks
    told["frames"][near & (told["kind"] != NoteKind.REPORT)] *= ticks  # of reports it says how many
    epochs = told["kind"] == NoteKind.EPOCH
    told["timestamp"][epochs] = told["timestamp"][epochs] * ticks % (1 << 32)
    return told


def _redecoded(notes: Records) -> tuple[sidecar.Redecoded, ...]:
    """Where a decoder took up what another had begun."""
    mine = [note for note in notes if note["kind"] == NoteKind.DECODER]
    return tuple(sidecar.Redecoded(frame=int(note["frame"]), frames=int(note["frames"])) for note in mine)


def read(octets: bytes) -> Records:
    """The notes as they lie in spool, as far as they are whole."""
    return np.frombuffer(octets[: len(octets) // NOTE.itemsize * NOTE.itemsize], NOTE)


def _described(base: sidecar.Channel, notes: Records, ticks: int) -> sidecar.Channel:
    paced = clocks.paces(notes)
    ssrcs = dict.fromkeys(int(note["ssrc"]) for note in notes if note["kind"] == NoteKind.EPOCH)
    streams = tuple(
        sidecar.Stream(
            ssrc=ssrc,
            packets=_packets(notes, ssrc),
            epochs=tuple(_epochs(notes, ssrc)),
            **clocks.of_stream(ssrc, paced, notes, (), ticks),
        )
        for ssrc in ssrcs
    )
    last = next((note for note in notes[::-1] if note["kind"] == NoteKind.SOURCE), None)
    source = base.source
    if last is not None:
        announced = source.announced if source is not UNSET else UNSET
        source = sidecar.Source(announced=announced, seen=name(last["source"]), trust=trust_in_words(last["trust"]))
    return sidecar.Channel(
        party=base.party, tap_id=base.tap_id, codec=base.codec, codecs=_codecs(notes, ()), source=source,
        streams=streams, srtp=base.srtp, redecoded=_redecoded(notes) if base.codec == OPUS else UNSET,
    )  # fmt: skip


def faults(picture: Picture, notes: int) -> tuple[sidecar.Problem, ...]:
    """Why a recording is ``degraded``; none: all that reached us is in the file. ``notes``: how many were found."""
    flaws = int(picture.tap["flaws"])
    late = sum(int(stream["statistics"]["late_lost"]) for stream in picture.streams)
    flaws |= Flaw.LATE_LOST if late else 0
    flaws |= Flaw.NOTES_LOST if notes < picture.tap["notes"] else 0
    return tuple(sidecar.Problem(*words) for flaw, words in _FLAWS.items() if flaws & flaw)


def anchors(state: State, numbers: Sequence[int]) -> tuple[int | None, ...]:
    """When the first speech of each row came, UNIX ns by one reading of the clock; None: none came."""
    rows = state.live.rows[list(numbers)]
    known = rows[rows["anchor_ns"] > 0]
    if not known.size:
        return (None,) * len(numbers)
    first = known[int(known["anchor_ns"].argmin())]
    ahead_ns = int(first["anchor_wall_ns"]) - int(first["anchor_ns"])
    return tuple(int(row["anchor_ns"]) + ahead_ns if row["anchor_ns"] else None for row in rows)


def earliest(moments: Iterable[int | None]) -> int | None:
    """The first of the moments that are known."""
    return min((moment for moment in moments if moment is not None), default=None)


def silent(pictures: Sequence[Picture], draft: sidecar.Draft) -> tuple[sidecar.Problem, ...]:
    """What to say of taps that nothing came for, beside others that were heard: their channels are silence."""
    told = [(nothing(picture), base.party) for picture, base in zip(pictures, draft.channels, strict=True)]
    if all(problem for problem, _ in told):
        return ()
    return tuple(
        sidecar.Problem("side_silent", f"Of {party} nothing came: {problem.message}", problem.hint)
        for problem, party in told if problem
    )  # fmt: skip


def nothing(picture: Picture) -> sidecar.Problem | None:
    """Rule D5: what to say where no packet of the source came."""
    if picture.tap["first_ns"] and picture.tap["turns"]:
        return sidecar.Problem("paused", "All the sound that came, came while recording was paused.", "Was it resumed?")
    if picture.tap["first_ns"]:
        return None
    counts = {v.name.lower(): int(picture.tap["verdicts"][v]) for v in Verdict if picture.tap["verdicts"][v]}
    seen = ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "no datagram at all"
    if strange := ", ".join(map(str, unknown_types(picture))):
        opus = int(picture.tap["opus"])  # takes nothing else (rule A14)
        return sidecar.Problem(
            "no_packets", f"Nothing that can be recorded came; the port saw {seen}, of payload type {strange}.",
            f"Have the sender use {f'Opus (payload type {opus})' if opus else 'PCMU (payload type 0) or PCMA (8)'}.",
        )  # fmt: skip
    return sidecar.Problem(
        "no_packets", f"No packet of the tap's source came; the port saw {seen}.",
        "Check the address that the sender was given, the firewall, and the source policy of this tap.",
    )  # fmt: skip


def own(notes: Records, further: int) -> Records:
    """A tap's notes of one of its channels."""
    mine: Records = notes[notes["channel"] == further]
    return mine


def unknown_types(picture: Picture) -> tuple[int, ...]:
    """Payload types that the source sent and nobody announced (rule A1)."""
    return () if picture.aside is None else unknown.types(picture.aside["unknown_types"])


def stretches(notes: Records, channel: int = 0) -> Iterator[Stretch]:
    """Frames in which nobody sent (rule A7): all numbers around them came, or an epoch left them out."""
    for note in notes:
        if note["kind"] == NoteKind.STRETCH:
            yield Stretch(int(note["frame"]), int(note["frames"]), channel, Reason.NOT_SENT)
        elif note["kind"] == NoteKind.EPOCH and note["frames"]:
            yield Stretch(int(note["frame"]) - int(note["frames"]), int(note["frames"]), channel, Reason.NOT_SENT)


def digits(notes: Records, channel: int = 0) -> tuple[sidecar.Digit, ...]:
    """Rule A8: keys in order of their starts; of one that was told twice the longer duration is the later word."""
    told: dict[tuple[int, int, int], sidecar.Digit] = {}
    for note in notes:
        if note["kind"] == NoteKind.KEY:
            key = int(note["ssrc"]), int(note["timestamp"]), int(note["value"])
            told[key] = sidecar.Digit(
                digit=DIGITS[key[2]], frame=int(note["frame"]), frames=int(note["frames"]), channel=channel
            )
    return tuple(sorted(told.values(), key=lambda digit: digit.frame))


def noises(notes: Records, channel: int = 0) -> tuple[sidecar.Noise, ...]:
    """Rule A7: levels of comfort noise where they change."""
    told = [(int(note["frame"]), int(note["value"])) for note in notes if note["kind"] == NoteKind.NOISE]
    told = sorted(dict(told).items())
    changed = [now for k, now in enumerate(told) if not k or told[k - 1][1] != now[1]]
    return tuple(sidecar.Noise(frame=frame, channel=channel, level_dbov=level) for frame, level in changed)


def name(record: Any) -> str:
    """``address:port`` as people write it."""
    source = Source.read(record)
    return f"{source.address}:{source.port}" if source.address.version == 4 else f"[{source.address}]:{source.port}"


def trust_in_words(trust: Any) -> str:
    """As the sidecar says it."""
    return Trust(int(trust)).name.lower().replace("_", "-")


def _source(tap: Any, notes: Records, base: sidecar.Channel) -> sidecar.Source:
    announced = base.source.announced if base.source is not UNSET else UNSET
    if not tap["first_ns"]:
        return sidecar.Source(announced=announced)
    moves = [note for note in notes if note["kind"] == NoteKind.SOURCE][1:]
    changes = tuple(sidecar.SourceChange(sidecar.moment(int(n["wall_ns"])), name(n["source"])) for n in moves)
    return sidecar.Source(
        announced=announced, seen=name(tap["source"]), trust=trust_in_words(tap["trust"]), changes=changes
    )


def _streams(picture: Picture, notes: Records, first: bool) -> Iterator[sidecar.Stream]:
    """One entry per SSRC, in order of appearance; what was counted in several runs of it is added up."""
    counted: dict[int, list[Any]] = {}
    for note in notes:
        if note["kind"] == NoteKind.STREAM:
            counted.setdefault(int(note["ssrc"]), []).append(note["statistics"])
    for stream in picture.streams:
        counted.setdefault(int(stream["ssrc"]), []).append(stream["statistics"])
    invalid = int(picture.tap["verdicts"][MALFORMED].sum()) if first else 0
    ticks = TICKS if picture.tap["opus"] else 1
    paced = clocks.paces(notes, picture.streams, ticks)
    for ssrc, runs in counted.items():
        told = _stream(ssrc, runs, invalid, tuple(_epochs(notes, ssrc)))
        yield msgspec.structs.replace(told, **clocks.of_stream(ssrc, paced, notes, picture.streams, ticks))
        invalid = 0  # what was malformed had no SSRC to go by: it stands with the first


def _stream(ssrc: int, runs: list[Any], invalid: int, epochs: tuple[sidecar.Epoch, ...]) -> sidecar.Stream:
    total = np.zeros((), STATISTICS)
    lost, worst = 0, 0.0
    for run in runs:
        for field in _SUMMED:
            total[field] += run[field]
        lost += int(run["highest_sequence"] - run["base_sequence"]) + 1 - int(run["packets"])  # RFC 3550 A.3
        worst = max(worst, float(run["jitter_max"]))
    timed, per_ms = max(int(total["timed"]), 1), CLOCK_RATE / 1_000
    return sidecar.Stream(
        ssrc=ssrc, packets=int(total["packets"]), lost=lost, duplicate=int(total["duplicate"]),
        reordered=int(total["reordered"]), late=int(total["late"]), late_lost=int(total["late_lost"]), invalid=invalid,
        jitter_ms=sidecar.Jitter(round(float(total["jitter_sum"]) / timed / per_ms, 3), round(worst / per_ms, 3)),
        epochs=epochs,
    )  # fmt: skip


def _epochs(notes: Records, ssrc: int) -> Iterator[sidecar.Epoch]:
    for note in notes:
        if note["kind"] == NoteKind.EPOCH and note["ssrc"] == ssrc:
            at = sidecar.moment(int(note["wall_ns"]))
            yield sidecar.Epoch(frame=int(note["frame"]), timestamp=int(note["timestamp"]), at=at)


def _packets(notes: Records, ssrc: int) -> int:
    return sum(int(n["statistics"]["packets"]) for n in notes if n["kind"] == NoteKind.STREAM and n["ssrc"] == ssrc)
