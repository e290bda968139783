"""The audit: silent about a healthy folder, also beside a daemon at work, and loud about each thing that is wrong."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import receiver
from receiver.archive import names
from receiver.archive.check import check
from receiver.archive.files import Files, StorageError
from receiver.archive.finish import finish, forget, refuse
from receiver.archive.publish import put_final
from receiver.archive.roll import roll
from receiver.archive.sidecar import Ending, Outcome
from receiver.wire.g711 import ULAW
from tests.archive.disk import kill_everywhere
from tests.archive.world import (
    ID,
    NAME,
    NOON_NS,
    OTHER,
    draft,
    facts,
    lay,
    problem,
    read_json,
    sound,
    with_absence,
)

WAV, JSON = f"{NAME}.wav", f"{NAME}.json"


@pytest.fixture
def healthy(files: Files, tmp_path: Path) -> Path:
    """One recording in one file, one in two files, one without sound."""
    finish(files, facts(lay(files, [with_absence(sound(800), (100, 260))]), [800]))
    forget(files, ID)
    keys = [lay(files, [sound(100, index)], index, 100 * index, draft(OTHER)) for index in range(2)]
    roll(files, draft(OTHER), keys[0], 100, 0, NOON_NS)
    finish(files, facts(keys[1], [200]))
    forget(files, OTHER)
    refuse(files, draft("018f3a5e-7c11-7d22-8e33-000000000001"), Ending.REFUSED, Outcome.FAILED, problem(), NOON_NS)
    forget(files, "018f3a5e-7c11-7d22-8e33-000000000001")
    return tmp_path


def codes(directory: Path) -> list[tuple[str, str]]:
    return [(finding.path, finding.code) for finding in check(directory)]


def test_a_healthy_folder_has_no_findings(healthy: Path) -> None:
    assert check(healthy) == []
    assert receiver.check is check


def test_a_folder_that_jobs_moved_recordings_to_is_checked_too(healthy: Path, tmp_path: Path) -> None:
    shutil.move(healthy / "ready", tmp_path / "moved")
    assert check(tmp_path / "moved") == []
    (tmp_path / "moved" / WAV).unlink()
    assert codes(tmp_path / "moved") == [(JSON, "missing")]
    assert sorted(path.name for path in (tmp_path / "moved").iterdir() if path.is_dir()) == []


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        check(tmp_path / "away")


def test_beside_a_recording_at_work_nothing_is_wrong(files: Files, tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    files = Files(template)
    keys = [lay(files, [sound(100, index)], index, 100 * index) for index in range(2)]
    files.write_durably(names.log(0), b"")
    files.write_durably(names.notes(ID), b"")
    files.close()

    def act(files: Files) -> None:
        roll(files, draft(), keys[0], 100, 0, NOON_NS)
        finish(files, facts(keys[1], [200]))

    for _, directory in kill_everywhere(tmp_path, template, act):
        left = [finding for finding in check(directory) if finding.code != "leftover"]
        assert left == []


def spoil(path: Path, at: int, octets: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(octets)] = octets
    path.write_bytes(bytes(content))


def rewrite(**fields: Any) -> Callable[[Path], None]:
    def act(ready: Path) -> None:
        (ready / JSON).write_text(json.dumps({**read_json(ready / JSON), **fields}))

    return act


def rehash(ready: Path) -> None:
    octets = (ready / WAV).read_bytes()
    rewrite(bytes=len(octets), sha256=hashlib.sha256(octets).hexdigest())(ready)


def header_lies(ready: Path) -> None:
    spoil(ready / WAV, 40, b"\0\0\0\0")
    rehash(ready)


def another_rate(ready: Path) -> None:
    spoil(ready / WAV, 24, (16_000).to_bytes(4, "little") + (32_000).to_bytes(4, "little"))
    rehash(ready)


def a_link(ready: Path) -> None:
    shutil.move(ready / WAV, ready.parent / "elsewhere.wav")
    (ready / WAV).symlink_to(ready.parent / "elsewhere.wav")


def without_hash(ready: Path) -> None:
    content = read_json(ready / JSON)
    del content["sha256"]
    (ready / JSON).write_text(json.dumps(content))


def cut_off(ready: Path) -> None:
    (ready / WAV).write_bytes((ready / WAV).read_bytes()[:-2])


SPOILED: list[tuple[str, Callable[[Path], Any], list[tuple[str, str]]]] = [
    ("an octet of the sound", lambda ready: spoil(ready / WAV, 444, b"\x55\xaa"), [(WAV, "hash")]),
    ("cut off", cut_off, [(WAV, "header"), (WAV, "size")]),
    ("a header that is not true", header_lies, [(WAV, "header")]),
    ("another rate", another_rate, [(WAV, "shape")]),
    ("no sound beside the sidecar", lambda ready: (ready / WAV).unlink(), [(JSON, "missing")]),
    ("no sidecar beside the sound", lambda ready: (ready / JSON).unlink(), [(WAV, "no_sidecar")]),
    ("a sidecar that is none", lambda ready: (ready / JSON).write_text("{"), [(JSON, "sidecar"), (WAV, "no_sidecar")]),
    ("a field of another kind", rewrite(frames="many"), [(JSON, "sidecar"), (WAV, "no_sidecar")]),
    ("a newer schema", rewrite(schema=2), [(JSON, "sidecar"), (WAV, "no_sidecar")]),
    ("frames", rewrite(frames=801, duration_s=0.1), [(WAV, "shape")]),
    ("gaps", rewrite(gaps=[]), [(JSON, "sidecar")]),
    ("a gap behind the end", rewrite(gaps=[{"frame": 799, "frames": 160, "channel": 0, "reason": "lost"}]),
     [(JSON, "sidecar")]),
    ("channels", rewrite(channels=[{"party": "speak"}, {"party": "listen"}]), [(WAV, "shape")]),
    ("an outcome without sound", rewrite(outcome="empty"), [(JSON, "sidecar")]),
    ("complete without sound", rewrite(file=None), [(JSON, "sidecar"), (WAV, "no_sidecar")]),
    ("no hash", without_hash, [(JSON, "sidecar"), (WAV, "no_sidecar")]),
    ("a hash that is none", rewrite(sha256=None), [(JSON, "sidecar"), (WAV, "no_sidecar")]),
    ("a path", rewrite(file="../spool/x.wav"), [(JSON, "sidecar"), (WAV, "no_sidecar")]),
    ("one file and several", rewrite(parts=[{"file": WAV, "frame": 0, "frames": 800, "bytes": 9, "sha256": "0" * 64}]),
     [(JSON, "claimed_twice"), (JSON, "sidecar"), (WAV, "size")]),
    ("a stray", lambda ready: (ready / "notes.txt").write_text("x"), [("notes.txt", "stray")]),
    ("a sound of a stranger", lambda ready: (ready / "x.wav").write_text("x"),
     [("x.wav", "header"), ("x.wav", "no_sidecar")]),
    ("a link", a_link, [(WAV, "stray")]),
]  # fmt: skip


@pytest.mark.parametrize(("act", "expected"), [case[1:] for case in SPOILED], ids=[case[0] for case in SPOILED])
def test_what_is_wrong_in_ready_is_found(
    act: Callable[[Path], Any], expected: list[tuple[str, str]], healthy: Path
) -> None:
    act(healthy / "ready")
    assert codes(healthy) == [(f"ready/{name}", code) for name, code in expected]


ENCODED = "018f3a5e-7c11-7d22-8e33-000000000002"


def encoded(files: Files, encoding: str) -> Path:
    """A recording in this encoding; its sidecar's path."""
    wanted = draft(ENCODED, encoding=encoding)
    done = finish(files, facts(lay(files, [ULAW.repeat(4)], of=wanted), [1_024], draft=wanted))
    forget(files, ENCODED)
    return files.directory / "ready" / str(done.file)


