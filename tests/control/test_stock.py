"""Taking stock at a start: no tap stays without an outcome."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.control.stock import take_stock
from receiver.ledger.store import Ledger, Where
from tests.ledger.made import NOON, sidecar, tap


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "l")
    yield made
    made.close()


def test_p6_every_tap_that_was_left_gets_exactly_one_outcome(ledger: Ledger) -> None:
    for number, state in enumerate(["requested", "listening", "receiving", "finishing", "receiving", "finished"]):
        ledger.ask(tap(number, state=state, outcome="complete" if state == "finished" else None))
    repaired = [sidecar(4, "degraded", ending="recovered"), sidecar(9, "degraded", ending="recovered")]
    assert take_stock(ledger, repaired, lambda summary: f"a/{summary.recording_id}", NOON) == (2, 4)
    rows = {
        row.id: (row.state, row.outcome, row.problem.code if row.problem else None) for row in ledger.taps(Where(), 99)
    }
    assert rows == {
        "tap-000": ("failed", "failed", "never_began"),
        "tap-001": ("finished", "degraded", "unaccounted"),
        "tap-002": ("finished", "degraded", "unaccounted"),
        "tap-003": ("finished", "degraded", "unaccounted"),
        "tap-004": ("finished", "degraded", None),
        "tap-005": ("finished", "complete", None),
        "tap-009": ("finished", "degraded", None),
    }
    found = ledger.recording("rec-004")
    assert found is not None
    assert found.stem == "a/rec-004"


def test_twice_is_once(ledger: Ledger) -> None:
    ledger.ask(tap(1))
    repaired = [sidecar(2)]
    take_stock(ledger, repaired, lambda summary: None, NOON)
    before = list(ledger._base.iterdump())
    assert take_stock(ledger, repaired, lambda summary: None, NOON + 1) == (0, 0)
    assert list(ledger._base.iterdump()) == before


def test_d7_a_tap_that_goes_on_is_left_alone(ledger: Ledger) -> None:
    for number in (1, 2):
        ledger.ask(tap(number, state="receiving"))
    assert take_stock(ledger, [], lambda summary: None, NOON, {"tap-001"}) == (0, 1)
    assert [row.id for row in ledger.open_taps()] == ["tap-001"]
