"""How an answer looks."""

from http import HTTPStatus

import msgspec
from aiohttp import web


def json(answer: object, status: int = HTTPStatus.OK) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=msgspec.json.encode(answer), status=status, content_type="application/json")