@pytest.mark.parametrize("encoding", ["g711", "flac"])
def test_the_audit_reads_each_encoding(encoding: str, files: Files, tmp_path: Path) -> None:
    sound = encoded(files, encoding)
    assert check(tmp_path) == []
    sidecar = next((tmp_path / "ready").glob("*.json"))
    told = read_json(sidecar)
    for wrong, code in (
        ({"encoding": "pcm16"}, "shape"), ({"encoding": "mp3"}, "shape"), ({"frames": 1_023}, "shape"),
        ({"sample_rate": 16_000}, "shape"), ({"channels": [{}, {}]}, "shape"), ({"sha256": "0" * 64}, "hash"),
    ):  # fmt: skip
        sidecar.write_text(json.dumps(told | wrong))
        assert codes(tmp_path) == [(f"ready/{sound.name}", code)], wrong
    sidecar.write_text(json.dumps(told))
    spoil(sound, 4, b"\xff")
    assert codes(tmp_path) == [(f"ready/{sound.name}", "hash"), (f"ready/{sound.name}", "header")]
    sidecar.unlink()
    assert codes(tmp_path) == [(f"ready/{sound.name}", "header"), (f"ready/{sound.name}", "no_sidecar")]


def test_what_is_wrong_in_spool_is_found(healthy: Path) -> None:
    spool = healthy / "spool"
    for name in ("README", f"{ID}.json.tmp", "probe-1.tmp", f"{ID}.0.0.0.part"):
        (spool / name).write_bytes(b"")
    assert codes(healthy) == [
        (f"spool/{ID}.0.0.0.part", "orphan"), (f"spool/{ID}.json.tmp", "leftover"), ("spool/README", "foreign"),
        ("spool/probe-1.tmp", "leftover"),
    ]  # fmt: skip


def test_files_in_a_row_must_follow(healthy: Path) -> None:
    (path,) = (healthy / "ready").glob(f"*{OTHER}.json")
    content = read_json(path)
    content["parts"][1]["frame"] = 99
    path.write_text(json.dumps(content))
    assert {code for _, code in codes(healthy)} == {"sidecar"}


def test_what_cannot_be_read_is_told(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Files.open

    def refuse_one(self: Files, name: str, write: bool = False) -> int:
        if name.endswith((WAV, f"{OTHER}.json")):
            raise PermissionError(13, "Permission denied")
        return original(self, name, write)

    monkeypatch.setattr(Files, "open", refuse_one)
    assert {code for path, code in codes(healthy) if path.endswith((WAV, f"{OTHER}.json"))} == {"unreadable"}


def test_what_a_job_takes_away_while_we_look_is_no_finding(healthy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Files.listing

    def with_more(self: Files, room: str) -> list[str]:
        more = [f"ready/gone.{kind}" for kind in ("json", "wav", "txt")] if room == "ready" else ["spool/gone"]
        return [*original(self, room), *more]

    monkeypatch.setattr(Files, "listing", with_more)
    assert check(healthy) == []


def test_nothing_is_changed(healthy: Path) -> None:
    def picture() -> list[tuple[str, int]]:
        return sorted((str(path), path.stat().st_mtime_ns) for path in healthy.rglob("*"))

    before = picture()
    check(healthy)
    assert picture() == before


def test_a_final_sidecar_in_spool_holds_its_recording(files: Files, tmp_path: Path) -> None:
    files.write_durably(names.woven(ID, 0), np.zeros(1).tobytes())
    put_final(files, finish(files, facts(lay(files, [sound(10)]), [10])))
    assert check(tmp_path) == []
