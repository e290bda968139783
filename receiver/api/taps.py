"""The routes of taps."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from receiver.api import bodies
from receiver.api.house import HOUSE, House
from receiver.api.problems import Trouble
from receiver.api.views import TapView, view_of, view_of_row
from receiver.control.taps import FINAL, State, Tap
from receiver.ledger.rows import TapRow

WAIT_S: Final = 60.0
"""The longest ``?wait=``; the answer then holds the state that there is."""

routes = web.RouteTableDef()


@routes.post("/v1/taps")
async def open_tap(request: web.Request) -> web.Response:
    """Open a port for a tap that somebody else starts; 201 when rule C1 is durable."""
    house = request.app[HOUSE]
    wait = bodies.wait_of(request, "receiving")
    tap = await house.roster.open(bodies.wish_of(await bodies.read(request, bodies.TapBody), house))
    if wait:
        await house.roster.until(tap, {State.RECEIVING, State.FINISHING}, WAIT_S)
    answer = json(view_of(tap, house.address), HTTPStatus.CREATED)
    answer.headers["Location"] = f"/v1/taps/{tap.id}"
    return answer


@routes.get("/v1/taps")
async def list_taps(request: web.Request) -> web.Response:
    """Newest first; what the ledger knows, and of those that live what their workers last reported."""
    house = request.app[HOUSE]
    where, page = bodies.where_of(request)
    rows = await house.clerk.do(house.clerk.ledger.taps, where, page.limit + 1)
    shown = rows[: page.limit]
    answer: dict[str, Any] = {"taps": [_view(house, row) for row in shown]}
    if len(rows) > page.limit:
        answer["next"] = f"{shown[-1].requested_ns}-{shown[-1].id}"
    return json(answer)


@routes.get("/v1/taps/{id}")
async def show_tap(request: web.Request) -> web.Response:
    """One tap, alive or not."""
    bodies.nothing_else(request.query)
    return json(_view(request.app[HOUSE], await _known(request)))


@routes.patch("/v1/taps/{id}")
async def point_tap(request: web.Request) -> web.Response:
    """Admit another source from now on (rule B5)."""
    house = request.app[HOUSE]
    body = await bodies.read(request, bodies.PatchBody)
    policy, announced = bodies.source_of(body.source, house.allow_list)
    tap = await _living(request)
    if tap is None:
        raise Trouble(409, "over", "the tap has ended")
    house.roster.point(tap, policy, announced, body.source)
    return json(view_of(tap, house.address))


@routes.post("/v1/taps/{id}/stop")
async def stop_tap(request: web.Request) -> web.Response:
    """End a tap; 202, also for one that has ended already."""
    house = request.app[HOUSE]
    wait = bodies.wait_of(request, "ready")
    tap = await _living(request)
    if tap is not None:
        house.roster.stop(tap)
        if wait:
            await house.roster.until(tap, FINAL, WAIT_S)
    return json(_view(house, await _known(request)), HTTPStatus.ACCEPTED)


def json(answer: object, status: int = HTTPStatus.OK) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=msgspec.json.encode(answer), status=status, content_type="application/json")


async def _known(request: web.Request) -> TapRow:
    house, tap_id = request.app[HOUSE], request.match_info["id"]
    row = await house.clerk.do(house.clerk.ledger.tap, tap_id)
    if row is None:
        raise Trouble(404, "no_such_tap", "no tap has this id")
    return row


async def _living(request: web.Request) -> Tap | None:
    """The tap, None if it has ended; 404 if there never was one."""
    tap = request.app[HOUSE].roster.get(request.match_info["id"])
    if tap is None:
        await _known(request)
    return tap


def _view(house: House, row: TapRow) -> TapView:
    tap = house.roster.get(row.id)
    return view_of_row(row) if tap is None else view_of(tap, row.address)
