"""What a tap looks like to a worker and to the ledger."""

from receiver import link
from receiver.control import orders
from receiver.control.means import Berth
from receiver.control.taps import State
from receiver.ledger.rows import Problem
from tests.control.made import WISH, FakeSocket
from tests.control.test_taps import tap


def test_the_order_to_open_says_what_was_wished() -> None:
    made = tap(wish=WISH._replace(law=8, policy="exact", announced=("192.0.2.1", 5), call_id="c", node_id="n"))
    assert orders.opening(made) == link.Open(
        slot=0, tap_id="t", recording_id="r", port=20_000, law=8, policy="exact", announced=("192.0.2.1", 5),
        held=False, requested_at_ns=0, call_id="c", node_id="n", labels={"team": "blue"}, direction="both",
        layout="mono",
    )  # fmt: skip


def test_the_order_to_close_says_why() -> None:
    made = tap(ending="no_packets", problem=Problem("no_packets", "none", "look"))
    problem = {"code": "no_packets", "message": "none", "hint": "look"}
    assert orders.closing(made) == link.Close(0, "r", "no_packets", problem)
    assert orders.closing(tap(ending="stopped")).problem is None


def test_the_row_of_a_living_tap_has_no_outcome() -> None:
    row = orders.row(tap(State.RECEIVING, listening_unix_ns=1, receiving_unix_ns=2, outcome=None), "203.0.113.5")
    assert (row.state, row.listening_ns, row.receiving_ns, row.outcome) == ("receiving", 1, 2, None)
    assert (row.address, row.port, row.codec, row.ptime, row.source) == ("203.0.113.5", 20_000, "PCMU", 20, "any")


def test_a13_the_socket_for_rtcp_goes_behind_the_order() -> None:
    made, berth = tap(), Berth(20_000, FakeSocket(5), lambda: None)
    assert list(orders.openings(made, berth)) == [(orders.opening(made), (5,))]
    both = list(orders.openings(made, berth._replace(ear=FakeSocket(6))))
    assert both == [(orders.opening(made), (5,)), (link.Ear(made.slot, made.recording_id), (6,))]
