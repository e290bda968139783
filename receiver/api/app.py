"""The application: routes, and what is around each of them."""

from typing import Final

from aiohttp import web

from receiver.api import audio, callbacks, calls, drain, events, health, metrics, openapi, recordings, taps
from receiver.api.guard import guard
from receiver.api.house import HOUSE, House
from receiver.api.problems import in_words

LONGEST_BODY: Final = 64 * 1024  # octets


def make_app(house: House) -> web.Application:
    """Build the application."""
    app = web.Application(middlewares=[in_words, guard], client_max_size=LONGEST_BODY)
    app[HOUSE] = house
    app[metrics.SCRAPE] = metrics.Scrape(house)
    for room in (health, metrics, openapi, taps, calls, recordings, audio, events, drain, callbacks):
        app.add_routes(room.routes)
    app[openapi.DESCRIPTION] = openapi.description(app)
    app.on_response_prepare.append(_dress)
    app.on_shutdown.append(events.let_go)
    return app


def make_callbacks(house: House) -> web.Application:
    """Build the application of a door that the platform alone uses: calls back, and nothing else."""
    app = web.Application(middlewares=[in_words, guard], client_max_size=LONGEST_BODY)
    app[HOUSE] = house
    app.add_routes(callbacks.routes)
    app.on_response_prepare.append(_dress)
    return app


async def _dress(request: web.Request, response: web.StreamResponse) -> None:
    """Say no more of ourselves than needed, and let nobody keep an answer."""
    response.headers["Server"] = "tapdeck"
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
