"""What the README tells a newcomer is run here, as it stands there."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

from receiver.archive import check
from receiver.cli import COMMANDS
from tests.journeys.host import host
from tests.journeys.test_daemon_journey import speak

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(marker: str) -> str:
    """The code behind a comment in the README."""
    found = re.search(rf"<!-- {re.escape(marker)}.*?-->\n```\w*\n(.*?)```", README, re.DOTALL)
    assert found, f"no block marked {marker!r}"
    return found[1]


def pick_up(ready: Path, taken: Path) -> None:
    """The six lines."""
    code = block("pick-up")
    assert len(code.strip().splitlines()) == 7, "a loop and its six lines"
    exec(compile(code, "README.md", "exec"), {"ready": ready, "taken": taken, "json": json, "sha256": sha256})


def test_the_pick_up_takes_each_kind_of_recording_whole(tmp_path: Path) -> None:
    taken = tmp_path / "recordings" / "taken"
    with host(tmp_path, **{"storage.segment_s": "1"}) as one:
        long = speak(one, tmp_path / "long", seconds=4.0)
        empty = one.ask("tap", "open", "--source", "127.0.0.1:9")
        for tap in (long, empty):
            one.ask("tap", "stop", tap["id"], "--wait")
        taken.mkdir()
        pick_up(one.recordings / "ready", taken)
        assert not list((one.recordings / "ready").iterdir())
        assert {box.name for box in taken.iterdir()} == {long["recording_id"], empty["recording_id"]}
        names = sorted(path.suffix for path in (taken / long["recording_id"]).iterdir())
        assert names.count(".json") == 1
        assert names.count(".wav") >= 3
        assert [path.suffix for path in (taken / empty["recording_id"]).iterdir()] == [".json"]
        assert not check.check(one.recordings)


def test_a_damaged_recording_is_not_taken(tmp_path: Path) -> None:
    taken = tmp_path / "recordings" / "taken"
    with host(tmp_path) as one:
        tap = speak(one, tmp_path / "log")
        one.ask("tap", "stop", tap["id"], "--wait")
        (sound,) = (one.recordings / "ready").glob("*.wav")
        sound.write_bytes(sound.read_bytes()[:-2])
        taken.mkdir()
        pick_up(one.recordings / "ready", taken)
        assert sound.exists()
        assert not list(taken.iterdir())


def test_every_command_is_in_the_table() -> None:
    told = {name.split("|")[0] for name in re.findall(r"^\| `tapdeck (\w+)", README, re.MULTILINE)}
    assert told == {name for name, text in COMMANDS.items() if text}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_what_the_readme_points_to_is_there(target: str) -> None:
    assert (ROOT / target).exists()
