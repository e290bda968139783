"""``tapdeck call``: the whole page in one command, against a switch in the box; and what may go wrong on the way."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.archive import check
from receiver.lab.proof import Expected, prove
from receiver.lab.senderlog import file_of
from receiver.lab.switch.process import SwitchProcess
from tests.journeys.exchange import until
from tests.journeys.host import environment

TOKEN = "PTvery-secret"


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[SwitchProcess]:
    with SwitchProcess(TOKEN, tmp_path / "senders") as one:
        yield one


def environ(switch: SwitchProcess, folder: Path, **more: str) -> dict[str, str]:
    (folder / "recordings").mkdir(exist_ok=True)
    first = 20_000 + os.getpid() % 9_000
    return environment() | {
        "SIGNALWIRE_PROJECT_ID": "lab", "SIGNALWIRE_API_TOKEN": TOKEN, "SIGNALWIRE_SPACE": switch.url,
        "TAPDECK_MEDIA__ADVERTISE": "127.0.0.1", "TAPDECK_STORAGE__DIRECTORY": str(folder / "recordings"),
        "TAPDECK_STORAGE__RESERVE_MB": "1",
        "TAPDECK_MEDIA__PORTS": f"{first}-{first + 99}", "TAPDECK_MEDIA__MAX_TAPS": "8",
    } | more  # fmt: skip


def start(environment: dict[str, str], *arguments: str, to: str = "+15550199") -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-m", "receiver", "call", "--to", to, "--from", "+15550100", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def called(environment: dict[str, str], *arguments: str, to: str = "+15550199") -> "subprocess.CompletedProcess[str]":
    with start(environment, *arguments, to=to) as process:
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess([], process.returncode, out, err)


def test_a_call_is_recorded_and_its_path_printed(tmp_path: Path, switch: SwitchProcess) -> None:
    done = called(environ(switch, tmp_path), "--seconds", "1.5", "--say", "Thank you")
    assert done.returncode == 0, done.stderr
    wav = Path(done.stdout.strip())
    assert wav.suffix == ".wav"
    proof = prove(wav.with_suffix(".json"), file_of(tmp_path / "senders", 1), Expected(ending="stopped"))
    assert proof.exact, str(proof)
    assert 1.4 * 8_000 <= proof.received <= 4 * 8_000
    assert switch.calls() == []
    assert not check.check(tmp_path / "recordings")
    assert done.stderr == ""


@pytest.mark.all
def test_who_wants_to_see_more_says_so(tmp_path: Path, switch: SwitchProcess) -> None:
    done = called(environ(switch, tmp_path, TAPDECK_LOG__LEVEL="debug"), "--seconds", "0.5")
    assert '"event": "recording finished"' in done.stderr
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.all
def test_a_person_who_interrupts_gets_what_was_recorded_until_then(tmp_path: Path, switch: SwitchProcess) -> None:
    with start(environ(switch, tmp_path), "--seconds", "600", "--json") as process:
        spool = tmp_path / "recordings" / "spool"
        until(lambda: any(part.stat().st_size > 8_000 for part in spool.glob("*.part")))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    told: dict[str, Any] = json.loads(out)
    assert (process.returncode, told["ending"]) == (0, "stopped"), err
    assert switch.calls() == []


@pytest.mark.all
def test_the_other_party_hangs_up_first(tmp_path: Path, switch: SwitchProcess) -> None:
    switch.voice("+15550199", id=3, seconds=1, hang_up=True)
    done = called(environ(switch, tmp_path), "--seconds", "600", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["outcome"], told["ending"]) == (0, "complete", "relay_finished"), done.stderr


@pytest.mark.all
@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("+15550486", "busy"),
        ("+15550603", "decline"),
        ("+15550404", "404"),
    ],
)
def test_a_number_that_is_not_reached_is_exit_1_with_the_reason(
    tmp_path: Path, switch: SwitchProcess, number: str, said: str
) -> None:
    done = called(environ(switch, tmp_path), to=number)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{number} was not reached: " in done.stderr
    assert said in done.stderr


@pytest.mark.all
def test_d3_a_bad_token_is_exit_69_with_one_clear_line(tmp_path: Path, switch: SwitchProcess) -> None:
    done = called(environ(switch, tmp_path, SIGNALWIRE_API_TOKEN="PTwrong"))
    assert done.returncode == 69
    (line,) = done.stderr.splitlines()
    assert line.startswith("tapdeck: the relay refused project and token: ")
    assert "[relay].token" in line
    assert "PTwrong" not in done.stderr


@pytest.mark.all
def test_a_refused_tap_is_exit_1_with_code_and_message_and_the_call_is_hung_up(
    tmp_path: Path, switch: SwitchProcess
) -> None:
    switch.faults(refuse={"calling.tap": ["400", "codec is busy"]})
    done = called(environ(switch, tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "failed: the relay refused the tap: codec is busy" in done.stderr
    assert switch.calls() == []


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"TAPDECK_MEDIA__ADVERTISE": ""}, 78, "media.advertise"),
        ({"SIGNALWIRE_PROJECT_ID": "", "SIGNALWIRE_API_TOKEN": ""}, 78, "relay.project, relay.token"),
        ({"TAPDECK_STORAGE__DIRECTORY": "/nowhere/at/all"}, 73, "does not exist"),
        ({"SIGNALWIRE_SPACE": "ws://relay.example"}, 78, "relay.host: expected HOST[:PORT]"),
    ],
)
def test_what_is_not_configured_is_said_with_the_key(
    tmp_path: Path, switch: SwitchProcess, changed: dict[str, str], status: int, said: str
) -> None:
    given = {name: value for name, value in (environ(switch, tmp_path) | changed).items() if value}
    done = called(given)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr


def test_a_folder_that_a_daemon_has_is_exit_73(tmp_path: Path, switch: SwitchProcess) -> None:
    from receiver.ledger.folder import Folder

    given = environ(switch, tmp_path)
    folder = Folder(tmp_path / "recordings")
    try:
        done = called(given)
    finally:
        folder.release()
    assert done.returncode == 73
    assert "is in use by another daemon" in done.stderr
