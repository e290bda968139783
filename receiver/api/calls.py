"""The route of calls: what the relay told us of, while they last."""

from typing import Any

from aiohttp import web

from receiver.api import bodies
from receiver.api.answers import json
from receiver.api.house import HOUSE
from receiver.api.problems import Trouble
from receiver.control.call import Call

routes = web.RouteTableDef()


@routes.get("/v1/calls")
async def list_calls(request: web.Request) -> web.Response:
    """Calls of this relay session that have not ended, in the order in which they came."""
    house = request.app[HOUSE]
    bodies.nothing_else(request.query)
    if house.client is None:
        raise Trouble(409, "no_relay", "there is no relay to ask for calls", "set [relay].project and [relay].token")
    tapped: dict[str, list[str]] = {}
    for tap in house.roster.living():
        if tap.wish.call_id is not None:
            tapped.setdefault(tap.wish.call_id, []).append(tap.id)
    calls = [_view(call, tapped.get(call.call_id, [])) for call in house.client.calls.values()]
    return json({"calls": calls})


def _view(call: Call, taps: list[str]) -> dict[str, Any]:
    members = {
        "call_id": call.call_id,
        "node_id": call.node_id,
        "state": call.state,
        "direction": call.direction,
        "topic": call.context,
        "from": call.from_,
        "to": call.to,
    }
    return {name: value for name, value in members.items() if value is not None} | {"taps": taps}
