"""What may go wrong between a client and the switch, as a thing that one can set. All off by default."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=3_600)]


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares are of the messages of their kind, by the exchange's dice."""

    event_delay_s: tuple[Seconds, Seconds] = (0.0, 0.0)
    """Each event is late by something between these: so they overtake each other."""
    repeat_events: Share = 0.0
    withhold_events: Share = 0.0
    withhold_types: tuple[str, ...] = ()
    """Which types ``withhold_events`` speaks of; none named: all of ``calling.``"""
    events_first: bool = False
    """What a request brings about is told before the request is answered."""
    finished: Literal["before", "after", "never"] = "before"
    """Where a tap's ``finished`` stands to its call's ``ended``, when the call ends first."""

    late_answer_s: tuple[Seconds, Seconds] = (0.0, 0.0)
    no_answer: Share = 0.0
    garbage: Share = 0.0
    """Answers that are no JSON."""
    wrong_id: Share = 0.0
    huge: Share = 0.0
    """Answers of 10 MB."""
    nested: bool = False
    """``result.result``"""
    integer_codes: bool = False
    refuse: dict[str, tuple[str, str]] = {}
    """Method → code and message of its refusal."""

    connect_error: Annotated[str, Meta(pattern=r"^-?[0-9]{1,9}$")] | None = None
    """The code that every ``signalwire.connect`` is answered with."""
    connect_silence: bool = False
    keep_session_s: Seconds = 120.0
    """How long a session is kept after its socket fell."""
    replay_missed: bool = True
    tell_restored: bool = True
    ping_interval_s: Seconds = 10.0
    """0: none."""
    drop_after: Annotated[int, Meta(ge=0)] = 0
    """Frames from the client after which each of its sockets falls; 0: never."""

    source_device: Literal["right", "wrong", "none", "texts"] = "right"
    """Whether a tap's answer tells its source: truly, another port, not at all, with numbers as texts."""


GOOD = Faults()
