"""What hooks are owed is kept over restarts, and an outcome is owed by the transaction that books it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.ledger import outbox as module
from receiver.ledger.outbox import Owed
from receiver.ledger.store import Ledger
from tests.ledger.made import NOON, SECOND, sidecar, tap


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """One with two hooks."""
    made = Ledger(tmp_path / "l")
    made.outbox.register(["a", "b"])
    yield made
    made.close()


def owed(ledger: Ledger, hook: str = "a", now_ns: int = NOON) -> list[tuple[str, str | None]]:
    """Event and tap of what is due."""
    return [(each.event, each.tap_id) for each in ledger.outbox.due(hook, now_ns, 99)]


def test_nothing_is_owed_where_there_is_no_hook(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.ask(tap(1))
    ledger.book(sidecar(1), None, NOON)
    ledger.outbox.put("relay.up", b"{}", NOON)
    ledger.outbox.register(["a"])
    assert owed(ledger) == []
    assert ledger.outbox.next_due_ns("a") is None
    ledger.close()


def test_an_outcome_is_owed_to_every_hook_once_however_often_it_is_booked(ledger: Ledger) -> None:
    ledger.ask(tap(1))
    ledger.ask(tap(2))
    for _ in range(2):
        ledger.book(sidecar(1), "s", NOON)
        ledger.end("tap-002", "failed", "refused", None, NOON)
    expected = [("tap.finished", "tap-001"), ("recording.ready", "tap-001"), ("tap.finished", "tap-002")]
    assert owed(ledger, "a") == owed(ledger, "b") == expected


def test_a_recording_that_was_recovered_is_owed_too(ledger: Ledger) -> None:
    ledger.book(sidecar(7, "degraded", ending="recovered"), "s", NOON)
    assert owed(ledger) == [("tap.finished", "tap-007"), ("recording.ready", "tap-007")]


def test_two_taps_of_one_recording_have_it_told_once(ledger: Ledger) -> None:
    for number in (1, 2):
        ledger.ask(tap(number, recording_id="rec-001"))
    channels = [{"tap_id": f"tap-{number:03}", "codec": "PCMU"} for number in (1, 2)]
    ledger.book(sidecar(1, channels=channels), "s", NOON)
    assert sorted(event for event, _ in owed(ledger)) == ["recording.ready", "tap.finished", "tap.finished"]


def test_what_is_owed_outlives_the_daemon_until_it_is_delivered(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.outbox.register(["a"])
    ledger.outbox.put("relay.up", b"{}", NOON)
    ledger.close()
    ledger = Ledger(tmp_path / "l")
    assert ledger.outbox.register(["a"]) == 0
    (call,) = ledger.outbox.due("a", NOON, 9)
    assert call == Owed(call.number, "relay.up", None, b"{}", NOON, 0)
    ledger.outbox.delivered(call.number)
    assert owed(ledger) == []
    ledger.outbox.put("relay.down", b"{}", NOON)
    assert ledger.outbox.due("a", NOON, 9)[0].number > call.number, "an id is never given twice"
    ledger.close()


def test_what_failed_is_due_later_and_knows_how_often(ledger: Ledger) -> None:
    ledger.outbox.put("relay.up", b"{}", NOON)
    ledger.outbox.put("relay.down", b"{}", NOON)
    first, second = ledger.outbox.due("a", NOON, 9)
    ledger.outbox.failed(first.number, NOON + SECOND)
    assert owed(ledger) == [("relay.down", None)]
    ledger.outbox.delivered(second.number)
    assert ledger.outbox.next_due_ns("a") == NOON + SECOND
    assert [each.tries for each in ledger.outbox.due("a", NOON + SECOND, 9)] == [1]
    assert len(owed(ledger, "b")) == 2, "hooks are apart from each other"


def test_a_hook_that_is_not_configured_any_more_is_owed_nothing(ledger: Ledger) -> None:
    ledger.outbox.put("relay.up", b"{}", NOON)
    assert ledger.outbox.register(["b"]) == 1
    assert (owed(ledger, "a"), len(owed(ledger, "b"))) == ([], 1)


def test_what_was_tried_for_too_long_is_given_up_and_what_was_not_tried_is_not(ledger: Ledger) -> None:
    ledger.outbox.put("relay.up", b"{}", NOON)
    ledger.outbox.put("relay.down", b"{}", NOON)
    ledger.outbox.failed(ledger.outbox.due("a", NOON, 1)[0].number, NOON)
    assert ledger.outbox.drop("a", NOON) == 0
    assert ledger.outbox.drop("a", NOON + 1) == 1
    assert owed(ledger) == [("relay.down", None)]


def test_the_outbox_is_bounded_and_the_oldest_go(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    for number in range(5):
        ledger.outbox.put("relay.up", b"%d" % number, NOON)
    assert ledger.outbox.drop("a", 0) == 3
    assert [each.document for each in ledger.outbox.due("a", NOON, 9)] == [b"3", b"4"]
    assert len(owed(ledger, "b")) == 5
