"""``/v1/events``: what happens, as it happens (server-sent events, WHATWG HTML section 9.2)."""

import asyncio
from typing import Final

from aiohttp import web

from receiver.api import bodies
from receiver.api.house import HOUSE
from receiver.control.events import Told

QUIET_S: Final = 15.0  # after so long without an event a comment says that we are there: proxies hang up after 30 or 60
STALLED_S: Final = 30.0  # a reader that takes nothing for so long is hung up on
HEADERS: Final = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}

routes = web.RouteTableDef()


@routes.get("/v1/events")
async def listen(request: web.Request) -> web.StreamResponse:
    """Tell events from now on, until the reader goes, is too slow, or the daemon goes down. None is told twice."""
    bodies.nothing_else(request.query)
    with request.app[HOUSE].events.reader() as reader:
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        await _write(request, response, b": events from now on\n\n")
        heard = True
        while heard and ((told := await reader.read(QUIET_S)) or reader.over is None):
            heard = await _write(request, response, b"".join(map(_in_lines, told)) or b": quiet\n\n")
        if heard:
            await _write(request, response, b": over: %s\n\n" % str(reader.over).encode())
    return response


async def let_go(app: web.Application) -> None:
    """The daemon goes down: let the readers go before it waits for their connections."""
    app[HOUSE].events.close()


def _in_lines(told: Told) -> bytes:
    """One event; JSON has no line break in it."""
    return b"event: %s\ndata: %s\n\n" % (told.event.encode(), told.document)


async def _write(request: web.Request, response: web.StreamResponse, text: bytes) -> bool:
    """Write; False where nobody reads any more, or takes it."""
    try:
        async with asyncio.timeout(STALLED_S):
            await response.write(text)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        return False
    except ConnectionError:
        return False
    return True
