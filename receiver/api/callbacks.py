"""What the platform calls: one secret path per open tap (rule D10: no bearer is asked for)."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from receiver.api.house import HOUSE
from receiver.api.problems import Trouble
from receiver.control.callbacks import take

CALLBACKS: Final = "/v1/callbacks/"
"""Below it each path is a secret of its own: no bearer, no look at the name of the host."""

routes = web.RouteTableDef()


@routes.post(CALLBACKS + "{secret}")
async def call_back(request: web.Request) -> web.Response:
    """An event of the relay's, told by HTTP. 204 also for one that says nothing to us; twice is the same."""
    house = request.app[HOUSE]
    tap = house.roster.by_secret(request.match_info["secret"])
    if tap is None:
        raise Trouble(404, "no_such_callback", "nobody waits for this call back")
    take(house.roster, tap, msgspec.json.decode(await request.read(), type=dict[str, Any]))
    return web.Response(status=HTTPStatus.NO_CONTENT)
