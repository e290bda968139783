"""The socket to the relay for real: aiohttp's WebSocket, as RELAY wants it (relay-protocol, section 1)."""

import asyncio
import ssl
from typing import Final

import aiohttp

from receiver.control.door import SocketClosed

LONGEST_FRAME: Final = 4 << 20
"""Octets. No message of RELAY's is anywhere near; an answer of 10 MB must not be held (RFC 6455, close code 1009)."""
CLOSE_S: Final = 2.0


class WebDoor:
    """Opens sockets to ``url``, which is as `receiver.forms.relay_url` makes it.

    ``ca_file`` holds certificates to trust beside the system's; raises ``OSError`` where it cannot be read as such.
    """

    def __init__(self, url: str, ca_file: str | None = None) -> None:
        self._url = url
        self._trust = ssl.create_default_context()
        if ca_file is not None:
            self._trust.load_verify_locations(cafile=ca_file)

    async def open(self) -> "WebSocket":
        """Connect. Raises `SocketClosed` with the reason."""
        client = aiohttp.ClientSession()
        try:
            socket = await client.ws_connect(
                self._url, max_msg_size=LONGEST_FRAME, autoping=True, compress=0, ssl=self._trust,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
            )  # fmt: skip
        except BaseException as error:
            await client.close()
            if isinstance(error, aiohttp.ClientError | OSError | ValueError):
                raise SocketClosed(_why(error)) from None
            raise
        return WebSocket(client, socket)


class WebSocket:
    """One socket. Text frames only: RELAY has no others."""

    def __init__(self, client: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._client, self._socket = client, socket

    async def send(self, text: str) -> None:
        """Send a text frame."""
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError) as error:
            raise SocketClosed(_why(error)) from None

    async def receive(self) -> str:
        """Wait for a text frame."""
        message = await self._socket.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT:
                return str(message.data)
            case aiohttp.WSMsgType.BINARY:
                raise SocketClosed("a binary frame", nonsense=True)
            case aiohttp.WSMsgType.ERROR:
                nonsense = isinstance(message.data, aiohttp.WebSocketError)
                raise SocketClosed(_why(message.data), nonsense)
        raise SocketClosed(f"closed by the relay (code {self._socket.close_code})")

    async def close(self) -> None:
        """Close it; what is under way is lost."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._socket.close()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SocketClosed(_why(error)) from None
        finally:
            await self._client.close()


def _why(error: BaseException) -> str:
    """In a sentence, without what the URL may hold."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        return f"no WebSocket there (HTTP status {error.status})"
    if isinstance(error, aiohttp.WebSocketError):
        return f"a frame that is not taken (close code {error.code})"
    cause = getattr(error, "os_error", None) or error
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__)
