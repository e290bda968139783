"""Every error is a problem document, and none tells what it should not."""

import sqlite3

import pytest
import structlog
from aiohttp import web

from tests.api.made import Outside, problem


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/taps/", 404, "not_found"),
        ("DELETE", "/v1/taps", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
        ("GET", "/v1/taps/nobody", 404, "no_such_tap"),
        ("POST", "/v1/taps/nobody/stop", 404, "no_such_tap"),
        ("GET", "/v1/recordings/nothing", 404, "no_such_recording"),
        ("GET", "/v1/taps?colour=red", 400, "query"),
        ("GET", "/v1/taps/..%2f..%2fetc%2fpasswd", 404, "no_such_tap"),
    ],
)
async def test_errors_of_aiohttp_and_of_ours_look_alike(
    outside: Outside, method: str, path: str, status: int, code: str
) -> None:
    client = await outside.client()
    response = await client.request(method, path)
    await problem(response, status, code)
    if status == 405:
        assert "Allow" in response.headers


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"source": "any"', "malformed_json"),
        (b'{"source": "\xff"}', "malformed_json"),
        (b'{"source": "any"}{}', "malformed_json"),
        (b"[" * 60_000, "invalid_body"),
        (b"[]", "invalid_body"),
        (b'{"sauce": "any"}', "invalid_body"),
        (b'{"source": 1}', "invalid_body"),
    ],
)
async def test_a_body_that_is_none_is_the_clients_error(outside: Outside, body: bytes, code: str) -> None:
    client = await outside.client()
    await problem(await client.post("/v1/taps", data=body), 400, code)


async def test_an_invalid_body_is_told_where(outside: Outside) -> None:
    client = await outside.client()
    response = await client.post("/v1/taps", json={"source": "any", "device": {"type": "rtp", "ptime": 25}})
    assert "$.device" in (await problem(response, 400, "invalid_body"))["detail"]


async def test_what_nobody_expected_goes_to_the_log_and_not_to_the_client(outside: Outside) -> None:
    client = await outside.client()

    async def explode(request: web.Request) -> web.Response:
        raise RuntimeError("the password is hush")

    outside.world.roster.open = explode  # type: ignore[assignment,method-assign]
    with structlog.testing.capture_logs() as said:
        response = await client.post("/v1/taps", json={"source": "any"})
    await problem(response, 500, "internal")
    assert "hush" not in await response.text()
    assert said[0]["event"] == "request failed"
    assert isinstance(said[0]["exc_info"], RuntimeError)


async def test_a_ledger_that_cannot_be_read_is_503(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await outside.client()

    def tap(tap_id: str) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(outside.world.clerk.ledger, "tap", tap)
    response = await client.get("/v1/taps/x")
    await problem(response, 503, "no_ledger")
    assert "I/O" not in await response.text()
