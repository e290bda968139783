"""What the README tells a newcomer is run here, as it stands there."""

import json
import re
import shlex
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from receiver.archive import check
from receiver.cli import COMMANDS
from tests.journeys.host import environment, host
from tests.journeys.test_daemon_journey import speak

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(marker: str) -> str:
    """The code behind a comment in the README."""
    found = re.search(rf"<!-- {re.escape(marker)}[^>]*-->\n```\w*\n(.*?)```", README, re.DOTALL)
    assert found, f"no block marked {marker!r}"
    return found[1]


def pick_up(ready: Path, taken: Path) -> None:
    """The six lines."""
    code = block("pick-up")
    assert len(code.strip().splitlines()) == 7, "a loop and its six lines"
    exec(compile(code, "README.md", "exec"), {"ready": ready, "taken": taken, "json": json, "sha256": sha256})


@pytest.mark.all
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


@pytest.mark.all
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


@pytest.mark.all
def test_a_call_without_an_account_is_recorded_by_the_lines_that_stand_there(tmp_path: Path) -> None:
    """Both terminals, but for the switch's port, and for ``tapdeck`` in the place of ``./run``."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    tapdeck = f"{shlex.quote(sys.executable)} -m receiver"
    switch, call = (block(each).replace("./run", tapdeck).replace("8090", port) for each in ("lab switch", "lab call"))
    given = environment() | {"TAPDECK_MEDIA__PORTS": "26000-26099", "TAPDECK_MEDIA__MAX_TAPS": "8"}
    with subprocess.Popen(["sh", "-c", f"exec env {switch}"], stdout=subprocess.PIPE, env=given, cwd=tmp_path) as child:
        try:
            assert child.stdout is not None
            assert b"the switch listens on" in child.stdout.readline()
            done = subprocess.run(
                ["sh", "-ec", call], env=given, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
            )
        finally:
            child.terminate()
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == tmp_path / "recordings" / "ready"
    assert not check.check(tmp_path / "recordings")
