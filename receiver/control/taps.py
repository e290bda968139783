"""The life of a tap: one table, and everything that may move a tap in it.

::

    requested ──accepted──▶ listening ──first packet──▶ receiving
        │                      │                            │
        ├──────ended───────────┼────────ended───────────────┤
        │                      ▼                            │
        │                  finishing ◀──────────────────────┘
        │                      │
        └──refused──▶ failed ◀─┴──published──▶ finished

* **requested**: the port is bound, the ledger row written, the worker asked to open. A tap of our own on the relay
  stays here until the relay has accepted it, too; until then its socket is held (rule B1).
* **listening**: rule C1 is durable and the socket is read. Nothing of the source has come.
* **receiving**: a packet of the source was admitted.
* **finishing**: it was decided why it ends (`Ending`); the worker brings the recording to ``ready/``. Only a worker
  writes there, so a tap that nothing came for, or that was refused outside, passes here as well.
* **finished**, **failed**: the outcome is in the ledger. `failed` is outcome ``failed`` and nothing else.

What holds, and why it does:

1. Every tap reaches exactly one of the last two states, once: they have no way out, and the ledger refuses a second
   outcome.
2. What comes twice, late or out of order changes nothing: an event that the table does not know in a state is not news.
   A worker that was started again says ``Opened`` and ``Finished`` again; a stop may be asked for any number of times;
   a worker may end a tap by itself (rule C3), so ``published`` is known wherever a tap lives.
3. Every wait is bounded. ``requested``, ``listening`` and ``receiving`` by `due`; ``finishing`` first by the relay,
   which has two seconds to stop sending (`receiver.control.attendance`), then by the worker, who answers or is replaced
   (`receiver.crew`) and then asked again.
4. Silence is what a worker did not hear, never what a dead worker could not: it is counted up to the worker's newest
   report, not up to now.
5. How long silence may last is a matter of whose word there is (rule D6, `Word`): a relay that said ``tapping`` and is
   heard will say ``finished``; one that cannot be heard, or may not have been, will perhaps never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from types import MappingProxyType
from typing import Final, NamedTuple

from receiver.control.codecs import DYNAMIC, codec_of
from receiver.keys import Key
from receiver.ledger.rows import Problem

SECOND: Final = 1_000_000_000
RELAY_NS: Final = 15 * SECOND  # an answer of the relay is waited for 10 s (`receiver.control.session`)
AWAY_SILENCE_NS: Final = 600 * SECOND  # rule D6, while the relay cannot be heard


class State(StrEnum):
    """Where a tap is in its life."""

    REQUESTED = "requested"
    LISTENING = "listening"
    RECEIVING = "receiving"
    FINISHING = "finishing"
    FINISHED = "finished"
    FAILED = "failed"


class Event(Enum):
    """What may happen to a tap."""

    ACCEPTED = auto()  # rule C1 is durable (and, on the relay, the tap is accepted)
    FIRST_PACKET = auto()  # admitted, from the source
    ENDED = auto()  # somebody or something decided that it ends
    PUBLISHED = auto()  # its sidecar is in ready/, and in the ledger
    REFUSED = auto()  # it never was, and its outcome says so


class Ending(StrEnum):
    """Why a tap ends (rules D). The words of the sidecar."""

    STOPPED = "stopped"
    RELAY_FINISHED = "relay_finished"
    CALL_ENDED = "call_ended"
    SILENCE = "silence"
    MAX_DURATION = "max_duration"
    SHUTDOWN = "shutdown"
    RECOVERED = "recovered"
    REFUSED = "refused"
    NO_PACKETS = "no_packets"


NEXT: Final[Mapping[State, Mapping[Event, State]]] = MappingProxyType(
    {
        State.REQUESTED: {
            Event.ACCEPTED: State.LISTENING,
            Event.ENDED: State.FINISHING,
            Event.PUBLISHED: State.FINISHED,
            Event.REFUSED: State.FAILED,
        },
        State.LISTENING: {
            Event.FIRST_PACKET: State.RECEIVING,
            Event.ENDED: State.FINISHING,
            Event.PUBLISHED: State.FINISHED,
            Event.REFUSED: State.FAILED,
        },
        State.RECEIVING: {
            Event.ENDED: State.FINISHING,
            Event.PUBLISHED: State.FINISHED,
            Event.REFUSED: State.FAILED,
        },
        State.FINISHING: {
            Event.PUBLISHED: State.FINISHED,
            Event.REFUSED: State.FAILED,
        },
        State.FINISHED: {},
        State.FAILED: {},
    }
)
FINAL: Final = frozenset(state for state, ways in NEXT.items() if not ways)


class Word(StrEnum):
    """Whose word there is that a tap goes on, and so how much silence is borne (rule D6)."""

    NOBODYS = "nobodys"  # nobody's: silence counts
    TAPPING = "tapping"  # the relay said so and is heard: it will say when it is over
    AWAY = "away"  # it said so and cannot be heard now: the socket fell, or it speaks by callbacks, which may get lost
    DOUBTFUL = "doubtful"  # it can be heard again, and may have said meanwhile that it is over


class Limits(NamedTuple):
    """How long a tap may stay where it is."""

    opening_ns: int
    start_ns: int | None
    silence_ns: int | None
    longest_ns: int | None

    def of(self, wish: "Wish") -> "Limits":
        """Those of one tap."""
        return self if wish.fixed is None else self._replace(start_ns=None)


class Wish(NamedTuple):
    """What somebody asked for. ``law`` is the payload type (0 PCMU, 8 PCMA, a dynamic one Opus); ``source`` as it was
    asked, in words.

    ``own``: we start it on the relay, so its control id is our tap id.
    """

    law: int
    ptime: int
    direction: str
    layout: str
    labels: Mapping[str, str]
    policy: str
    announced: tuple[str, int] | None
    source: str | None
    call_id: str | None = None
    node_id: str | None = None
    control_id: str | None = None
    device: str = "rtp"
    own: bool = False
    suite: str | None = None  # of SRTP; None: plain RTP
    key: Key | None = None  # the same with the key; None also where an earlier daemon had it and nobody has it now
    fixed: int | None = None  # the port that it must be, of one that is always open: nobody waits for its first packet

    @property
    def codec(self) -> str:
        """The codec's name in SDP."""
        return codec_of(self.law)


