"""The tables hold by themselves what must hold: nobody can give a tap a second outcome, or none."""

import sqlite3
from pathlib import Path

import pytest

from receiver.ledger.rows import Seat
from receiver.ledger.schema import STEPS, VERSION
from receiver.ledger.store import Ledger
from tests.ledger.made import NOON, sidecar, tap


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE taps SET outcome = 'degraded' WHERE id = 'tap-001'",
        "UPDATE taps SET outcome = NULL, state = 'listening' WHERE id = 'tap-001'",
        "UPDATE taps SET state = 'listening' WHERE id = 'tap-002'",
        "UPDATE taps SET outcome = 'complete' WHERE id = 'tap-003'",
        "UPDATE taps SET outcome = 'complete', state = 'failed' WHERE id = 'tap-003'",
        "UPDATE taps SET outcome = 'failed', state = 'finished' WHERE id = 'tap-003'",
        "UPDATE taps SET outcome = 'wonderful', state = 'finished' WHERE id = 'tap-003'",
        "UPDATE taps SET state = 'finished' WHERE id = 'tap-003'",
        "DELETE FROM taps WHERE id = 'tap-003'",
        "INSERT INTO taps (id, recording_id, state, requested_ns) VALUES ('x', 'x', 'finished', 1)",
        "INSERT INTO taps (id, recording_id, state, requested_ns) VALUES ('x', 'x', 'dreaming', 1)",
    ],
)
def test_p6_the_tables_refuse_a_second_or_a_missing_outcome(tmp_path: Path, change: str) -> None:
    ledger = Ledger(tmp_path / "l")
    for number in (1, 2, 3):
        ledger.ask(tap(number))
    ledger.book(sidecar(1), None, NOON)
    ledger.end("tap-002", "failed", "refused", None, NOON)
    before = list(ledger._base.iterdump())
    with pytest.raises(sqlite3.IntegrityError):
        ledger._base.execute(change)
    assert list(ledger._base.iterdump()) == before
    ledger.close()


def test_the_version_stands_in_the_file(tmp_path: Path) -> None:
    Ledger(tmp_path / "l").close()
    base = sqlite3.connect(tmp_path / "l")
    assert base.execute("PRAGMA user_version").fetchone() == (VERSION,)
    base.close()


def test_a_ledger_of_the_version_before_is_brought_up_and_keeps_everything(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.ask(tap(1, labels={"team": "blue"}))
    ledger.close()
    base = sqlite3.connect(tmp_path / "l")
    base.executescript("ALTER TABLE taps DROP COLUMN seat; PRAGMA user_version = 2;")
    base.close()
    ledger = Ledger(tmp_path / "l")
    assert not ledger.fresh
    assert ledger.tap("tap-001") == tap(1, labels={"team": "blue"})
    ledger.seat("tap-001", Seat(slot=3))
    row = ledger.tap("tap-001")
    assert row is not None
    assert row.seat == Seat(slot=3)
    ledger.close()


def test_every_step_leads_to_this_version() -> None:
    assert set(STEPS) == set(range(min(STEPS), VERSION))
