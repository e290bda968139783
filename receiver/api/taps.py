"""The routes of taps."""

import asyncio
import sqlite3
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from receiver.api import bodies
from receiver.api.answers import json
from receiver.api.house import HOUSE, House
from receiver.api.problems import Trouble, bad
from receiver.api.views import TapView, view_of, view_of_row
from receiver.control import sides
from receiver.control.taps import FINAL, State, Tap
from receiver.ledger.rows import TapRow

WAIT_S: Final = 60.0
"""The longest ``?wait=``; the answer then holds the state that there is."""

routes = web.RouteTableDef()


@routes.post("/v1/taps")
async def open_tap(request: web.Request) -> web.Response:
    """Start a tap on the relay, 201 when its port is bound; or open a port for one that somebody else starts, 201 when
    the recording's beginning is on the disk (rule C1)."""
    house = request.app[HOUSE]
    wait = bodies.wait_of(request, "receiving")
    wish = bodies.wish_of(await bodies.read(request, bodies.TapBody), house)
    tap = await (house.roster.ask(wish) if wish.own else house.roster.open(wish))
    if wait:
        await _until(house, tap, {State.RECEIVING, State.FINISHING})
    answer = json(view_of(tap, house.address, house.public_url), HTTPStatus.CREATED)
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
    """Admit another source from now on (rule B5); learn which call and which tap of the relay it is; other labels."""
    house = request.app[HOUSE]
    body = await bodies.read(request, bodies.PatchBody)
    pointed = None if body.source is None else bodies.source_of(body.source, house.allow_list)
    known = {name: getattr(body, name) for name in ("call_id", "node_id", "control_id", "labels")}
    known = {name: value for name, value in known.items() if value is not None}
    if pointed is None and not known:
        raise bad("empty", "expected at least one of source, call_id, node_id, control_id, labels; found none")
    tap = await _living(request)
    if tap is None:
        raise Trouble(409, "over", "the tap has ended")
    if tap.wish.own and known.keys() - {"labels"}:
        raise Trouble(409, "own_tap", "call_id, node_id, control_id: we started this tap and know which it is")
    if pointed is not None and tap.uri is not None:
        raise Trouble(409, "ws", "source: who knows the URI of a ws device may send")
    if pointed is not None:
        house.roster.point(tap, *pointed, str(body.source))
    if known:
        house.roster.amend(tap, **known)
    return json(view_of(tap, house.address, house.public_url))


@routes.post("/v1/taps/{id}/stop")
async def stop_tap(request: web.Request) -> web.Response:
    """End a tap; 202, also for one that has ended already."""
    house = request.app[HOUSE]
    wait = bodies.wait_of(request, "ready")
    tap = await _living(request)
    if tap is not None:
        house.roster.stop(tap)
        if wait:
            await _until(house, tap, FINAL)
    return json(_view(house, await _known(request)), HTTPStatus.ACCEPTED)


async def _until(house: House, tap: Tap, states: Collection[State]) -> None:
    """All taps of its recording."""
    await asyncio.gather(*(house.roster.until(side, states, WAIT_S) for side in sides.of(tap)))
@routes.post("/v1/taps/{id}/pause")
async def pause_tap(request: web.Request) -> web.Response:
    """Record nothing that comes from this instant on, until `resume`; 202, also for one that is paused already. The
    sender is heard and counted meanwhile. 409 for one that has ended."""
    return await _turn(request, paused=True)


@routes.post("/v1/taps/{id}/resume")
async def resume_tap(request: web.Request) -> web.Response:
    """Record again what comes from this instant on; 202, also for one that is not paused. 409 for one that has
    ended."""
    return await _turn(request, paused=False)


async def _turn(request: web.Request, paused: bool) -> web.Response:
    """`?wait=ready` may be said: no answer is given before the turn holds and is kept, whether it is said or not."""
    house = request.app[HOUSE]
    bodies.wait_of(request, "ready")
    tap = await _living(request)
    if tap is None or tap.state is State.FINISHING:
        raise Trouble(409, "over", "the tap has ended", "what it recorded is told by GET /v1/recordings")
    try:
        await house.roster.pausing.ask(tap, paused)
    except sqlite3.Error as error:
        said = f"it is {'paused' if paused else 'resumed'}, but the ledger cannot be written, see /readyz"
        raise Trouble(503, "no_ledger", f"{said}: a daemon that is started anew may not know", "ask again") from error
    return json(_view(house, await _known(request)), HTTPStatus.ACCEPTED)


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
    return view_of_row(row) if tap is None else view_of(tap, row.address, house.public_url)
