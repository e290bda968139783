"""How a command talks to the daemon."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from receiver.cli.client import Client, Denied
from receiver.cli.common import Away


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAPDECK_URL", "TAPDECK_CONFIG", "TAPDECK_HTTP__TOKEN", "TAPDECK_HTTP__LISTEN"):
        monkeypatch.delenv(name, raising=False)


def test_a_question_goes_out_and_its_answer_comes_back(server: Any) -> None:
    server.body = b'{"a": "\xc3\xa4"}'
    assert Client(None, server.url).get("/v1/taps", state="failed", call_id=None, since="2026 +") == {"a": "ä"}
    assert server.seen[:2] == ("GET", "/v1/taps?state=failed&since=2026+%2B")
    assert Client(None, f"{server.url}/below/").post("/v1/taps", {"b": 1}, wait="receiving") == {"a": "ä"}
    method, path, headers, octets = server.seen
    assert (method, path, json.loads(octets)) == ("POST", "/below/v1/taps?wait=receiving", {"b": 1})
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers


def test_the_daemon_is_found_by_flag_then_environment_then_configuration(
    server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "tapdeck.toml"
    config.write_text(f'[http]\nlisten = "{server.url.removeprefix("http://")}"\ntoken = "hush"\n')
    Client(config, None).get("/a")
    assert server.seen[2]["Authorization"] == "Bearer hush"
    monkeypatch.setenv("TAPDECK_URL", "http://127.0.0.1:1")
    with pytest.raises(Away, match=r"http://127\.0\.0\.1:1 "):
        Client(config, None).get("/a")
    Client(config, server.url).get("/b")
    assert server.seen[1] == "/b"


def test_a_daemon_that_listens_everywhere_is_also_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPDECK_HTTP__LISTEN", "0.0.0.0:81")
    monkeypatch.setenv("TAPDECK_HTTP__TOKEN", "hush")
    assert Client(None, None).url == "http://127.0.0.1:81"


def test_when_nobody_answers_the_likeliest_reason_is_asked() -> None:
    with pytest.raises(Away, match=r"no daemon answers at http://127\.0\.0\.1:1 ") as away:
        Client(None, "http://127.0.0.1:1").get("/")
    assert away.value.hint == "is `tapdeck run` running?"


def test_a_refused_token_is_said(server: Any) -> None:
    server.status = 401
    with pytest.raises(Away, match="refused the token"):
        Client(None, server.url).get("/")


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff\xfe"])
def test_somebody_else_is_no_daemon(server: Any, body: bytes) -> None:
    server.body = body
    with pytest.raises(Away, match="is no tapdeck"):
        Client(None, server.url).get("/")


def test_a_problem_is_told_with_its_hint(server: Any) -> None:
    server.status, server.body = 503, b'{"detail": "no space", "hint": "make some", "code": "storage"}'
    with pytest.raises(Denied, match="no space; make some") as denied:
        Client(None, server.url).get("/")
    assert (denied.value.status, denied.value.exit_code, denied.value.problem["code"]) == (503, 1, "storage")
    server.body = b"[]"
    with pytest.raises(Denied, match="HTTP status 503"):
        Client(None, server.url).get("/")


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8080", "http://", "x"])
def test_what_is_no_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(click.UsageError, match="--url"):
        Client(None, url)


def test_a_listing_is_fetched_page_by_page_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def get(self: Client, path: str, **query: Any) -> Any:
        asked.append(query)
        start = int(query["after"] or 0)
        rows = [{"n": number} for number in range(start, min(start + query["limit"], 7))]
        return {"rows": rows} | ({"next": str(start + len(rows))} if start + len(rows) < 7 else {})

    monkeypatch.setattr(Client, "get", get)
    monkeypatch.setattr("receiver.cli.client.PAGE", 3)
    client = Client(None, "http://x")
    assert [row["n"] for row in client.pages("/x", "rows", 99, state="y")] == [0, 1, 2, 3, 4, 5, 6]
    assert [query["limit"] for query in asked] == [3, 3, 3]
    assert [query["after"] for query in asked] == [None, "3", "6"]
    assert {query["state"] for query in asked} == {"y"}
    assert len(list(client.pages("/x", "rows", 4))) == 4
