"""How a command talks to the daemon: the standard library's HTTP client, because a command should start at once."""

import http
import http.client
import json
import os
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import click

from receiver.cli.common import Away, settings_of
from receiver.endpoints import door, url_of

TIMEOUT_S: Final = 90.0  # longer than the longest ?wait=
PAGE: Final = 500

with_daemon: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--url", envvar="TAPDECK_URL", help="Where the daemon's API is; default: [http].listen of the configuration."
)
"""Gives a command ``url: str | None``, for `Client`."""


class Denied(click.ClickException):
    """The daemon answered with a problem (exit 1)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        detail, hint = problem.get("detail") or f"HTTP status {status}", problem.get("hint")
        super().__init__(f"{detail}; {hint}" if hint else str(detail))
        self.status, self.problem = status, problem

    def show(self, file: Any = None) -> None:
        """As all errors of ours look."""
        click.echo(f"tapdeck: {self.message}", err=True)


class Client:
    """The daemon at ``url``, else where the configuration says. Raises `Away` (exit 69) and `Denied`."""

    def __init__(self, config: Path | None, url: str | None) -> None:
        settings = settings_of(config)
        self.url = url or os.environ.get("TAPDECK_URL") or url_of(*settings.http.endpoint)
        self._token = settings.http.token
        try:
            self._https, self._host, self._port, self._base = door(self.url)
        except ValueError as error:
            raise click.UsageError(f"--url: expected {error}, found {self.url!r}") from None

    @property
    def private(self) -> bool:
        """Whether nobody on the network can read what is said."""
        try:
            return self._https or self._host == "localhost" or ip_address(self._host).is_loopback
        except ValueError:
            return False

    def get(self, path: str, **query: str | int | None) -> Any:
        """GET; None in the query is left out."""
        return self._ask("GET", path, query, None)

    def post(self, path: str, body: object = None, **query: str | int | None) -> Any:
        """POST a JSON document, if there is one."""
        return self._ask("POST", path, query, body)

    def pages(self, path: str, name: str, limit: int, **query: str | int | None) -> Iterator[dict[str, Any]]:
        """The rows of a listing, page by page, up to ``limit``."""
        after = None
        while limit > 0:
            page = self.get(path, **query, limit=min(limit, PAGE), after=after)
            yield from page[name]
            limit -= len(page[name])
            after = page.get("next")
            if after is None:
                return

    def events(self) -> Iterator[dict[str, Any] | None]:
        """What happens from now on; None now and then: as soon as they are told, and in quiet times."""
        connection, response = self._open("GET", f"{self._base}/v1/events", {"Accept": "text/event-stream"}, None)
        try:
            if response.status != http.HTTPStatus.OK:
                _answer(response.status, response.read(), self.url)
            while line := response.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))
                elif line.startswith(b":"):
                    yield None
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        finally:
            connection.close()

    def _ask(self, method: str, path: str, query: Mapping[str, str | int | None], body: object) -> Any:
        given = {key: value for key, value in query.items() if value is not None}
        target = f"{self._base}{path}" + (f"?{urlencode(given)}" if given else "")
        headers = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": "application/json"})
        connection, response = self._open(method, target, headers, None if body is None else json.dumps(body))
        try:
            octets = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        finally:
            connection.close()
        return _answer(response.status, octets, self.url)

    def _open(
        self, method: str, target: str, headers: Mapping[str, str], body: str | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Ask, and return as soon as the answer begins. The connection is to be closed by the caller."""
        bearer = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=TIMEOUT_S)
        try:
            connection.request(method, target, body, {**headers, **bearer})
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._away(error) from error

    def _away(self, error: Exception) -> Away:
        said = getattr(error, "strerror", None) or error or type(error).__name__
        return Away(f"no daemon answers at {self.url} ({said})", "is `tapdeck run` running?")


def _answer(status: int, octets: bytes, url: str) -> Any:
    try:
        answer = json.loads(octets)
    except ValueError:
        raise Away(f"what answers at {url} is no tapdeck (HTTP status {status})", "look at --url") from None
    if status == 401:
        raise Away(f"the daemon at {url} refused the token", "set [http].token here as it is there")
    if status >= 400:
        raise Denied(status, answer if isinstance(answer, dict) else {})
    return answer
