"""``examples/pick_up.py``, the job of examples/compose.yaml: whole recordings, once, whatever was broken off."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "pick_up.py"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Ready and taken."""
    ready, taken = tmp_path / "ready", tmp_path / "taken"
    ready.mkdir()
    taken.mkdir()
    return ready, taken


def record(ready: Path, name: str, *sounds: bytes) -> None:
    """A recording: of no WAV, of one, or of several."""
    rows = [(f"{name}-{number}.wav", sound) for number, sound in enumerate(sounds)]
    for file, sound in rows:
        (ready / file).write_bytes(sound)
    parts = [{"file": file, "sha256": sha256(sound).hexdigest()} for file, sound in rows]
    note = {"recording_id": name, "file": None, "parts": [], **(parts[0] if len(parts) == 1 else {"parts": parts})}
    (ready / f"{name}.json").write_text(json.dumps(note))


def pick_up(ready: Path, taken: Path) -> str:
    """One round; what it said."""
    command = [sys.executable, str(SCRIPT), str(ready), str(taken), "--once"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_kind_of_recording_is_taken_whole(folders: tuple[Path, Path]) -> None:
    ready, taken = folders
    record(ready, "empty")
    record(ready, "one", b"sound")
    record(ready, "long", b"first", b"second")
    assert pick_up(ready, taken) == ""
    assert not names(ready)
    assert names(taken) == [
        "empty/empty.json", "long/long-0.wav", "long/long-1.wav", "long/long.json", "one/one-0.wav", "one/one.json"
    ]  # fmt: skip


def test_what_has_no_sidecar_yet_is_not_touched(folders: tuple[Path, Path]) -> None:
    ready, taken = folders
    (ready / "growing-0.wav").touch()
    pick_up(ready, taken)
    assert (names(ready), names(taken)) == (["growing-0.wav"], [])


def test_a_damaged_one_stays_and_is_named(folders: tuple[Path, Path]) -> None:
    ready, taken = folders
    record(ready, "one", b"sound")
    (ready / "one-0.wav").write_bytes(b"noise")
    assert "one-0.wav is not what its sidecar says" in pick_up(ready, taken)
    assert names(ready) == ["one-0.wav", "one.json"]
    assert not (taken / "one").exists()


def test_what_was_broken_off_is_done_again(folders: tuple[Path, Path]) -> None:
    ready, taken = folders
    record(ready, "copying", b"sound")
    (taken / ".copying").mkdir()
    (taken / ".copying" / "copying-0.wav").write_bytes(b"so")
    record(ready, "removing", b"sound")
    pick_up(ready, taken)
    (ready / "removing.json").write_bytes((taken / "removing" / "removing.json").read_bytes())
    pick_up(ready, taken)
    assert not names(ready)
    assert names(taken) == ["copying/copying-0.wav", "copying/copying.json", "removing/removing-0.wav",
                            "removing/removing.json"]  # fmt: skip
    assert (taken / "copying" / "copying-0.wav").read_bytes() == b"sound"
