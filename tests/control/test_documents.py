"""What an event says: what a job needs, what is not known left out, no secret."""

import json

from receiver.control.documents import document, of_recording, of_tap
from receiver.ledger.rows import Problem, read_summary
from tests.ledger.made import NOON, sidecar, tap


def test_a_tap_says_who_it_is_and_how_it_stands() -> None:
    row = tap(1, state="failed", outcome="failed", ending="refused", problem=Problem("c", "m"), control_id="x")
    assert json.loads(document("tap.finished", NOON, tap=of_tap(row))) == {
        "event": "tap.finished",
        "at": "2026-09-21T14:13:20Z",
        "tap": {
            "id": "tap-001", "recording_id": "rec-001", "state": "failed", "outcome": "failed", "ending": "refused",
            "control_id": "x", "direction": "both", "labels": {}, "problem": {"code": "c", "message": "m", "hint": ""},
        },
    }  # fmt: skip


def test_a_recording_says_what_a_job_needs_to_pick_it_up() -> None:
    assert of_recording(read_summary(sidecar(1))) == {
        "recording_id": "rec-001", "labels": {"team": "blue"}, "outcome": "complete", "ending": "stopped",
        "file": "rec-001.wav", "bytes": 16_044, "sha256": "0" * 64, "duration_s": 1.0,
    }  # fmt: skip
    empty = of_recording(read_summary(sidecar(1, "empty")))
    assert empty["file"] is None
