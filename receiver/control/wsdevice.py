"""Taps over a WebSocket: the platform connects to a URI of ours and sends bare codec bytes in binary frames.

Each tap has a path that nobody can guess; what comes there is made RTP (`receiver.control.wstalk`) and written into a
pair of sockets on loopback, of which the worker reads the other end like any tap's port. So sound that came this way is
placed, counted, made durable and survives a worker's death as all sound does.

How a connection ends: 1009 a frame too long, 1003 only text, 1008 nothing at all (it holds a place and keeps no
promise), 1000 the tap is over, 1001 another connection of the same tap took its place, or we go. Once sound has come,
silence is not judged here: that is rule D6's business. A half-open peer is found by pings.
"""

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import WSCloseCode, web

from receiver.control import secret
from receiver.control.wstalk import Talk

LONGEST_FRAME: Final = 64 * 1024  # octets: 8 s of sound
HEARTBEAT_S: Final = 30.0
CLOSE_S: Final = 1.0
MOST_CONNECTIONS: Final = 16_384  # as many as [media].max_taps may be: each tap has one


@dataclass
class Expected:
    """A tap that waits for its sender, and whoever sends now."""

    law: int
    writer: socket.socket
    talk: Talk | None = None


class WsDoor:
    """``uri``: how senders reach this door; each tap's is below it."""

    def __init__(self, uri: str, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._uri, self._clock_ns = uri.rstrip("/"), clock_ns
        self._expected: dict[str, Expected] = {}
        self._runner: web.AppRunner | None = None
        self._talks: set[Talk] = set()
        self._going = False
        self.counts: Counter[str] = Counter()
        """frames, octets, text_frames, too_long, silent, replaced, refused, send_failed."""

    async def start(self, host: str, port: int, certificate: str | None = None, key: str | None = None) -> None:
        """Listen; port 0 takes a free one. Raises ``OSError``, ``ssl.SSLError``."""
        trust = None
        if certificate is not None:
            trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            trust.load_cert_chain(certificate, key)
        app = web.Application()
        app.router.add_get("/{path:.*}", self._meet)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, ssl_context=trust).start()
        except BaseException:
            await self._runner.cleanup()
            self._runner = None
            raise
        self._going = False

    async def stop(self) -> None:
        """Hand on what has come, say goodbye to everybody at once, and listen no more."""
        self._going = True
        for talk in self._talks:
            talk.leave(WSCloseCode.GOING_AWAY, b"going down")
        await asyncio.gather(*(talk.over.wait() for talk in self._talks))
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    def expect(self, law: int, writer: socket.socket) -> str:
        """Wait for a tap's sender, whose sound (payload type 0 or 8) goes to ``writer``; return the URI, a secret."""
        path = secret.fresh()
        self.expect_again(secret.digest(path), law, writer)
        return f"{self._uri}/{path}"

    def expect_again(self, digest: str, law: int, writer: socket.socket) -> None:
        """Wait for the sender of a tap whose URI an earlier daemon told (rule D7)."""
        self._expected[digest] = Expected(law, writer)

    def forget(self, digest: str) -> None:
        """The tap is over: nobody is let in by its URI any more, and who is in is shown out. Twice is once."""
        expected = self._expected.pop(digest, None)
        if expected is not None and expected.talk is not None:
            expected.talk.leave(WSCloseCode.OK, b"tap ended")

    async def _meet(self, request: web.Request) -> web.StreamResponse:
        """Somebody knocks; who does not know a path is told nothing, and is not worth a line in the log."""
        digest = digest_of(request.path)
        expected = self._expected.get(digest)
        connection = web.WebSocketResponse(
            max_msg_size=LONGEST_FRAME, compress=False, heartbeat=HEARTBEAT_S, timeout=CLOSE_S
        )
        full = self._going or len(self._talks) >= MOST_CONNECTIONS
        if expected is None or full or not connection.can_prepare(request):
            self.counts["refused"] += 1
            raise web.HTTPNotFound
        talk = Talk(connection, expected.law, expected.writer, self.counts, self._clock_ns)
        self._talks.add(talk)
        try:
            await connection.prepare(request)
            self._seat(digest, expected, talk)
            await talk.hear()
        finally:
            talk.over.set()
            self._talks.discard(talk)
            if expected.talk is talk:
                expected.talk = None
        return connection

    def _seat(self, digest: str, expected: Expected, talk: Talk) -> None:
        """The newest connection is the tap's: the platform comes again because its own is dead."""
        if self._expected.get(digest) is not expected:  # forgotten while it came in
            talk.leave(WSCloseCode.OK, b"tap ended")
            return
        if expected.talk is not None:
            self.counts["replaced"] += 1
            expected.talk.leave(WSCloseCode.GOING_AWAY, b"another connection took its place")
        expected.talk = talk


def digest_of(uri: str) -> str:
    """By what a tap's URI is known: the digest of what stands behind its last slash."""
    return secret.digest(uri.rpartition("/")[2])
