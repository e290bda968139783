"""What a tap looks like to a worker and to the ledger, and what a worker's report says of taps. Pure."""

from collections.abc import Iterator

import msgspec

from receiver import link
from receiver.control.means import Berth
from receiver.control.taps import Counts, Ending, Tap
from receiver.ledger.rows import Seat, TapRow


def opening(tap: Tap) -> link.Open:
    """The order to record it. The same words each time: to a new worker after a death, too."""
    wish = tap.wish
    return link.Open(
        slot=tap.slot,
        tap_id=tap.id,
        recording_id=tap.recording_id,
        port=tap.port,
        law=wish.law,
        policy=wish.policy,
        announced=wish.announced,
        held=wish.own and not tap.accepted,
        requested_at_ns=tap.requested_unix_ns,
        call_id=wish.call_id,
        node_id=wish.node_id,
        labels=dict(wish.labels),
        direction=wish.direction,
        layout=wish.layout,
        control_id=control_id(tap),
        channel=tap.channel,
        channels=len(tap.sides) or 1,
        turns=tap.turns,
        turned_ns=list(tap.turned_ns),
        suite=wish.suite,
        key=wish.key,
    )


def openings(tap: Tap, berth: Berth) -> Iterator[tuple[link.ToWorker, tuple[int, ...]]]:
    """All that a worker must be told to record it, each with the sockets that go along."""
    yield opening(tap), (berth.socket.fileno(),)
    if berth.ear is not None:
        yield link.Ear(tap.slot, tap.recording_id), (berth.ear.fileno(),)


def pausing(tap: Tap) -> link.Pause:
    """When it was paused and resumed."""
    return link.Pause(tap.slot, tap.recording_id, tap.turns, list(tap.turned_ns))


def control_id(tap: Tap) -> str | None:
    """By which name the relay knows it: our own taps are called there as here."""
    return tap.id if tap.wish.own else tap.wish.control_id


def reported(report: link.Report) -> Iterator[tuple[int, str, int, int, Counts]]:
    """Slot, recording, UNIX time of the first and of the newest packet, and counts of every tap of a report."""
    counted = zip(
        report.packets, report.lost, report.duplicate, report.reordered, report.late_lost, report.invalid,
        report.foreign, report.unauthentic, report.edge_frames, strict=True,
    )  # fmt: skip
    columns = report.slots, report.recording_ids, report.first_ns, report.heard_ns, map(Counts._make, counted)
    return zip(*columns, strict=True)


def closing(tap: Tap) -> link.Close:
    """The order to end it, for the reason that was found first."""
    problem = msgspec.structs.asdict(tap.problem) if tap.problem else None
    return link.Close(tap.slot, tap.recording_id, tap.ending or Ending.STOPPED, problem)


def row(tap: Tap, address: str | None) -> TapRow:
    """The ledger's row of a tap that lives. ``address``: what the sender is told; a ``ws`` device's holds a secret, and
    stands in no row."""
    wish = tap.wish
    over_ws = wish.device == "ws"
    return TapRow(
        id=tap.id,
        recording_id=tap.recording_id,
        state=tap.state,
        call_id=wish.call_id,
        node_id=wish.node_id,
        labels=dict(wish.labels),
        direction=wish.direction,
        layout=wish.layout,
        codec=wish.codec,
        ptime=wish.ptime,
        control_id=control_id(tap),
        device=wish.device,
        source=wish.source,
        address=None if over_ws else address,
        port=None if over_ws else tap.port,
        requested_ns=tap.requested_unix_ns,
        listening_ns=tap.listening_unix_ns,
        receiving_ns=tap.receiving_unix_ns,
        ending=tap.ending,
        outcome=tap.outcome,
        problem=tap.problem,
        seat=seat(tap),
    )


def seat(tap: Tap) -> Seat:
    """What the next daemon must know to go on with it."""
    return Seat(
        worker=tap.worker,
        slot=tap.slot,
        port=tap.port,
        fixed=tap.wish.fixed is not None,
        policy=tap.wish.policy,
        announced=tap.wish.announced,
        own=tap.wish.own,
        accepted=tap.accepted,
        word=tap.word,
        secret=tap.secret_digest,
        uri=tap.uri_digest,
        law=tap.wish.law,
        channel=tap.channel,
        turns=tap.turns,
        turned_ns=list(tap.turned_ns),
        suite=tap.wish.suite,
    )
