"""What is known of senders' clocks, for the sidecar: how each epoch kept time (rule A15), what RTCP said (rule A13)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType

from receiver.archive import sidecar
from receiver.archive.names import MOST_TAPS
from receiver.archive.pace import LEAST_SPAN_S, Pace, drift_ppm
from receiver.media.columns import CLOCK_RATE, NoteKind
from receiver.media.pacing import under_way
from receiver.media.state import Records
from receiver.wire.serial import widen

_Found = list[tuple[int, int, list[tuple[int, int]]]]


def paces(notes: Records, streams: Sequence[Any] = (), ticks: int = 1) -> tuple[Pace, ...]:
    """The epochs of a channel and how each kept time; ``streams`` tell of the windows under way.

    ``notes`` count in frames of the part, ``streams`` in those of the row, each of them ``ticks`` of the part.
    """
    found: _Found = []
    for note in notes[np.isin(notes["kind"], (NoteKind.EPOCH, NoteKind.PACE))]:
        ssrc, point = int(note["ssrc"]), (int(note["frame"]), int(note["arrival_ns"]))
        if note["kind"] == NoteKind.EPOCH:
            found.append((ssrc, point[0], [point] if point[1] else []))
        else:
            _append(found, ssrc, point)
    for stream in streams:
        last = under_way(stream)
        if last is not None:
            _append(found, int(stream["ssrc"]), (last[0] * ticks, last[1]))
    return tuple(
        Pace(ssrc, begin, np.array(sorted(points, key=lambda it: it[1]), np.int64))
        for ssrc, begin, points in found
        if points
    )


def by_channel(
    channels: Sequence[int], notes: Sequence[Records] | Mapping[int, Records], streams: Sequence[Sequence[Any]] = (),
    ticks: int = 1,
) -> tuple[tuple[Pace, ...], ...]:
    """The same for channels of parts (`PartKey`); ``notes`` go by tap, ``streams`` by channel."""
    found = []
    for k, channel in enumerate(channels):
        further, tap = divmod(channel, MOST_TAPS)
        mine = notes[tap]
        found.append(paces(mine[mine["channel"] == further], streams[k] if streams else (), ticks))
    return tuple(found)


def of_stream(
    ssrc: int, paced: Sequence[Pace], notes: Records, streams: Sequence[Any] = (), ticks: int = 1
) -> dict[str, Any]:
    """The fields of a stream in the sidecar that tell of its clocks; what is not known is `UNSET`.

    Its timestamps count ``ticks`` in 1/8000 s.
    """
    rate = CLOCK_RATE * ticks
    drift = drift_ppm([pace for pace in paced if pace.ssrc == ssrc], rate)
    mine = notes[notes["ssrc"] == ssrc]
    names, goodbyes = (mine[mine["kind"] == kind] for kind in (NoteKind.NAME, NoteKind.GOODBYE))
    return {
        "drift_ppm": UNSET if drift is None else round(drift, 1),
        "cname": bytes(names["text"][-1]).decode("utf-8", "ignore") if names.size else UNSET,
        "sender_reports": _reports(
            mine[mine["kind"] == NoteKind.REPORT], [it for it in streams if it["ssrc"] == ssrc], rate
        ),
        "bye_at": sidecar.moment(int(goodbyes["wall_ns"][-1])) if goodbyes.size else UNSET,
    }


def _append(found: _Found, ssrc: int, point: tuple[int, int]) -> None:
    """To the latest epoch of its clock; where the disk did not take that one's note, it begins here."""
    mine = [points for of, _, points in found if of == ssrc]
    if mine:
        mine[-1].append(point)
    else:
        found.append((ssrc, point[0], [point]))


def _reports(notes: Records, streams: Sequence[Any], rate: int) -> sidecar.SenderReports | UnsetType:
    """The first and the last sender report. A note without a count is the first one of a stream."""
    moments = [(int(note["timestamp"]), int(note["wall_ns"])) for note in notes]
    still = [stream for stream in streams if stream["reports"]]
    moments += [(int(stream["report_timestamp"]), int(stream["report_wall_ns"])) for stream in still]
    count = int(notes["frames"].sum()) + sum(int(stream["reports"]) for stream in still)
    if not moments:
        return UNSET
    first, last = moments[0], moments[-1]
    return sidecar.SenderReports(
        count=max(count, 1), first=_moment(*first), last=_moment(*last), clock_ppm=_own_drift(first, last, rate)
    )


def _moment(timestamp: int, wall_ns: int) -> sidecar.SenderMoment:
    return sidecar.SenderMoment(timestamp=timestamp, at=sidecar.moment(wall_ns) if wall_ns else UNSET)


def _own_drift(first: tuple[int, int], last: tuple[int, int], rate: int) -> float | UnsetType:
    """The sender's media clock against its own wall clock, if it has one and its timestamps did not jump between."""
    span_ns = last[1] - first[1]
    if not first[1] or not last[1] or span_ns < LEAST_SPAN_S * 1_000_000_000:
        return UNSET
    expected = span_ns * rate // 1_000_000_000
    passed = widen(first[0] + expected, last[0], 32) - first[0]
    told = (passed * 1e9 / rate / span_ns - 1) * 1e6
    return round(told, 1) if abs(told) < 1_000 else UNSET
