"""The switch's sockets: RELAY on a WebSocket, and a side door in plain HTTP for people and programs that play the other
party.

==========================  ==========================================================================================
``GET /lab/calls``          calls that have not ended, with their taps
``POST /lab/calls``         an inbound call: ``{"topic", "from", "to", "voice"}``; answers ``{"call_id"}``
``GET /lab/sessions``       sessions that are not forgotten, and how many sockets each had so far
``GET /lab/counts``         frames, and of them what meant nothing; events withheld; questions never acknowledged
``DELETE /lab/calls/ID``    the other party hangs up
``PUT /lab/voices/NUMBER``  who speaks when this number is dialled: `parties.Voice`
``PUT /lab/faults``         what goes wrong from now on: `faults.Faults`
``POST /lab/drop``          all sockets fall
``POST /lab/disconnect``    farewell to everybody: ``{"restart": false}``
==========================  ==========================================================================================
"""

import asyncio
import ssl
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from receiver.lab.switch.exchange import Exchange
from receiver.lab.switch.faults import Faults
from receiver.lab.switch.legs import ABNORMAL
from receiver.lab.switch.parties import Call, Voice

LONGEST_FRAME: Final = 10 << 20  # octets
EXCHANGE: Final = web.AppKey("exchange", Exchange)


class Ring(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /lab/calls``."""

    topic: str
    from_: str = msgspec.field(name="from", default="+15550100")
    to: str = "+15550199"
    voice: Voice | None = None


class Farewell(msgspec.Struct, forbid_unknown_fields=True):
    """``POST /lab/disconnect``."""

    restart: bool = False


routes = web.RouteTableDef()


@routes.get("/lab/calls")
async def show_calls(request: web.Request) -> web.Response:
    """What is under way."""
    return _json([_view(call) for call in request.app[EXCHANGE].calls.values()])


@routes.get("/lab/sessions")
async def show_sessions(request: web.Request) -> web.Response:
    """Who is connected, or was a moment ago."""
    sessions = request.app[EXCHANGE].sessions.values()
    told = [
        {"project": each.project, "up": each.leg is not None, "topics": sorted(each.contexts), "sockets": each.sockets}
        for each in sessions
    ]
    return _json(told)


@routes.get("/lab/counts")
async def show_counts(request: web.Request) -> web.Response:
    """What was seen so far."""
    return _json(request.app[EXCHANGE].counts)


@routes.post("/lab/calls")
async def ring(request: web.Request) -> web.Response:
    """Somebody calls."""
    told = msgspec.json.decode(await request.read(), type=Ring)
    try:
        call_id = request.app[EXCHANGE].ring(told.topic, told.from_, told.to, told.voice)
    except KeyError:
        raise web.HTTPConflict(text=f"nobody receives calls of topic {told.topic!r}") from None
    return _json({"call_id": call_id})


@routes.delete("/lab/calls/{id}")
async def hang_up(request: web.Request) -> web.Response:
    """The other party hangs up."""
    try:
        request.app[EXCHANGE].hang_up(request.match_info["id"])
    except KeyError:
        raise web.HTTPNotFound(text="there is no such call") from None
    return _json({})


@routes.put("/lab/voices/{number}")
async def set_voice(request: web.Request) -> web.Response:
    """Who answers this number."""
    voice = msgspec.json.decode(await request.read(), type=Voice)
    request.app[EXCHANGE].voices[request.match_info["number"]] = voice
    return _json({})


@routes.put("/lab/faults")
async def set_faults(request: web.Request) -> web.Response:
    """What goes wrong from now on."""
    request.app[EXCHANGE].faults = msgspec.json.decode(await request.read(), type=Faults)
    return _json({})


@routes.post("/lab/drop")
async def drop(request: web.Request) -> web.Response:
    """All sockets fall."""
    request.app[EXCHANGE].drop()
    return _json({})


@routes.post("/lab/disconnect")
async def disconnect(request: web.Request) -> web.Response:
    """Farewell to everybody."""
    told = msgspec.json.decode(await request.read() or b"{}", type=Farewell)
    request.app[EXCHANGE].disconnect(told.restart)
    return _json({})


@routes.get("/{path:.*}")
async def relay(request: web.Request) -> web.StreamResponse:
    """A client's socket: any path, as the real one has none."""
    socket = web.WebSocketResponse(max_msg_size=LONGEST_FRAME, compress=False, timeout=1.0)
    if not socket.can_prepare(request):
        raise web.HTTPNotFound(text="RELAY is spoken here, over a WebSocket; see /lab/calls")
    await socket.prepare(request)
    outbox: asyncio.Queue[str | int] = asyncio.Queue()
    leg = request.app[EXCHANGE].attach(outbox.put_nowait, outbox.put_nowait)
    writer = asyncio.ensure_future(_write(request, socket, outbox))
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                leg.receive(message.data)
            else:
                request.app[EXCHANGE].counts["nonsense"] += 1
    finally:
        if leg.is_open:
            leg.gone()
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
    return socket


@web.middleware
async def in_words(request: web.Request, handler: Any) -> web.StreamResponse:
    """A body that means nothing is a 400 that says why."""
    try:
        answer: web.StreamResponse = await handler(request)
    except msgspec.MsgspecError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    return answer


class Server:
    """The exchange, listening. ``certificate`` and ``key`` are paths, for wss://."""

    def __init__(self, exchange: Exchange) -> None:
        app = web.Application(middlewares=[in_words])
        app[EXCHANGE] = exchange
        app.add_routes(routes)
        self._exchange = exchange
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def start(self, host: str, port: int, certificate: str | None = None, key: str | None = None) -> None:
        """Listen; port 0 takes a free one. Raises ``ssl.SSLError`` for the files, ``OSError`` for the address."""
        trust = None
        if certificate is not None:
            trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trust.load_cert_chain(certificate, key)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, ssl_context=trust).start()
        except OSError:
            await self._runner.cleanup()
            raise

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Hang up on everybody."""
        await self._exchange.close()
        await self._runner.cleanup()


async def _write(request: web.Request, socket: web.WebSocketResponse, outbox: "asyncio.Queue[str | int]") -> None:
    """What the exchange says, in order; a number is the code to close with, and a network closes with none."""
    try:
        while isinstance(told := await outbox.get(), str):
            await socket.send_str(told)
        if told == ABNORMAL and request.transport is not None:
            request.transport.abort()
        else:
            await socket.close(code=told)
    except (ConnectionError, RuntimeError):  # it fell meanwhile; the reader sees it
        return


def _json(answer: Any) -> web.Response:
    return web.json_response(answer)


def _view(call: Call) -> dict[str, Any]:
    names = ("control_id", "state", "caller", "source", "device")
    return call.told() | {"taps": [{name: getattr(tap, name) for name in names} for tap in call.taps.values()]}
