"""The ledger: each tap exactly one outcome, whatever is booked how often in which order."""

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.ledger.rows import FINAL_STATES, Problem, Seat
from receiver.ledger.store import Ledger, LedgerBroken, Note, Where
from tests.ledger.made import NOON, SECOND, sidecar, tap


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.sqlite3")
    yield made
    made.close()


def everything(ledger: Ledger) -> list[str]:
    return list(ledger._base.iterdump())


def test_what_was_asked_is_there_after_a_restart(tmp_path: Path) -> None:
    asked = tap(1, labels={"team": "blü"}, call_id="c", problem=Problem("code", "message"))
    first = Ledger(tmp_path / "l")
    assert first.fresh
    first.ask(asked)
    first.close()
    second = Ledger(tmp_path / "l")
    assert not second.fresh
    assert second.tap("tap-001") == asked
    assert second.tap("tap-002") is None
    second.close()


def test_nobody_else_may_read_it(ledger: Ledger) -> None:
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def test_a_tap_is_asked_for_once(ledger: Ledger) -> None:
    assert ledger.ask(tap(1))
    with pytest.raises(sqlite3.IntegrityError):
        ledger.ask(tap(1))
    assert not ledger.ask(tap(1, state="listening"), known=True)
    assert ledger.tap("tap-001") == tap(1)


def test_milestones_are_kept_and_the_first_time_of_each_stands(ledger: Ledger) -> None:
    ledger.ask(tap(1))
    ledger.note([Note("tap-001", "listening", 5), Note("tap-001", "receiving", 6), Note("tap-001", "receiving", 7)])
    ledger.note([Note("tap-001", "finishing", 8), Note("nobody", "listening", 9)])
    row = ledger.tap("tap-001")
    assert row is not None
    assert (row.state, row.listening_ns, row.receiving_ns) == ("finishing", 5, 6)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("complete", "finished"), ("degraded", "finished"), ("empty", "finished"), ("failed", "failed")],
)
def test_p6_a_booked_recording_ends_its_tap(ledger: Ledger, outcome: str, state: str) -> None:
    ledger.ask(tap(1))
    problem = {"code": "no_packets", "message": "none came", "hint": "look at the firewall"}
    assert ledger.book(sidecar(1, outcome, problem=problem), "2026/rec-001", NOON)
    row = ledger.tap("tap-001")
    assert row is not None
    assert (row.state, row.outcome, row.ending) == (state, outcome, "stopped")
    assert row.problem == Problem("no_packets", "none came", "look at the firewall")
    assert row.ended_ns == 1_790_000_060_500_000_000
    assert ledger.open_taps() == []
    booked = ledger.recording("rec-001")
    assert booked is not None
    assert (booked.stem, booked.summary.outcome, booked.summary.frames) == ("2026/rec-001", outcome, 8000)


def test_a16_ports_are_told_by_when_their_last_tap_was_booked(ledger: Ledger) -> None:
    ended = 1_790_000_060_500_000_000  # what the sidecars say
    for number, port, after_s in ((1, 20_000, 5), (2, 20_000, 7), (3, 20_002, 6), (4, None, 6), (5, 20_004, 1)):
        ledger.ask(msgspec.structs.replace(tap(number), port=port))
        ledger.book(sidecar(number), None, ended + after_s * SECOND)
    ledger.ask(msgspec.structs.replace(tap(6), port=20_006))
    since = ended + 2 * SECOND
    assert ledger.ports_given_back(since, 3 * SECOND) == {20_000: ended + 7 * SECOND, 20_002: ended + 6 * SECOND}
    assert ledger.ports_given_back(since, SECOND) == {}, "recordings that ended long before are not looked at"


def test_p6_booked_twice_is_booked_once(ledger: Ledger) -> None:
    ledger.ask(tap(1))
    assert ledger.book(sidecar(1), None, NOON)
    before = everything(ledger)
    assert not ledger.book(sidecar(1), None, NOON + 1)
    assert not ledger.book(sidecar(1, "degraded", ending="recovered"), None, NOON + 2)
    assert not ledger.end("tap-001", "failed", "refused", None, NOON + 3)
    ledger.note([Note("tap-001", "receiving", 9)])
    assert everything(ledger) == before


