"""The routes of recordings."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from receiver.api import bodies
from receiver.api.answers import json
from receiver.api.house import HOUSE, House
from receiver.api.problems import Trouble
from receiver.api.views import recording_view, sound_of
from receiver.ledger.rows import RecordingRow

routes = web.RouteTableDef()


@routes.get("/v1/recordings")
async def list_recordings(request: web.Request) -> web.Response:
    """Newest first, from the ledger; ``present`` tells whether it still lies in ``ready/``."""
    house = request.app[HOUSE]
    query = dict(request.query)
    page = bodies.page_of(query)
    bodies.nothing_else(query)
    rows = await house.clerk.do(house.clerk.ledger.recordings, page.limit + 1, page.after)
    shown = rows[: page.limit]
    answer: dict[str, Any] = {"recordings": await _views(house, [row for _, row in shown])}
    if len(rows) > page.limit:
        newest_ns, last = shown[-1]
        answer["next"] = f"{newest_ns}-{last.summary.recording_id}"
    return json(answer)


@routes.get("/v1/recordings/{id}")
async def show_recording(request: web.Request) -> web.Response:
    """One recording."""
    house = request.app[HOUSE]
    bodies.nothing_else(request.query)
    row = await house.clerk.do(house.clerk.ledger.recording, request.match_info["id"])
    if row is None:
        raise Trouble(404, "no_such_recording", "no recording has this id")
    (view,) = await _views(house, [row])
    return json(view)


async def _views(house: House, rows: Sequence[RecordingRow]) -> list[dict[str, Any]]:
    paths = [sound_of(row) for row in rows]
    known = [path for path in paths if path is not None]
    seen = dict(zip(known, await asyncio.to_thread(house.present, known), strict=True))
    return [recording_view(row, path, path in seen and seen[path]) for row, path in zip(rows, paths, strict=True)]
