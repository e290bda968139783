"""Is it alive, is it ready. Open to everybody: they tell no ids."""

from http import HTTPStatus

from aiohttp import web

from receiver.api.answers import json
from receiver.api.house import HOUSE

routes = web.RouteTableDef()


@routes.get("/livez")
async def livez(request: web.Request) -> web.Response:
    """The loop turns."""
    return json({"alive": True})


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """Whether a tap would be recorded now, and if not, why: worker restarting, no storage, …"""
    house = request.app[HOUSE]
    workers = [{**state, "gauges": house.counters.gauges(int(state["worker"]))} for state in house.workers()]
    answer = {
        "ready": house.health.ready,
        "reasons": house.health.complaints,
        "workers": workers,
        "taps": house.roster.states(),
        "packets": house.counters.tallies(),
    }
    return json(answer, HTTPStatus.OK if house.health.ready else HTTPStatus.SERVICE_UNAVAILABLE)
