"""What a setting's value must look like, which values this version honours, and both in words.

Pure: a value in, the value or a ``ValueError`` with "what was expected" out. Who asks adds the key, what was found and
where.
"""

import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from msgspec import ValidationError, convert, inspect

from receiver.archive import names
from receiver.endpoints import endpoint


class Awaited(NamedTuple):
    """The values of a key that can be honoured already, and what brings the others."""

    honoured: tuple[object, ...]
    brings: str



AWAITED: Mapping[str, Awaited] = {
    "media.workers": Awaited((1,), "more than one media worker"),
}
"""Keys of the contract that this version knows and cannot honour in full. Nothing else is left out."""


def _address(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise ValueError("an IP address") from None


def _networks(texts: tuple[str, ...]) -> None:
    for text in texts:
        try:
            ip_network(text)
        except ValueError:
            raise ValueError("addresses or networks, like 203.0.113.5 or 203.0.113.0/24") from None


def _ports(text: str) -> None:
    first, dash, last = text.partition("-")
    numbers = [int(number) for number in (first, last if dash else first) if number.isascii() and number.isdigit()]
    if len(numbers) != 2 or not 1_024 <= numbers[0] <= numbers[1] <= 65_535:
        raise ValueError("FIRST-LAST, ports from 1024 to 65535, like 20000-29999")


def _name(pattern: str) -> None:
    try:
        names.check_pattern(pattern)
    except ValueError as error:
        raise ValueError(f"a pattern that can name recordings ({error})") from None


def _zero_or_a_second(seconds: float) -> None:
    if 0 < seconds < 1:
        raise ValueError("0, or at least 1")


def relay_url(text: str) -> str:
    """``relay.signalwire.com`` → ``wss://relay.signalwire.com``. ``ws://`` only to this host: a token goes over it."""
    url = _split(text if "://" in text else f"wss://{text}")
    if url is None or url.scheme not in ("ws", "wss") or url.path or (url.scheme == "ws" and not _is_here(url)):
        raise ValueError("HOST[:PORT], like relay.signalwire.com; ws:// to this host only, like ws://127.0.0.1:8090")
    return url.geturl()


def _url(*schemes: str) -> Callable[[str], None]:
    """A check for an URL of one of these schemes."""

    def check(text: str) -> None:
        url = _split(text)
        if url is None or url.scheme not in schemes:
            raise ValueError(f"a URL like {schemes[-1]}://media.example.com")

    return check


def _split(text: str) -> SplitResult | None:
    """An URL with a host, perhaps a port and a path, and nothing else; None for anything else."""
    try:
        url = urlsplit(text)
        plain = url.hostname and (url.port is None or url.port > 0) and url.username is None and url.password is None
    except ValueError:
        return None
    return url if plain and not (url.query or url.fragment or any(each.isspace() for each in text)) else None


def _is_here(url: SplitResult) -> bool:
    try:
        return url.hostname == "localhost" or ip_address(url.hostname or "").is_loopback
    except ValueError:
        return False


web_url = _url("http", "https")
"""Raises ``ValueError`` for what is no URL of a web server; a query and a user are none of it."""


def _tens(number: int) -> None:
    if number % 10:
        raise ValueError("a multiple of 10 from 10 to 120")


FORMS: Mapping[str, Callable[[Any], object]] = {
    "media.bind": _address,
    "media.advertise": _address,
    "media.ports": _ports,
    "media.allow": _networks,
    "relay.host": relay_url,
    "taps.ptime_ms": _tens,
    "storage.name": _name,
    "storage.segment_s": _zero_or_a_second,
    "http.listen": endpoint,
    "http.callbacks_listen": endpoint,
    "http.public_url": web_url,
    "ws.listen": endpoint,
    "ws.uri": _url("ws", "wss"),
}
"""Key → a check of a value that has the right type already; None is not asked about."""


def value_of(name: str, annotation: Any, value: object, text: bool = False) -> object:
    """The value as what key ``name`` holds; ``text``: it came as text (lists comma-separated).

    Raises ``ValueError`` with what was expected.
    """
    if text and isinstance(value, str) and isinstance(inspect.type_info(annotation), inspect.VarTupleType):
        value = [each.strip() for each in value.split(",") if each.strip()]
    try:
        value = convert(value, annotation, strict=not text)
    except ValidationError as error:
        where = str(error).partition(" - at ")[2].strip("`$")
        raise ValueError(in_words(annotation) + (f" (look at {name}{where})" if where else "")) from None
    if name in FORMS and value is not None:
        FORMS[name](value)
    if name in AWAITED and value not in AWAITED[name].honoured:
        honoured = " or ".join(json.dumps(each) if each or each == 0 else "nothing" for each in AWAITED[name].honoured)
        raise ValueError(f"{honoured} in this version, which does not have {AWAITED[name].brings} yet")
    return value


def in_words(annotation: Any) -> str:
    """What a type accepts, for a message: "an integer from 20 to 200"."""
    return _words(inspect.type_info(annotation))


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType():
            return "an integer" + _bounds(kind)
        case inspect.FloatType():
            return "a number" + _bounds(kind)
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType():
            return "a text" + (" that is not empty" if kind.min_length else "")
        case inspect.LiteralType():
            return "one of " + ", ".join(f'"{value}"' for value in kind.values)
        case inspect.UnionType():
            return " or ".join(_words(each) for each in kind.types if not isinstance(each, inspect.NoneType))
        case inspect.VarTupleType():
            return f"a list, each {_words(kind.item_type)}"
        case inspect.StructType():
            return "a table with " + ", ".join(each.name for each in kind.fields)
        case inspect.Metadata():
            return _words(kind.type)
        case _:
            return "a table"


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    return f" from {kind.ge:g} to {kind.le:g}" if kind.ge is not None and kind.le is not None else ""
