"""``tapdeck health``: ready, not ready, nobody there; and where it looks."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from receiver import cli
from receiver.cli import health
from receiver.settings import Settings
from tests.cli.made import run
from tests.daemon.made import Process

NOT_READY = (
    b'{"ready": false, "reasons": {"worker 0": "restarting", "storage": "the disk is full \xe2\x80\x93 96 MB left"}}'
)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TAPDECK_URL", "TAPDECK_CONFIG", "TAPDECK_HTTP__TOKEN", "TAPDECK_HTTP__LISTEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cli, "USUAL_PLACE", str(tmp_path / "nowhere"))


def test_a_daemon_that_is_ready_is_exit_0(daemon: Process, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("health", "--url", daemon.url) == 0
    assert capsys.readouterr().out == "ready\n"
    assert run("health", "--url", daemon.url, "--json") == 0
    assert json.loads(capsys.readouterr().out) == daemon.ask("/readyz")[1]


@pytest.mark.all
def test_one_that_goes_down_is_exit_1_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "storage").mkdir()
    daemon = Process(tmp_path / "storage", environ={"TAPDECK_HTTP__TOKEN": "hush"})
    try:
        daemon.until_ready()
        request = {"source": "any", "labels": {"standin": "hang"}}
        assert daemon.ask("/v1/taps", request, token="hush")[0] == 201
        daemon.process.send_signal(signal.SIGTERM)
        while run("health", "--url", daemon.url) == 0:
            assert daemon.process.poll() is None
        assert capsys.readouterr().out.splitlines()[-1] == "not ready: daemon: going down"
    finally:
        daemon.end(signal.SIGTERM)


def test_every_reason_is_a_line(server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    server.status, server.body = 503, NOT_READY
    assert run("health", "--url", f"{server.url}/below/") == 1
    assert capsys.readouterr().out.splitlines() == [
        "not ready: worker 0: restarting",
        "not ready: storage: the disk is full – 96 MB left",
    ]
    assert server.seen[:2] == ("GET", "/below/readyz")
    assert "Authorization" not in server.seen[2]


def test_nobody_there_is_exit_69_with_the_likeliest_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("health", "--url", "http://127.0.0.1:1") == 69
    assert capsys.readouterr().err == (
        "tapdeck: no daemon answers at http://127.0.0.1:1 (Connection refused); is `tapdeck run` running?\n"
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"ready": 1}', b'{"ready": true, "reasons": []}', b"\xff"])
def test_somebody_else_is_no_daemon(server: Any, body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    server.body = body
    assert run("health", "--url", server.url) == 69
    assert capsys.readouterr().err == f"tapdeck: what answers at {server.url} is no tapdeck; look at --url\n"


def test_an_answer_without_end_is_none(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LONGEST", 1_000)
    server.body = b" " * 2_000
    assert run("health", "--url", server.url) == 69
    monkeypatch.setattr(health, "LONGEST", 10_000)
    monkeypatch.setattr(health, "TIMEOUT_S", 0.0)
    assert run("health", "--url", server.url) == 69


def test_it_looks_where_flag_variable_and_configuration_say_in_this_order(
    server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.body = b'{"ready": true, "reasons": {}}'
    host = server.url.removeprefix("http://")
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(f"http.listen = '{host}'\nhttp.nonsense = 1\n")
    bad.write_text("[http]\nlisten = '127.0.0.1:1'\n")
    monkeypatch.setattr(cli, "USUAL_PLACE", str(good))
    assert run("health") == 0
    monkeypatch.setenv("TAPDECK_CONFIG", str(bad))
    assert run("health") == 69
    assert run("health", "--config", str(good)) == 0
    monkeypatch.setenv("TAPDECK_HTTP__LISTEN", host.replace("127.0.0.1", "0.0.0.0"))
    assert run("health") == 0
    monkeypatch.setenv("TAPDECK_URL", "http://127.0.0.1:1")
    assert run("health") == 69
    assert run("health", "--url", server.url) == 0


def test_without_a_word_it_is_where_a_daemon_listens_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert health._listens(None) == Settings().http.endpoint
    empty = tmp_path / "empty.toml"
    empty.touch()
    assert health._listens(str(empty)) == Settings().http.endpoint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http.listen = 8080", "http.listen: expected a text, found 8080 (file {})"),
        ("http.listen = ':8080'", "http.listen: expected ADDRESS:PORT, like 127.0.0.1:8080"),
        ("http = 1", "http: expected a table, found int (file {})"),
        ("http", "{}: not a TOML file: "),
        (None, "{}: cannot be read: No such file or directory"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_exit_78(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tapdeck.toml"
    if text is not None:
        file.write_text(text)
    assert run("health", "--config", str(file)) == 78
    assert capsys.readouterr().err.startswith(f"tapdeck: {said.format(file)}")


@pytest.mark.parametrize("words", [["--nonsense"], ["more"], ["--url", "nonsense"], ["--url"]])
def test_a_wrong_word_is_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("health", *words) == 2
    assert "Usage: tapdeck health" in capsys.readouterr().err
