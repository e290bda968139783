"""``/metrics``: what Prometheus scrapes, with the token like the rest (rule D10).

A scrape must say what is wrong with the disk, so it never waits for one: what the ledger or the storage folder does not
answer in time is absent, and is asked again only when the last question was answered.
"""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from aiohttp import web

from receiver import __version__
from receiver.api import bodies
from receiver.api.house import House
from receiver.control.taps import FINAL, State
from receiver.watch.kernel import kernel_drops
from receiver.watch.metrics import Facts, exposed

PATIENCE_S: Final = 2.0  # a scrape is usually given up after 10 s
Answer = TypeVar("Answer")

routes = web.RouteTableDef()


class Slow(Generic[Answer]):
    """Somebody who may take long to answer, or forever: asked once at a time, and never waited for beyond a limit."""

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        self._ask = ask
        self._asked: asyncio.Future[Answer] | None = None

    async def answer(self) -> Answer | None:
        """Return what it says, None if it cannot or does not."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.ensure_future(self._ask())
            self._asked.add_done_callback(_heed)
        await asyncio.wait([self._asked], timeout=PATIENCE_S)
        if not self._asked.done():
            return None
        with suppress(OSError, sqlite3.Error):
            return self._asked.result()
        return None


class Scrape:
    """What one scrape after the other asks."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._outcomes = Slow(self._count)
        self._free = Slow(lambda: asyncio.to_thread(house.free))

    async def facts(self) -> Facts:
        """All there is to tell."""
        house = self._house
        recordings, free_octets = await asyncio.gather(self._outcomes.answer(), self._free.answer())
        states = house.roster.states()
        return Facts(
            version=__version__,
            packets=house.counters.tallies(),
            taps={state.value: states.get(state.value, 0) for state in State if state not in FINAL},
            sources=house.roster.warned,
            recordings=recordings,
            unsafe_s=house.counters.unsafe_s(time.monotonic_ns()),
            late_ticks=house.counters.total("late_ticks"),
            kernel_drops=kernel_drops(),
            relay=None if house.client is None else house.client.up,
            free_octets=free_octets,
            hooks=None if house.hooks is None else house.hooks.results,
        )

    async def _count(self) -> dict[str, int]:
        return await self._house.clerk.do(self._house.clerk.ledger.outcomes)


SCRAPE: Final = web.AppKey("scrape", Scrape)


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """In OpenMetrics' form for who accepts it, else in Prometheus' own."""
    bodies.nothing_else(request.query)
    facts = await request.app[SCRAPE].facts()
    text, content_type = exposed(facts, request.headers.get("Accept", ""))
    return web.Response(body=text, headers={"Content-Type": content_type})


def _heed(asked: "asyncio.Future[Answer]") -> None:
    """Nobody may wait any more when it fails: the next scrape asks again."""
    if not asked.cancelled():
        asked.exception()
