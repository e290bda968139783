"""Who may ask (rule D10): with a token, whoever has it; without one, programs of this host, but no web page."""

import hmac
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from receiver.api.callbacks import CALLBACKS
from receiver.api.house import HOUSE
from receiver.api.problems import Handler, Trouble

PUBLIC: Final = frozenset({"/livez", "/readyz"})


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request pass or answer 401, 403."""
    token = request.app[HOUSE].token
    if request.path not in PUBLIC and not request.path.startswith(CALLBACKS):
        if token is not None:
            _require(token, request)
        else:
            _require_program(request)
    return await handler(request)


def _require(token: str, request: web.Request) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(errors="replace"), token.encode())
    if scheme.lower() != "bearer" or not right:
        raise Unauthorized


class Unauthorized(web.HTTPUnauthorized):
    """No token, or another one: which of the two is not said."""

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer realm="tapdeck"'})


def _require_program(request: web.Request) -> None:
    """Without a token a page in the operator's browser must not get in, nor by a name of its own that leads here."""
    try:
        name = request.url.host or ""
    except ValueError:  # a Host header that is none
        name = ""
    if "Origin" in request.headers or not _is_this_host(name):
        raise Trouble(
            403, "not_from_a_page", "without [http].token the API answers programs only, by address or as localhost"
        )


def _is_this_host(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
