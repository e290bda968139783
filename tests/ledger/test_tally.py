"""Recordings are counted with their outcome, once each, whatever is booked how often in which order."""

from pathlib import Path

import pytest

from receiver.ledger.store import Ledger
from receiver.ledger.tally import OUTCOMES
from tests.ledger.made import NOON, sidecar, tap

NONE = dict.fromkeys(OUTCOMES, 0)


def test_a_new_ledger_counts_from_nothing_and_names_every_outcome(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    assert ledger.outcomes() == {"complete": 0, "degraded": 0, "empty": 0, "failed": 0}
    ledger.close()


def test_each_recording_counts_once_however_often_it_is_booked(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    for number in (1, 2, 3, 4):
        ledger.ask(tap(number))
    for _ in range(2):
        ledger.book(sidecar(1), None, NOON)
        ledger.book(sidecar(2, "empty"), None, NOON)
        ledger.end("tap-003", "failed", "refused", None, NOON)
        ledger.end("tap-001", "degraded", "stopped", None, NOON)
    assert ledger.outcomes() == NONE | {"complete": 1, "empty": 1, "failed": 1}
    ledger.close()


def test_one_that_the_ledger_did_not_know_counts_too(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.book(sidecar(7), None, NOON)
    assert ledger.outcomes() == NONE | {"complete": 1}
    ledger.close()


@pytest.mark.parametrize("order", [("tap-001", "tap-002"), ("tap-002", "tap-001")])
def test_two_taps_of_one_recording_are_one(tmp_path: Path, order: tuple[str, str]) -> None:
    ledger = Ledger(tmp_path / "l")
    for number in (1, 2):
        ledger.ask(tap(number, recording_id="rec-001"))
    for tap_id in order:
        ledger.end(tap_id, "degraded", "stopped", None, NOON)
    assert ledger.outcomes() == NONE | {"degraded": 1}
    ledger.close()


def test_the_count_outlives_the_daemon_and_the_history(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.book(sidecar(1), None, NOON)
    ledger._base.execute("DELETE FROM taps")
    ledger.close()
    ledger = Ledger(tmp_path / "l")
    assert ledger.outcomes() == NONE | {"complete": 1}
    ledger.close()


def test_a_ledger_that_did_not_count_until_now_is_counted_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    for number in (1, 2):
        ledger.ask(tap(number, recording_id="rec-001"))
        ledger.end(f"tap-{number:03}", "complete", "stopped", None, NOON)
    ledger.ask(tap(3))
    ledger._base.executescript("DROP TRIGGER tally_counts_along; DROP TABLE tally;")
    ledger.close()
    ledger = Ledger(tmp_path / "l")
    assert ledger.outcomes() == NONE | {"complete": 1}
    ledger.end("tap-003", "empty", "no_packets", None, NOON)
    assert ledger.outcomes() == NONE | {"complete": 1, "empty": 1}
    ledger.close()
