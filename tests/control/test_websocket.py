"""The socket to the relay for real: a server of aiohttp's on loopback, and everything that it may do."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from receiver.control.door import SocketClosed
from receiver.control.websocket import WebDoor
from tests.tools import needs

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def server(talk: Talk, trust: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A relay that does ``talk`` with whoever comes; the port."""

    async def meet(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        await talk(socket)
        return socket

    app = web.Application()
    app.router.add_get("/", meet)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=trust).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def echo(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        await socket.send_str(message.data)


async def test_text_goes_both_ways() -> None:
    async with server(echo) as port:
        socket = await WebDoor(f"ws://127.0.0.1:{port}").open()
        await socket.send("hello")
        assert await socket.receive() == "hello"
        await socket.close()
        with pytest.raises(SocketClosed):
            await socket.send("too late")


async def test_a_close_of_theirs_is_told_with_its_code() -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.close(code=1012)

    async with server(leave) as port:
        socket = await WebDoor(f"ws://127.0.0.1:{port}").open()
        with pytest.raises(SocketClosed, match="code 1012") as closed:
            await socket.receive()
        assert not closed.value.nonsense
        await socket.close()


async def test_e_a_binary_frame_is_nonsense() -> None:
    async def babble(socket: web.WebSocketResponse) -> None:
        await socket.send_bytes(b"\0")
        await echo(socket)

    async with server(babble) as port:
        socket = await WebDoor(f"ws://127.0.0.1:{port}").open()
        with pytest.raises(SocketClosed) as closed:
            await socket.receive()
        assert closed.value.nonsense
        await socket.close()


async def test_e_an_answer_of_10_mb_is_nonsense_and_the_socket_is_given_up() -> None:
    async def flood(socket: web.WebSocketResponse) -> None:
        with suppress(ConnectionError):
            await socket.send_str('{"padding":"' + "x" * 10_000_000 + '"}')

    async with server(flood) as port:
        socket = await WebDoor(f"ws://127.0.0.1:{port}").open()
        with pytest.raises(SocketClosed, match="1009") as closed:
            await socket.receive()
        assert closed.value.nonsense
        await socket.close()


async def test_what_is_no_relay_is_said_in_words() -> None:
    async def never(socket: web.WebSocketResponse) -> None:
        raise AssertionError

    async with server(never) as port:
        with pytest.raises(SocketClosed, match=r"no WebSocket there \(HTTP status 404\)"):
            await WebDoor(f"ws://127.0.0.1:{port}/elsewhere").open()
    with pytest.raises(SocketClosed, match=r"Connect call failed|refused"):
        await WebDoor(f"ws://127.0.0.1:{port}").open()


def made_certificate(folder: Path) -> tuple[Path, Path]:
    """One for localhost, and its key."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-out", certificate, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@needs("openssl")
async def test_a_certificate_is_trusted_by_ca_file_and_not_without(tmp_path: Path) -> None:
    certificate, key = await asyncio.to_thread(made_certificate, tmp_path)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(certificate, key)
    async with server(echo, trust) as port:
        socket = await WebDoor(f"wss://localhost:{port}", str(certificate)).open()
        await socket.send("hello")
        assert await socket.receive() == "hello"
        await socket.close()
        with pytest.raises(SocketClosed, match=r"(?i)certificate"):
            await WebDoor(f"wss://localhost:{port}").open()


def test_a_file_that_holds_no_certificates_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(OSError, match=r"(?i)certificate|no start line"):
        WebDoor("wss://localhost", str(tmp_path / "ca.pem"))
    with pytest.raises(FileNotFoundError):
        WebDoor("wss://localhost", str(tmp_path / "nowhere.pem"))
