"""The switch's sockets: RELAY on a WebSocket, and the side door for who plays the other party."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from receiver.lab.switch.exchange import Exchange
from receiver.lab.switch.server import Server
from tests.lab.switch.talker import KEYS, PHONE, Sounds


class Outside:
    """A client of the server."""

    def __init__(self, server: Server, exchange: Exchange, session: aiohttp.ClientSession) -> None:
        self.exchange, self.session = exchange, session
        self.url = f"http://127.0.0.1:{server.port}"

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The side door."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        async with self.session.request(method, self.url + path, data=data) as response:
            text = await response.text()
            assert response.status == status, text
            return json.loads(text) if status == 200 else text

    @asynccontextmanager
    async def connected(self, path: str = "/") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A socket that is authenticated and receives calls of one topic."""
        async with self.session.ws_connect(self.url + path) as socket:
            keys = {"authentication": {"project": "p", "token": KEYS["p"]}, "contexts": ["office"]}
            await socket.send_json({"id": "1", "method": "signalwire.connect", "params": keys})
            assert "protocol" in (await socket.receive_json())["result"]
            assert (await socket.receive_json())["params"]["event_type"] == "signalwire.authorization.state"
            yield socket


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    exchange = Exchange(KEYS, Sounds())
    server = Server(exchange)
    await server.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        yield Outside(server, exchange, session)
    await server.stop()


@pytest.mark.parametrize("path", ["/", "/api/relay"])
async def test_relay_is_spoken_at_any_path(outside: Outside, path: str) -> None:
    async with outside.connected(path) as socket:
        await socket.send_json({"id": "2", "method": "calling.dial", "params": {"tag": "t", "devices": PHONE}})
        assert (await socket.receive_json())["result"]["code"] == "200"


async def test_a_call_comes_in_is_shown_and_hung_up_by_the_side_door(outside: Outside) -> None:
    await outside.ask("POST", "/lab/calls", {"topic": "office"}, 409)
    async with outside.connected() as socket:
        assert await outside.ask("GET", "/lab/sessions") == [
            {"project": "p", "up": True, "topics": ["office"], "sockets": 1}
        ]
        told = await outside.ask("POST", "/lab/calls", {"topic": "office", "from": "+1", "voice": {"seconds": 3}})
        assert (await socket.receive_json())["params"]["params"]["call_id"] == told["call_id"]
        (call,) = await outside.ask("GET", "/lab/calls")
        assert (call["call_id"], call["call_state"], call["taps"]) == (told["call_id"], "ringing", [])
        await outside.ask("DELETE", f"/lab/calls/{told['call_id']}")
        assert await outside.ask("GET", "/lab/calls") == []
        await outside.ask("DELETE", "/lab/calls/nobody", status=404)


async def test_sockets_fall_or_are_told_farewell(outside: Outside) -> None:
    async with outside.connected() as socket:
        await outside.ask("POST", "/lab/drop")
        await socket.receive()
        assert socket.close_code == 1006  # no farewell: so does a network
    async with outside.connected() as socket:
        await outside.ask("POST", "/lab/disconnect", {"restart": True})
        assert (await socket.receive_json())["params"] == {"restart": True}
        await socket.receive()
        assert socket.close_code == 1000


async def test_voices_and_faults_are_set_and_what_means_nothing_is_400_with_the_reason(outside: Outside) -> None:
    await outside.ask("PUT", "/lab/voices/+1", {"weather": "lossy", "hang_up": True})
    assert outside.exchange.voices["+1"].hang_up
    await outside.ask("PUT", "/lab/faults", {"garbage": 0.5})
    assert outside.exchange.faults.garbage == 0.5
    assert "garbge" in await outside.ask("PUT", "/lab/faults", {"garbge": 1}, 400)
    assert "truncated" in await outside.ask("PUT", "/lab/voices/+1", b"{", 400)
    assert "RELAY is spoken here" in await outside.ask("GET", "/elsewhere", status=404)


async def test_a_client_that_leaves_without_a_word_frees_its_leg(outside: Outside) -> None:
    async with outside.connected():
        pass
    async with asyncio.timeout(20):
        while any(each["up"] for each in await outside.ask("GET", "/lab/sessions")):
            pass