def test_where_a_recording_lies_may_be_learned_later_and_then_stands(ledger: Ledger) -> None:
    ledger.book(sidecar(1), None, NOON)
    for stem in ("a/rec-001", "b/rec-001"):
        assert not ledger.book(sidecar(1), stem, NOON)
    booked = ledger.recording("rec-001")
    assert booked is not None
    assert booked.stem == "a/rec-001"


def test_a_recording_of_a_tap_that_nobody_remembers_brings_the_tap_back(ledger: Ledger) -> None:
    assert ledger.book(sidecar(7, "degraded", ending="recovered", call_id="c"), None, NOON)
    row = ledger.tap("tap-007")
    assert row is not None
    assert (row.outcome, row.ending, row.labels, row.call_id, row.codec) == (
        "degraded", "recovered", {"team": "blue"}, "c", "PCMU",
    )  # fmt: skip
    assert row.requested_ns == 1_790_000_000_000_000_000


def test_a_recording_of_two_channels_ends_both_taps(ledger: Ledger) -> None:
    ledger.ask(tap(1))
    ledger.ask(tap(2, recording_id="rec-001"))
    ledger.book(sidecar(1, channels=[{"tap_id": "tap-001"}, {"tap_id": "tap-002"}]), None, NOON)
    assert ledger.open_taps() == []


@pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'{"recording_id": 1}', sidecar(1, "wonderful"), sidecar(1)[:-9]])
def test_what_is_no_sidecar_is_not_booked(ledger: Ledger, octets: bytes) -> None:
    before = everything(ledger)
    with pytest.raises(msgspec.MsgspecError):
        ledger.book(octets, None, NOON)
    assert everything(ledger) == before


def test_a_booking_that_fails_half_way_leaves_nothing(ledger: Ledger) -> None:
    ledger._base.execute("CREATE TRIGGER broken BEFORE UPDATE ON taps BEGIN SELECT RAISE(ABORT, 'disk'); END")
    before = everything(ledger)
    with pytest.raises(sqlite3.IntegrityError):
        ledger.book(sidecar(1), None, NOON)
    assert everything(ledger) == before


@given(st.lists(st.tuples(st.sampled_from(["ask", "note", "end", "book", "rebook"]), st.integers(1, 3)), max_size=20))
def test_p6_in_any_order_of_events_no_outcome_ever_changes(events: list[tuple[str, int]]) -> None:
    ledger = _unlinked()
    outcomes: dict[str, str] = {}
    for what, number in events:
        match what:
            case "ask":
                ledger.ask(tap(number), known=True)
            case "note":
                ledger.note([Note(f"tap-{number:03}", "receiving", 1)])
            case "end":
                ledger.end(f"tap-{number:03}", "failed", "refused", None, NOON)
            case "book":
                ledger.book(sidecar(number), None, NOON)
            case "rebook":
                ledger.book(sidecar(number, "degraded"), None, NOON)
        for row in ledger.taps(Where(), 9):
            assert (row.outcome is not None) == (row.state in FINAL_STATES)
            if row.outcome:
                assert outcomes.setdefault(row.id, row.outcome) == row.outcome
    ledger.close()


