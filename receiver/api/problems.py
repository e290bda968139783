"""Every error is a problem document (RFC 9457): ours, aiohttp's own, and what nobody expected.

``code`` is for programs and stays, ``detail`` and ``hint`` are for people. The text of an unexpected exception goes to
the log and never to the client.
"""

import math
import sqlite3
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from receiver.control.means import NotNow, TapFailed

MEDIA_TYPE: Final = "application/problem+json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger("api")


class Trouble(Exception):
    """A request that is answered with a problem document."""

    def __init__(self, status: int, code: str, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.hint = status, code, detail, hint


def bad(code: str, detail: str, hint: str = "") -> Trouble:
    """A request that cannot be met as it stands (400)."""
    return Trouble(HTTPStatus.BAD_REQUEST, code, detail, hint)


def document(status: int, code: str, detail: str, hint: str = "", **more: Any) -> web.Response:
    """Put a problem into an answer. ``more``: further members, by name; None is left out."""
    members = {
        "type": f"urn:tapdeck:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "hint": hint or None,
        **more,
    }
    body = msgspec.json.encode({name: value for name, value in members.items() if value is not None})
    return web.Response(status=status, body=body, content_type=MEDIA_TYPE)


@web.middleware
async def in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with a problem document."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer = document(error.status, HTTPStatus(error.status).name.lower(), _of_aiohttp(request, error))
        for name in ("Allow", "WWW-Authenticate"):
            if name in error.headers:
                answer.headers[name] = error.headers[name]
        return answer
    except Exception as error:
        return _of(request, error)


def _of(request: web.Request, error: Exception) -> web.Response:
    match error:
        case Trouble():
            return document(error.status, error.code, error.detail, error.hint)
        case msgspec.ValidationError():
            return document(400, "invalid_body", str(error))
        case msgspec.DecodeError() | UnicodeDecodeError():
            return document(400, "malformed_json", "the body is not one whole JSON document")
        case NotNow():
            status = HTTPStatus.INSUFFICIENT_STORAGE if error.code == "no_space" else HTTPStatus.SERVICE_UNAVAILABLE
            answer = document(status, error.code, error.message)
            answer.headers["Retry-After"] = str(math.ceil(error.retry_s))
            return answer
        case TapFailed():
            problem = error.problem
            return document(503, problem.code, problem.message, problem.hint, tap_id=error.tap.id)
        case sqlite3.Error():
            log.error("ledger failed", path=request.path, error=str(error))
            return document(503, "no_ledger", "the ledger cannot be used, see /readyz")
    log.exception("request failed", method=request.method, path=request.path, exc_info=error)
    return document(500, "internal", "this is a defect of the daemon: its log says more")


def _of_aiohttp(request: web.Request, error: web.HTTPException) -> str:
    match error:
        case web.HTTPMethodNotAllowed():
            return f"{request.method} is not allowed here; allowed: {', '.join(sorted(error.allowed_methods))}"
        case web.HTTPRequestEntityTooLarge():
            return f"the body is longer than {request.app._client_max_size} octets"
        case web.HTTPNotFound():
            return "there is nothing at this path"
    return HTTPStatus(error.status).phrase
