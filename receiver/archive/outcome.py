"""How a recording turned out, by rules D, from what its sidecar itself will say."""

from collections.abc import Iterator, Sequence

from receiver.archive.sidecar import Channel, Ending, Gap, Outcome, Problem, Reason, Source

UNANNOUNCED = "unannounced"

_NOTHING_CAME = Problem(
    "no_sound",
    "No sound came for this recording.",
    "Look at the counters of its channels, at the address that was announced, the firewall, and the source policy.",
)
_OURS = {
    Reason.WRITE_FAILED: Problem(
        "write_failed", "Sound that had arrived could not be written; it is in the list of gaps.", "See to the disk."
    ),
    Reason.RESTART: Problem(
        "restart", "Sound that had arrived was lost in a restart; it is in the list of gaps.", "See the host's log."
    ),
}


def judge(
    has_sound: bool,
    ending: Ending,
    channels: Sequence[Channel],
    gaps: Sequence[Gap],
    missing_frames: int,
    faults: Sequence[Problem],
    notices: Sequence[Problem],
    otherwise: Problem | None,
) -> tuple[Outcome, Problem | None]:
    """Return the outcome and what to say about it.

    ``degraded``: we lost something or cannot vouch for it, even where nothing at all is left: ``empty`` says that no
    sound came, and must not be said of sound that we lost. ``failed``: refused before any came. ``notices`` are told
    and change nothing. ``otherwise`` is told of an ``empty`` or ``failed`` one.
    """
    known = {fault.code for fault in faults}
    found = [fault for fault in _found(ending, channels, gaps, missing_frames) if fault.code not in known]
    all_faults = [*faults, *found]
    if not has_sound and ending is Ending.REFUSED:  # rule D4
        return Outcome.FAILED, _together([*([otherwise] if otherwise else []), *all_faults, *notices])
    if not has_sound and (not all_faults or _only_recovered(all_faults, channels)):
        return Outcome.EMPTY, _together([*all_faults, otherwise or _NOTHING_CAME, *notices])
    if all_faults:
        return Outcome.DEGRADED, _together([*all_faults, *notices])
    return Outcome.COMPLETE, _together(notices)


def _only_recovered(faults: Sequence[Problem], channels: Sequence[Channel]) -> bool:
    """A recording that was found after a power cut, and nothing speaks of a packet: none came, as far as we know."""
    packets = sum(stream.packets for channel in channels for stream in channel.streams)
    return packets == 0 and all(fault.code == Ending.RECOVERED for fault in faults)


def _found(ending: Ending, channels: Sequence[Channel], gaps: Sequence[Gap], missing_frames: int) -> Iterator[Problem]:
    if ending is Ending.RECOVERED:
        yield Problem(
            "recovered",
            "The host or the service went down without finishing this recording; it ends with its last commit.",
            "Up to two seconds of sound before that moment may be missing.",
        )
    if missing_frames:
        yield _OURS[Reason.WRITE_FAILED]
    reasons = {gap.reason for gap in gaps}
    for reason, problem in _OURS.items():
        if reason in reasons and not (missing_frames and reason is Reason.WRITE_FAILED):
            yield problem
    late = sum(stream.late_lost or 0 for channel in channels for stream in channel.streams)
    if late:
        yield Problem(
            "late_lost", f"{late} packets came too late for their place, which was final by then.", "See jitter_ms."
        )
    for channel in channels:
        if isinstance(channel.source, Source) and channel.source.trust == UNANNOUNCED:
            yield Problem(
                "source_unannounced",
                f"The sound came from {channel.source.seen}, announced was {channel.source.announced}.",
                "If that is right, set [media].source or allow the address.",
            )


def _together(problems: Sequence[Problem]) -> Problem | None:
    """The sidecar has room for one: the first one's word and hint, everybody's sentence."""
    if not problems:
        return None
    messages = dict.fromkeys(problem.message for problem in problems)
    return Problem(problems[0].code, " ".join(messages), problems[0].hint)