class Counts(NamedTuple):
    """What was counted for a tap, as its worker last reported it. Totals since its start."""

    packets: int = 0
    lost: int = 0
    duplicate: int = 0
    reordered: int = 0
    late_lost: int = 0
    invalid: int = 0
    foreign: int = 0
    unauthentic: int = 0
    edge_frames: int = 0  # one past the newest, counted from where the part begins


@dataclass(slots=True)
class Tap:
    """One tap that lives. ``*_ns`` is control's monotonic clock unless the name says ``unix``."""

    id: str
    recording_id: str
    worker: int
    slot: int
    port: int
    wish: Wish
    limits: Limits
    requested_unix_ns: int
    since_ns: int  # when it came into its state
    uri: str | None = None  # of a ``ws`` device; holds a secret, which a daemon after the first does not know
    uri_digest: str | None = None
    secret: str | None = None  # the path by which the platform calls us back for it; the same
    secret_digest: str | None = None
    state: State = State.REQUESTED
    word: Word = Word.NOBODYS
    durable: bool = False  # rule C1 is
    accepted: bool = False  # by the relay; an open port needs nobody's consent
    closed: bool = False  # the worker was told to end it
    listening_unix_ns: int | None = None
    receiving_unix_ns: int | None = None
    heard_ns: int | None = None  # the newest packet of the source
    heard_unix_ns: int | None = None
    counts: Counts = field(default_factory=Counts)
    turns: int = 0  # how often it was paused or resumed, in turn
    turned_ns: list[int] = field(default_factory=list)  # the latest of them, oldest first, by the machine's clock
    ending: str | None = None
    outcome: str | None = None
    problem: Problem | None = None
    channel: int = 0  # of the recording
    socket_lost: bool = False  # between the daemon before us and us
    sides: tuple["Tap", ...] = field(default=(), compare=False, repr=False)  # all of a stereo recording, itself too

    @property
    def paused(self) -> bool:
        """Whether nothing that comes is recorded. No state of its own: it is heard, and may end, all the same."""
        return self.turns % 2 == 1

    def meet(self, event: Event, now_ns: int) -> bool:
        """Move as the table says; False where it says nothing."""
        state = NEXT[self.state].get(event)
        if state is None:
            return False
        self.state, self.since_ns = state, now_ns
        if state is State.RECEIVING and self.heard_ns is None:
            self.heard_ns = now_ns
        return True

    def hear(self, now_ns: int, at_unix_ns: int, heard_unix_ns: int) -> None:
        """Take in when the newest packet came, as a report of ``at_unix_ns`` says.

        The worker speaks wall time, which may be set at any moment: only the difference within one report counts.
        """
        heard_ns = now_ns - max(0, at_unix_ns - heard_unix_ns)
        self.heard_ns = heard_ns if self.heard_ns is None else max(self.heard_ns, heard_ns)
        self.heard_unix_ns = heard_unix_ns