def test_taps_are_listed_newest_first_page_by_page(ledger: Ledger) -> None:
    for number in (3, 1, 5, 2, 4):
        ledger.ask(tap(number, requested_ns=NOON + number // 2))  # 2 and 3, 4 and 5 at the same instant
    seen, after = [], None
    while page := ledger.taps(Where(after=after), limit=2):
        seen += [row.id for row in page]
        after = (page[-1].requested_ns, page[-1].id)
    assert seen == ["tap-005", "tap-004", "tap-003", "tap-002", "tap-001"]


def test_taps_are_found_by_state_call_label_and_time(ledger: Ledger) -> None:
    ledger.ask(tap(1, call_id="c", labels={"team": "blue", "a.b": "$"}))
    ledger.ask(tap(2, call_id="c", labels={"team": "red"}))
    ledger.ask(tap(3, state="listening"))

    def found(where: Where) -> list[str]:
        return [row.id for row in ledger.taps(where, 9)]

    assert found(Where(call_id="c")) == ["tap-002", "tap-001"]
    assert found(Where(state="listening")) == ["tap-003"]
    assert found(Where(labels={"team": "blue"})) == ["tap-001"]
    assert found(Where(labels={"team": "blue", "a.b": "$"})) == ["tap-001"]
    assert found(Where(labels={"team": "blue", "a.b": "%"})) == []
    assert found(Where(labels={'"); DROP TABLE taps; --': "x"})) == []
    assert found(Where(since_ns=NOON + 2 * SECOND)) == ["tap-003", "tap-002"]
    assert found(Where(state="requested", call_id="c", since_ns=NOON + 2 * SECOND)) == ["tap-002"]


def test_why_a_tap_ends_is_written_down_as_soon_as_it_is_known(ledger: Ledger) -> None:
    ledger.ask(tap(1))
    ledger.note([Note("tap-001", "finishing", 5, "refused", Problem("code", "why"))])
    row = ledger.tap("tap-001")
    assert row is not None
    assert (row.state, row.ending, row.problem, row.outcome) == ("finishing", "refused", Problem("code", "why"), None)


def test_a_seat_of_a_later_version_is_read_as_far_as_it_is_known(ledger: Ledger) -> None:
    ledger.ask(tap(1))
    ledger._base.execute("""UPDATE taps SET seat = '{"slot": 4, "of a later version": 1}'""")
    row = ledger.tap("tap-001")
    assert row is not None
    assert row.seat == Seat(slot=4)


def test_a_new_source_is_written_down(ledger: Ledger) -> None:
    ledger.ask(tap(1))
    seat = Seat(slot=3, policy="exact", announced=("192.0.2.1", 5))
    ledger.point("tap-001", "192.0.2.1:5", seat)
    row = ledger.tap("tap-001")
    assert row is not None
    assert (row.source, row.seat) == ("192.0.2.1:5", seat)


def test_recordings_are_listed_newest_first_page_by_page(ledger: Ledger) -> None:
    for number in (2, 1, 3):
        ledger.book(sidecar(number, ended_at=f"2026-09-21T14:14:2{number}Z"), None, NOON)
    (newest, first), (middle, second) = ledger.recordings(limit=2)
    assert newest > middle
    ((_, third),) = ledger.recordings(limit=2, after=(middle, second.summary.recording_id))
    assert [row.summary.recording_id for row in (first, second, third)] == ["rec-003", "rec-002", "rec-001"]


def test_a_ledger_of_another_version_is_not_touched(tmp_path: Path) -> None:
    base = sqlite3.connect(tmp_path / "l")
    base.execute("PRAGMA user_version = 99")
    base.close()
    with pytest.raises(LedgerBroken, match="version 99"):
        Ledger(tmp_path / "l")


@pytest.mark.parametrize("octets", [b"not a database, by far" * 300, b"SQLite format 3\0" + b"\xff" * 4000])
def test_what_is_no_ledger_is_said_to_be_broken(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "l").write_bytes(octets)
    with pytest.raises(LedgerBroken):
        Ledger(tmp_path / "l")


def test_a_damaged_page_is_found_when_it_is_opened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    for number in range(300):
        ledger.ask(tap(number, labels={"a": "b" * 200}))
    ledger.close()
    octets = bytearray((tmp_path / "l").read_bytes())
    for page in range(6, 12):
        octets[page * 4096 : page * 4096 + 2000] = b"\xa5" * 2000
    (tmp_path / "l").write_bytes(octets)
    with pytest.raises(LedgerBroken):
        Ledger(tmp_path / "l")


def test_a_folder_that_is_not_there_is_an_operational_error(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Ledger(tmp_path / "no" / "l")


def _unlinked() -> Ledger:
    """A ledger whose folder is gone already: hypothesis wants one per example."""
    with tempfile.TemporaryDirectory() as folder:
        return Ledger(Path(folder) / "l")
