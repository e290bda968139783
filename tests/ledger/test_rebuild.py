"""A ledger that was lost or broken comes back from the JSON files in spool/ and ready/."""

import json
import os
from pathlib import Path

import pytest

from receiver.ledger import rebuild as rebuilding
from receiver.ledger.rebuild import Found, open_ledger, rebuild
from receiver.ledger.store import Ledger, Where
from tests.ledger.made import NOON, sidecar, tap


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "ready" / "2026").mkdir(parents=True)
    (tmp_path / "spool").mkdir()
    (tmp_path / "ready" / "rec-001.json").write_bytes(sidecar(1))
    (tmp_path / "ready" / "rec-001.wav").write_bytes(b"RIFF")
    (tmp_path / "ready" / "2026" / "rec-002.json").write_bytes(sidecar(2, "empty", ending="no_packets"))
    (tmp_path / "spool" / "rec-003.done").write_bytes(sidecar(3, "degraded"))
    (tmp_path / "spool" / "rec-004.json").write_bytes(sidecar(4))
    (tmp_path / "spool" / "rec-005.draft").write_bytes(draft(5))
    (tmp_path / "spool" / "rec-005.0.0.0.part").write_bytes(bytes(320))
    return tmp_path


def draft(number: int) -> bytes:
    fields = {"recording_id": f"rec-{number:03}", "tap_id": f"tap-{number:03}", "name": "{recording_id}"}
    return json.dumps(fields | {"requested_at": "2026-09-21T14:13:20Z", "labels": {"team": "blue"}}).encode()


def outcomes(ledger: Ledger) -> dict[str, str | None]:
    return {row.id: row.outcome for row in ledger.taps(Where(), 99)}


TRUTH = {"tap-001": "complete", "tap-002": "empty", "tap-003": "degraded", "tap-004": "complete", "tap-005": None}


def test_a_lost_ledger_comes_back(directory: Path) -> None:
    ledger, said = open_ledger(directory / "ledger.sqlite3")
    assert said is None
    assert rebuild(ledger, directory, NOON) == Found(4, 1, 0)
    assert outcomes(ledger) == TRUTH
    stems = {row.summary.recording_id: row.stem for _, row in ledger.recordings(9)}
    assert stems == {"rec-001": "rec-001", "rec-002": "2026/rec-002", "rec-003": None, "rec-004": None}
    (open_tap,) = ledger.open_taps()
    assert (open_tap.recording_id, open_tap.state, open_tap.labels) == ("rec-005", "listening", {"team": "blue"})
    ledger.close()


def test_twice_is_once(directory: Path) -> None:
    ledger, _ = open_ledger(directory / "ledger.sqlite3")
    rebuild(ledger, directory, NOON)
    before = list(ledger._base.iterdump())
    assert rebuild(ledger, directory, NOON + 1) == Found(0, 0, 0)
    assert list(ledger._base.iterdump()) == before
    ledger.close()


def test_what_the_ledger_knows_better_stands(directory: Path) -> None:
    ledger, _ = open_ledger(directory / "ledger.sqlite3")
    ledger.ask(tap(1, call_id="c"))
    ledger.ask(tap(5, call_id="c"))
    ledger.end("tap-005", "failed", "refused", None, NOON)
    rebuild(ledger, directory, NOON)
    assert outcomes(ledger) == TRUTH | {"tap-005": "failed"}
    row = ledger.tap("tap-001")
    assert row is not None
    assert row.call_id == "c"
    ledger.close()


def test_a_draft_of_two_taps_is_two_rows_of_one_recording(directory: Path) -> None:
    told = json.loads(draft(6)) | {"layout": "stereo", "direction": "both"}
    told["channels"] = [{"party": "speak", "tap_id": "tap-006"}, {"party": "listen", "tap_id": "tap-007"}]
    (directory / "spool" / "rec-006.draft").write_text(json.dumps(told))
    ledger, _ = open_ledger(directory / "ledger.sqlite3")
    rebuild(ledger, directory, NOON)
    rows = {row.id: (row.recording_id, row.direction, row.layout) for row in ledger.open_taps()}
    assert rows["tap-006"] == ("rec-006", "speak", "stereo")
    assert rows["tap-007"] == ("rec-006", "listen", "stereo")
    ledger.close()


def test_two_taps_of_a_lost_ledger_get_their_outcome_from_one_sidecar(directory: Path) -> None:
    told = json.loads(sidecar(8)) | {"layout": "stereo", "direction": "both", "tap_id": "tap-008"}
    told["channels"] = [{"party": "speak", "tap_id": "tap-008"}, {"party": "listen", "tap_id": "tap-009"}]
    (directory / "ready" / "rec-008.json").write_text(json.dumps(told))
    ledger, _ = open_ledger(directory / "ledger.sqlite3")
    rebuild(ledger, directory, NOON)
    rows = [ledger.tap(tap_id) for tap_id in ("tap-008", "tap-009")]
    assert [(row.outcome, row.direction) for row in rows if row] == [("complete", "speak"), ("complete", "listen")]
    assert [row.summary.recording_id for _, row in ledger.recordings(99)].count("rec-008") == 1
    assert ledger.outcomes()["complete"] == 3
    ledger.close()


def test_what_is_no_sidecar_is_counted_and_left_alone(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "LARGEST", 10_000)
    bad = {"half": sidecar(8)[:40], "empty": b"", "large": b" " * 10_001, "odd": sidecar(8, "wonderful"), "list": b"[]"}
    for name, octets in bad.items():
        (directory / "ready" / f"{name}.json").write_bytes(octets)
    (directory / "ready" / "link.json").symlink_to(directory / "ready" / "rec-001.json")
    (directory / "ready" / "folder.json").mkdir()
    os.mkfifo(directory / "ready" / "pipe.json")
    (directory / "spool" / "bad.draft").write_bytes(b"{}")
    ledger, _ = open_ledger(directory / "ledger.sqlite3")
    assert rebuild(ledger, directory, NOON) == Found(4, 1, len(bad) + 3)
    assert outcomes(ledger) == TRUTH
    ledger.close()


def test_a_folder_without_rooms_holds_nothing(tmp_path: Path) -> None:
    ledger, _ = open_ledger(tmp_path / "l")
    assert rebuild(ledger, tmp_path, NOON) == Found(0, 0, 0)
    ledger.close()


def test_a_broken_ledger_is_put_aside_and_made_anew(directory: Path) -> None:
    path = directory / "ledger.sqlite3"
    for number in (1, 2):
        path.write_bytes(b"ruins" * 1000)
        ledger, said = open_ledger(path)
        assert said is not None
        assert said.endswith(f"put aside as ledger.sqlite3.broken-{number}")
        assert ledger.fresh
        rebuild(ledger, directory, NOON)
        assert outcomes(ledger) == TRUTH
        ledger.close()
        assert (directory / f"ledger.sqlite3.broken-{number}").read_bytes() == b"ruins" * 1000


def test_a_part_is_never_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    really = rebuilding._read

    def reading(file: Path) -> bytes:
        read.append(file.suffix)
        return really(file)

    monkeypatch.setattr(rebuilding, "_read", reading)
    ledger, _ = open_ledger(directory / "ledger.sqlite3")
    rebuild(ledger, directory, NOON)
    assert set(read) == {".json", ".done", ".draft"}
    ledger.close()
