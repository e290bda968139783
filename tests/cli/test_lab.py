"""``tapdeck lab send``: what is asked for is sent; what cannot be is refused with a reason and an exit status."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from receiver.cli.lab import _destinations, command
from receiver.lab import senderlog
from receiver.lab.forecast import PRESETS
from receiver.lab.plan import Caller, Plan


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The command takes SIGTERM and SIGINT for the life of its process; here the process goes on."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    yield
    for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def tap() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as each:
        each.bind(("127.0.0.1", 0))
        each.setblocking(False)
        yield each


def where(tap: socket.socket) -> str:
    return f"127.0.0.1:{tap.getsockname()[1]}"


def heard(tap: socket.socket) -> list[bytes]:
    got: list[bytes] = []
    while True:
        try:
            got.append(tap.recv(65_535))
        except BlockingIOError:
            return got


def send(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["send", *arguments])


def test_one_line_sends_a_call(tap: socket.socket, tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = send("--to", where(tap), "--seconds", "0.2", "--codec", "pcma", "--ptime", "10", "--log", str(log))
    assert result.exit_code == 0, result.output
    assert [len(datagram) for datagram in heard(tap)] == [92] * 20
    assert "sending from 127.0.0.1:" in result.stdout
    assert "20 packets of 1 callers" in result.stdout
    assert f"log: {log}" in result.stdout
    assert set(senderlog.read(senderlog.file_of(log, 1)).packets["payload_type"].tolist()) == {8}


def test_json_is_the_addresses_and_then_the_summary(tap: socket.socket) -> None:
    result = send("--to", where(tap), "--seconds", "0.1", "--ssrc", "51966", "--speech", "--json")
    ready, summary = (json.loads(line) for line in result.stdout.splitlines())
    assert ready["sources"][0].startswith("127.0.0.1:")
    assert summary["packets"] == 5
    assert summary["octets"] == 5 * 172
    assert {int.from_bytes(datagram[8:12]) for datagram in heard(tap)} == {0xCAFE}


def test_callers_share_a_port_or_have_their_own(tap: socket.socket) -> None:
    result = send("--to", where(tap), "--to", where(tap), "--seconds", "0.1", "--own-ports", "--json")
    assert len(set(json.loads(result.stdout.splitlines()[0])["sources"])) == 2
    assert len(heard(tap)) == 10
    result = send("--to", where(tap), "--callers", "3", "--port-step", "0", "--seconds", "0.1", "--lean", "--json")
    assert len(set(json.loads(result.stdout.splitlines()[0])["sources"])) == 1
    assert len(heard(tap)) == 15


def test_callers_go_to_ports_counted_up_from_the_one_that_is_told() -> None:
    assert _destinations(("127.0.0.1:20000",), 3, 2) == ["127.0.0.1:20000", "127.0.0.1:20002", "127.0.0.1:20004"]
    assert _destinations(("[::1]:20000",), 2, 1) == ["[::1]:20000", "[::1]:20001"]
    assert _destinations(("127.0.0.1:1", "127.0.0.1:9"), 1, 2) == ["127.0.0.1:1", "127.0.0.1:9"]


@pytest.mark.all
def test_the_weather_can_be_named_and_changed(tap: socket.socket) -> None:
    result = send(
        "--to", where(tap), "--seconds", "1", "--weather", "lossy", "--set", "loss=0.5", "--set", "sizes=[40]"
    )
    assert result.exit_code == 0, result.output
    datagrams = heard(tap)
    assert 60 < len(datagrams) < 140
    assert {len(datagram) for datagram in datagrams} == {52}


def test_a_plan_says_it_all(tap: socket.socket, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(msgspec.json.encode(Plan((Caller(5, where(tap), seconds=0.1),), log=str(tmp_path))))
    assert send("--plan", str(file)).exit_code == 0
    assert len(heard(tap)) == len(senderlog.read(senderlog.file_of(tmp_path, 5)).packets) == 5


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "where to?"),
        (["--to", "nonsense"], "not HOST:PORT"),
        (["--to", "127.0.0.1:9", "--callers", "0"], "no port"),
        (["--to", "127.0.0.1:65535", "--callers", "2"], "no port 65537"),
        (["--to", "127.0.0.1:9", "--to", "127.0.0.1:11", "--callers", "3"], "one for each"),
        (["--to", "127.0.0.1:9", "--weather", "fog"], "no weather is called 'fog'"),
        (["--to", "127.0.0.1:9", "--set", "loss"], "KEY=VALUE"),
        (["--to", "127.0.0.1:9", "--set", "loss=much"], "not a JSON value"),
        (["--to", "127.0.0.1:9", "--set", "loss=2"], "loss is a share"),
        (["--to", "127.0.0.1:9", "--set", "fog=1"], "keys are loss"),
        (["--to", "127.0.0.1:9", "--ptime", "500"], "4000"),
        (["--to", "127.0.0.1:9", "--codec", "OPUS"], "'pcmu', 'pcma'"),
        (["--to", "127.0.0.1:9", "--lean", "--weather", "lossy"], "lean"),
        (["--to", "[::1]:9", "--source", "127.0.0.1"], "IP version"),
        (["--plan", "/no/such/plan"], "cannot read the plan"),
    ],
)
def test_a_wrong_command_is_refused_with_status_2(arguments: list[str], why: str) -> None:
    result = send(*arguments)
    assert result.exit_code == 2
    assert why in result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_that_is_not_ours_is_status_74() -> None:
    result = send("--to", "192.0.2.1:9", "--source", "192.0.2.77")
    assert result.exit_code == 74
    assert "cannot send: " in result.stderr
    assert "192.0.2.77" in result.stderr


def test_a_log_that_cannot_be_written_is_status_73(tap: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = send("--to", where(tap), "--seconds", "0.1", "--log", str(tmp_path / "file" / "log"))
    assert result.exit_code == 73
    assert "cannot write the log" in result.stderr


def test_what_the_kernel_refuses_is_status_1() -> None:
    result = send("--to", "255.255.255.255:9", "--source", "127.0.0.1", "--seconds", "0.1")
    assert result.exit_code == 1
    assert "the kernel refused 5 of 5 packets" in result.stderr


def test_the_weathers_are_listed() -> None:
    assert json.loads(send("--weathers", "--json").stdout).keys() == PRESETS.keys()
    listing = send("--weathers").stdout
    assert [line.split()[0] for line in listing.splitlines()] == list(PRESETS)
    assert "loss 0.05" in listing


def child(*arguments: str, **more: Any) -> "subprocess.Popen[str]":
    command_line = [sys.executable, "-m", "receiver", "lab", "send", *arguments]
    return subprocess.Popen(
        command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def test_with_wait_nothing_is_sent_before_the_line(tap: socket.socket) -> None:
    with child("--to", where(tap), "--seconds", "0.1", "--wait") as sender:
        assert sender.stdout is not None
        assert sender.stdout.readline().startswith("sending from")
        assert heard(tap) == []
        out, _ = sender.communicate("\n", timeout=60)
    assert sender.returncode == 0
    assert "5 packets" in out
    assert len(heard(tap)) == 5


@pytest.mark.parametrize(("said", "status", "why"), [("", 1, "nobody said go"), ("{nonsense\n", 2, "malformed")])
def test_whoever_waits_and_hears_nothing_or_nonsense_sends_nothing(
    tap: socket.socket, said: str, status: int, why: str
) -> None:
    with child("--to", where(tap), "--wait") as sender:
        _, err = sender.communicate(said, timeout=60)
    assert sender.returncode == status
    assert why in err
    assert heard(tap) == []


def test_sigterm_while_waiting_ends_it(tap: socket.socket) -> None:
    with child("--to", where(tap), "--wait", "--json") as sender:
        assert sender.stdout is not None
        sender.stdout.readline()
        sender.send_signal(signal.SIGTERM)
        sender.wait(60)
    assert sender.returncode == 1
    assert heard(tap) == []
