"""Taking a host out of service: nothing new is accepted, what lives goes on to its end.

It lasts until the next start. Whoever waits asks again, until ``taps`` is 0.
"""

from http import HTTPStatus
from typing import Final

from aiohttp import web

from receiver.api.answers import json
from receiver.api.house import HOUSE

routes: Final = web.RouteTableDef()


@routes.post("/v1/drain")
async def drain(request: web.Request) -> web.Response:
    """Accept no new taps from now on. Twice is once; the answer tells how many taps live."""
    house = request.app[HOUSE]
    await house.drain()
    return json({"draining": True, "taps": sum(house.roster.states().values())}, HTTPStatus.ACCEPTED)
