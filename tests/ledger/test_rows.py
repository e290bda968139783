"""Reading a sidecar for the ledger, and times to the microsecond."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from receiver.ledger.rows import moment, read_draft, read_summary, unix_ns
from tests.ledger.made import sidecar


@given(st.integers(0, 4_000_000_000_000_000))
def test_a_time_goes_there_and_back_exactly(microseconds: int) -> None:
    assert unix_ns(moment(microseconds * 1000)) == microseconds * 1000


def test_any_zone_will_do_and_none_is_utc() -> None:
    noon = datetime(2026, 9, 21, 12, tzinfo=UTC)
    assert unix_ns(noon.astimezone(timezone(timedelta(hours=7)))) == unix_ns(noon)
    assert unix_ns(noon.replace(tzinfo=None)) == unix_ns(noon)
    assert unix_ns(UNSET) is None
    assert moment(None) is UNSET


def test_a_summary_leaves_the_long_lists_in_the_file() -> None:
    summary = read_summary(sidecar(1))
    assert not hasattr(summary, "gaps")
    assert (summary.absent_frames, summary.tap_ids) == (160, ["tap-001"])


def test_the_taps_of_a_recording_are_named_once_each() -> None:
    channels = [{"tap_id": "tap-001"}, {"tap_id": "tap-009"}, {"party": "unknown"}]
    assert read_summary(sidecar(1, channels=channels)).tap_ids == ["tap-001", "tap-009"]
    assert read_summary(b'{"recording_id":"r","ending":"recovered","outcome":"degraded"}').tap_ids == []


def test_a_draft_is_read() -> None:
    draft = read_draft(
        b'{"recording_id":"r","tap_id":"t","requested_at":"2026-09-21T14:13:20Z","name":"{recording_id}"}'
    )
    assert (draft.recording_id, draft.tap_id, unix_ns(draft.requested_at)) == ("r", "t", 1_790_000_000_000_000_000)