class Due(NamedTuple):
    """A tap's time is up."""

    ending: Ending
    problem: Problem | None = None


def due(tap: Tap, now_ns: int, reported_ns: int) -> Due | None:
    """Return why a tap must end now, if it must. ``reported_ns``: when its worker last reported, by the same clock."""
    limits = tap.limits
    match tap.state:
        case State.REQUESTED if now_ns - tap.since_ns >= opening_ns(tap):
            return Due(Ending.REFUSED, Problem("not_opened", f"not open after {_s(opening_ns(tap))}", "see /readyz"))
        case State.LISTENING if limits.start_ns is not None and reported_ns - tap.since_ns >= limits.start_ns:
            return Due(Ending.NO_PACKETS, _nothing_came(tap, limits.start_ns))
        case State.RECEIVING if limits.longest_ns is not None and now_ns - tap.since_ns >= limits.longest_ns:
            return Due(Ending.MAX_DURATION)
        case State.RECEIVING if tap.heard_ns is not None:
            silence_ns = borne_ns(tap)
            if silence_ns is not None and reported_ns - tap.heard_ns >= silence_ns:
                return Due(Ending.SILENCE)
    return None


def opening_ns(tap: Tap) -> int:
    """How long a tap may be ``requested``: for our own the relay's answer comes on top."""
    return tap.limits.opening_ns + (RELAY_NS if tap.wish.own else 0)


def borne_ns(tap: Tap) -> int | None:
    """How much silence a tap may have now (rule D6); None: any."""
    match tap.word:
        case Word.TAPPING:
            return None
        case Word.AWAY:
            return AWAY_SILENCE_NS
    return tap.limits.silence_ns


def _nothing_came(tap: Tap, waited_ns: int) -> Problem:
    """Rule D5: a hint at the likeliest reason."""
    foreign, invalid, unauthentic = tap.counts.foreign, tap.counts.invalid, tap.counts.unauthentic
    if tap.wish.device == "ws":
        hint = "did the platform reach [ws].uri, through the firewall and with a certificate that it trusts?"
    elif unauthentic:
        hint = (
            f"{unauthentic} datagrams had no right authentication tag: has the sender this tap's key, the suite"
            f" {tap.wish.suite}, and does it send SRTP at all?"
        )
    elif foreign:
        told = tap.wish.source or (f"{tap.wish.announced[0]}:{tap.wish.announced[1]}" if tap.wish.announced else None)
        hint = (
            f"{foreign} datagrams came from elsewhere than the source asked for ({told or tap.wish.policy}):"
            " ask for the address that the sender really has, or see [media].source"
        )
    elif invalid:
        codec, law = tap.wish.codec, tap.wish.law
        asked = f"{codec} of payload type {law}" if law >= DYNAMIC else "G.711"
        hint = f"{invalid} datagrams came that are no RTP with {asked}: look at the sender's codec and payload type"
    else:
        hint = (
            f"was the sender told the right address, is it [media].advertise, and does the firewall let UDP through to"
            f" port {tap.port}?"
        )
    return Problem("no_packets", f"no packet of the source came within {_s(waited_ns)}", hint)


def _s(span_ns: int) -> str:
    return f"{span_ns / SECOND:g} s"
