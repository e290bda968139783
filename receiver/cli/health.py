"""``tapdeck health``: whether the daemon would record a tap now.

A container engine asks this every few seconds, so it costs little more than the interpreter: no click, no settings, one
question over a bare socket. The daemon is found as by the other commands (``client``); of the configuration only that
one key is read, and no token is needed.
"""

import argparse
import json
import os
import socket
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

from receiver import cli
from receiver.cli import Away
from receiver.endpoints import Door, door, endpoint, url_of

TIMEOUT_S: Final = 5.0
LONGEST: Final = 1 << 20
"""Octets of an answer. What ``/readyz`` says of 64 workers is a tenth of it."""

LISTEN: Final = "127.0.0.1:8080"
"""The default of ``[http].listen``."""


def run(words: Sequence[str]) -> int:
    """The exit status: 0 ready, 1 not ready. Raises `Away` (69) and ``ConfigError`` (78)."""
    parser = _parser()
    given = parser.parse_args(words)
    url = given.url or os.environ.get("TAPDECK_URL") or url_of(*_listens(given.config))
    try:
        where = door(url)
    except ValueError as error:
        parser.error(f"--url: expected {error}, found {url!r}")
    ready, told = _read(_ask(where, url), url)
    if given.as_json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    elif ready:
        print("ready")
    else:
        for part, why in told["reasons"].items():
            print(f"not ready: {part}: {why}")
    return 0 if ready else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tapdeck health",
        description="Exit 0 if the daemon is ready to record, 1 with the reasons if it is not, 69 if none answers.",
        formatter_class=_AsTheOthers,
        allow_abbrev=False,
    )
    parser.add_argument("--url", help="Where the daemon's API is; default: [http].listen of the configuration.")
    parser.add_argument(
        "--config", metavar="FILE", help=f"Configuration file; without one, {cli.USUAL_PLACE} if it is there."
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="Print JSON.")
    return parser


class _AsTheOthers(argparse.HelpFormatter):
    """The help as click writes it. (A width that is given also saves the import of shutil: 4 ms.)"""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, prefix or "Usage: ")


def _listens(config: str | None) -> tuple[str, int]:
    """``[http].listen``, from the environment, the file, or by default. Port 0 stays 0: nobody is found there."""
    name = "TAPDECK_HTTP__LISTEN"
    value, origin = (os.environ[name], f"environment {name}") if name in os.environ else _of_file(config)
    try:
        if not isinstance(value, str):
            raise ValueError("a text")
        return endpoint(value)
    except ValueError as error:
        raise _wrong(f"http.listen: expected {error}, found {value!r} ({origin})") from None


def _of_file(config: str | None) -> tuple[object, str]:
    """``[http].listen`` of the configuration file, if there is a file and it says so; and where that stands."""
    path = config or os.environ.get("TAPDECK_CONFIG") or (cli.USUAL_PLACE if os.path.exists(cli.USUAL_PLACE) else None)
    if path is None:
        return LISTEN, "default"
    import tomllib

    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise _wrong(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # also what is not UTF-8
        raise _wrong(f"{path}: not a TOML file: {error}") from error
    section = document.get("http", {})
    if not isinstance(section, dict):
        raise _wrong(f"http: expected a table, found {type(section).__name__} (file {path})")
    return section.get("listen", LISTEN), f"file {path}"


def _wrong(problem: str) -> Exception:
    from receiver.origins import ConfigError

    return ConfigError([problem])


def _ask(where: Door, url: str) -> bytes:
    """The whole answer to ``GET /readyz``. HTTP/1.0: nothing in pieces, and the end is the end of the connection."""
    deadline_s = monotonic() + TIMEOUT_S
    question = f"GET {where.path}/readyz HTTP/1.0\r\nHost: {where.host}\r\nAccept: application/json\r\n\r\n"
    answer = b""
    try:
        with _connected(where) as connection:
            connection.sendall(question.encode())
            while octets := connection.recv(65_536):
                answer += octets
                left_s = deadline_s - monotonic()
                if left_s <= 0 or len(answer) > LONGEST:
                    raise TimeoutError("no end of its answer")
                connection.settimeout(left_s)
    except OSError as error:
        said = error.strerror or error
        raise Away(f"no daemon answers at {url} ({said})", "is `tapdeck run` running?") from error
    return answer


def _connected(where: Door) -> socket.socket:
    connection = socket.create_connection((where.host, where.port), TIMEOUT_S)
    if not where.https:
        return connection
    import ssl

    return ssl.create_default_context().wrap_socket(connection, server_hostname=where.host)


def _read(answer: bytes, url: str) -> tuple[bool, dict[str, Any]]:
    """Whether it is ready, and all that it told."""
    try:
        told = json.loads(answer.partition(b"\r\n\r\n")[2])
    except ValueError:
        told = None
    if not (isinstance(told, dict) and isinstance(told.get("ready"), bool) and isinstance(told.get("reasons"), dict)):
        raise Away(f"what answers at {url} is no tapdeck", "look at --url")
    return told["ready"], told
