"""A tap of the daemon before us, made again from its row in the ledger (rule D7). Pure.

What it recorded is the worker's affair (its memory file, or its positions in spool); here only what was asked and how
far it got. Times in the ledger are UNIX time; what was waited for goes on being waited for.
"""

from typing import Final

from receiver.control.codecs import LAWS
from receiver.control.taps import Ending, Limits, State, Tap, Wish, Word
from receiver.ledger.rows import Problem, Seat, TapRow

KEY_LOST: Final = Problem(
    "key_lost", "the service was restarted, and the SRTP key of this tap was not kept: it lies in memory only",
    "ask for a new tap, with a new key",
)  # fmt: skip
RESTARTED: Final = Problem(
    "restarted", "the service was restarted before this tap had been started", "ask for the tap again"
)


def tap_of(row: TapRow, limits: Limits, now_ns: int, unix_ns: int) -> Tap | None:
    """Return the tap as it was; None where the row does not say enough to go on with it.

    ``now_ns`` is control's monotonic clock at UNIX time ``unix_ns``. Nobody is heard of before now: silence counts from
    here on. A tap on the relay is one of which the relay's word may have been missed.
    """
    if row.seat is None or row.outcome is not None or (row.port is None and row.device != "ws"):
        return None
    state, wish = State(row.state), _wish(row, row.seat)
    reached_unix_ns = {
        State.LISTENING: row.listening_ns,
        State.RECEIVING: row.receiving_ns,
    }.get(state) or unix_ns  # fmt: skip
    return Tap(
        id=row.id,
        recording_id=row.recording_id,
        worker=row.seat.worker,
        slot=row.seat.slot,
        port=row.seat.port or row.port or 0,
        wish=wish,
        limits=limits.of(wish),
        requested_unix_ns=row.requested_ns,
        since_ns=now_ns - max(0, unix_ns - reached_unix_ns),
        secret_digest=row.seat.secret,
        uri_digest=row.seat.uri,
        state=state,
        word=Word.AWAY if row.seat.own else Word(row.seat.word),
        durable=state is not State.REQUESTED,
        accepted=row.seat.accepted,
        listening_unix_ns=row.listening_ns,
        receiving_unix_ns=row.receiving_ns,
        heard_ns=now_ns if state is State.RECEIVING else None,
        turns=row.seat.turns,
        turned_ns=list(row.seat.turned_ns),
        ending=row.ending,
        problem=row.problem,
        channel=row.seat.channel,
    )


def cannot_go_on(tap: Tap) -> tuple[Ending, Problem] | None:
    """Why a tap that was made again ends here: it had not been started, or nothing of it could be read any more."""
    if tap.state is State.REQUESTED:
        return Ending.REFUSED, RESTARTED
    if tap.wish.suite is not None and tap.wish.key is None:
        return Ending.SHUTDOWN, KEY_LOST
    return None


def _wish(row: TapRow, seat: Seat) -> Wish:
    return Wish(
        law=LAWS.get(row.codec or "", 0) if seat.law is None else seat.law,
        ptime=row.ptime or 20,
        direction=row.direction or "both",
        layout=row.layout or "mono",
        labels=row.labels,
        policy=seat.policy,
        announced=seat.announced,
        source=row.source,
        call_id=row.call_id,
        node_id=row.node_id,
        control_id=None if seat.own else row.control_id,
        device=row.device or "rtp",
        own=seat.own,
        suite=seat.suite,
        fixed=seat.port if seat.fixed else None,
    )
