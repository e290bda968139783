"""Whole journeys of the daemon: two processes, the command line, files, restarts. Nothing in it is replaced."""

import json
import signal
from pathlib import Path

import pytest

from receiver.lab.plan import Caller, Plan
from receiver.lab.process import SenderProcess
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from tests.journeys.host import Host, host


def speak(one: Host, logs: Path, weather: str = "lossy", seconds: float = 2.0) -> dict[str, str]:
    """Open a tap and let one caller speak to it, to the end."""
    logs.mkdir()
    plan = Plan(callers=(Caller(id=1, seconds=seconds, weather=weather),), seed=3, log=str(logs))
    with SenderProcess(plan) as sender:
        tap: dict[str, str] = one.ask("tap", "open", "--source", sender.sources[0], "--label", "agent=7")
        sender.go([tap["uri"].removeprefix("rtp://")])
        assert not sender.wait(60.0).refused
    return tap


def test_a_tap_is_opened_shown_stopped_and_audited(tmp_path: Path) -> None:
    with host(tmp_path) as one:
        tap = speak(one, tmp_path / "logs")
        shown = one.ask("tap", "show", tap["id"])
        assert shown["state"] in ("listening", "receiving")
        assert shown["labels"] == {"agent": "7"}
        stopped = one.ask("tap", "stop", tap["id"], "--wait")
        assert (stopped["state"], stopped["outcome"]) == ("finished", "complete")
        assert one.ask("tap", "stop", tap["id"], "--wait")["state"] == "finished", "twice is once"
        (told,) = one.sidecars()
        found = prove(told, file_of(tmp_path / "logs", 1), Expected(ending="stopped"))
        assert found.exact, str(found)
        (row,) = one.ask("recordings")
        assert row["recording_id"] == tap["recording_id"]
        audit = one.run("check", str(one.recordings))
        assert audit.returncode == 0, audit.stdout
        assert one.end() == 0


@pytest.mark.all
def test_the_sound_is_there_over_http_part_by_part_until_a_job_takes_it(tmp_path: Path) -> None:
    with host(tmp_path, **{"storage.segment_s": "1"}) as one:
        tap = speak(one, tmp_path / "logs", weather="clean", seconds=2.5)
        one.ask("tap", "stop", tap["id"], "--wait")
        (told,) = one.sidecars()
        parts = json.loads(told.read_bytes())["parts"]
        assert len(parts) >= 2
        url = f"/v1/recordings/{tap['recording_id']}/audio"
        status, answer = one.get(url)
        assert status == 409
        assert [part["file"] for part in json.loads(answer)["parts"]] == [part["file"] for part in parts]
        for number, part in enumerate(parts, 1):
            assert one.get(f"{url}?part={number}") == (200, (told.parent / part["file"]).read_bytes())
        (told.parent / parts[0]["file"]).rename(tmp_path / "taken.wav")
        assert one.get(f"{url}?part=1")[0] == 410
        assert one.get(f"{url}?part=2")[0] == 200


@pytest.mark.all
def test_d7_sigterm_finishes_what_is_open_and_exits_0(tmp_path: Path) -> None:
    with host(tmp_path) as one:
        speak(one, tmp_path / "logs")
        assert one.end(signal.SIGTERM) == 0
        (told,) = one.sidecars()
        found = prove(told, file_of(tmp_path / "logs", 1), Expected(ending="shutdown"))
        assert found.exact, str(found)
        assert not list((one.recordings / "spool").glob("*.part"))


@pytest.mark.all
def test_c5_a_service_that_died_as_a_whole_is_repaired_at_the_next_start(tmp_path: Path) -> None:
    with host(tmp_path) as one:
        tap = speak(one, tmp_path / "logs", weather="clean", seconds=4.0)
        one.kill_all()
        one.start()
        (sidecar,) = one.sidecars()
        told = json.loads(sidecar.read_bytes())
        assert (told["recording_id"], told["ending"], told["outcome"]) == (tap["recording_id"], "recovered", "degraded")
        assert told["frames"] >= 2 * 8_000, "at most two seconds of four may be missing"
        assert one.ask("tap", "show", tap["id"])["outcome"] == "degraded", "every tap is accounted for"
        assert one.end() == 0


@pytest.mark.all
def test_p6_the_ledger_is_made_anew_when_it_is_lost(tmp_path: Path) -> None:
    with host(tmp_path) as one:
        tap = speak(one, tmp_path / "logs")
        one.ask("tap", "stop", tap["id"], "--wait")
        assert one.end() == 0
        for file in one.recordings.glob("ledger.sqlite3*"):
            file.unlink()
        one.start()
        (row,) = one.ask("recordings")
        assert (row["recording_id"], row["outcome"]) == (tap["recording_id"], "complete")


def test_d5_a_tap_that_nobody_sends_to_is_empty_and_says_where_to_look(tmp_path: Path) -> None:
    with host(tmp_path, **{"taps.start_timeout_s": "0.5"}) as one:
        tap = one.ask("tap", "open", "--source", "127.0.0.1:9")
        told = one.ask("tap", "stop", tap["id"], "--wait")
        assert told["outcome"] == "empty"
        (sidecar,) = one.sidecars()
        note = json.loads(sidecar.read_bytes())
        assert (note["file"], note["outcome"], note["frames"]) == (None, "empty", 0)
        assert note["problem"]["hint"]


@pytest.mark.all
def test_no_port_left_is_503_and_the_daemon_lives(tmp_path: Path) -> None:
    with host(tmp_path, **{"media.max_taps": "8", "media.ports": '"28600-28609"'}) as one:
        opened = [one.run("tap", "open", "--source", "any", "--json") for _ in range(9)]
        assert [done.returncode for done in opened] == [0] * 8 + [1]
        assert "503" in opened[-1].stderr or "taps" in opened[-1].stderr
        one.ask("tap", "stop", json.loads(opened[0].stdout)["id"])
        assert one.state()["ready"]


@pytest.mark.parametrize(("line", "path"), [
    ("media.tick = 100", "media.tick"), ('media.tick_ms = "fast"', "media.tick_ms"),
    ("media.tick_ms = 3", "media.tick_ms"), ('media.ports = "20000-20010"', "media.ports"),
])  # fmt: skip
def test_e_a_wrong_configuration_stops_the_start_with_the_path_of_the_key(line: str, path: str, tmp_path: Path) -> None:
    one = Host(tmp_path)
    key = line.partition(" ")[0]
    kept = [row for row in one.config.read_text().splitlines() if not row.startswith(f"{key} ")]
    one.config.write_text("\n".join([*kept, line, ""]))
    done = one.run("run")
    assert done.returncode == 78
    assert path in done.stderr


@pytest.mark.parametrize("broken", ["missing", "a file"])
def test_e_a_storage_folder_that_cannot_be_used_is_exit_73(broken: str, tmp_path: Path) -> None:
    one = Host(tmp_path)
    one.recordings.rmdir()
    if broken == "a file":
        one.recordings.write_text("")
    done = one.run("run")
    assert done.returncode == 73
    assert str(one.recordings) in done.stderr


def test_nobody_answers_is_exit_69(tmp_path: Path) -> None:
    done = Host(tmp_path).run("tap", "list")
    assert done.returncode == 69
    assert "is `tapdeck run` running?" in done.stderr
