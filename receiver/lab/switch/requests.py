"""What a request must look like, as the live service is thought to check it. Raises `Invalid` or `Refused`, whatever
comes. Two things are otherwise than there: private addresses are taken, because a lab has no others, and Opus is not.
"""

from ipaddress import IPv4Address
from typing import Any, Final, NamedTuple

CODECS: Final = ("PCMU", "PCMA")
DIRECTIONS: Final = ("speak", "listen", "both")
REASONS: Final = ("hangup", "cancel", "busy", "noAnswer", "decline", "error")
RINGS_S: Final = 30.0
MOST_OF_NUMBERS: Final = 1e6


class Invalid(Exception):
    """Params that are refused with JSON-RPC's -32602."""


class Unknown(Exception):
    """A method that there is not: JSON-RPC's -32601."""


class Refused(Exception):
    """Answered by ``result.code``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Phone(NamedTuple):
    """Whom to ring."""

    to: str
    from_: str
    timeout_s: float


class Wanted(NamedTuple):
    """A tap that may be made. ``device`` in wire form, with its defaults."""

    control_id: str
    audio: dict[str, Any]
    device: dict[str, Any]


def text(params: dict[str, Any], name: str) -> str:
    """A member that must be a text."""
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(f"{name}: a text is required")
    return value


def table(params: dict[str, Any], name: str) -> dict[str, Any]:
    """A member that must be an object."""
    value = params.get(name)
    if not isinstance(value, dict):
        raise Invalid(f"{name}: an object is required")
    return value


def number(params: dict[str, Any], name: str, otherwise: float) -> float:
    """A member that should be a number from 0 to 1,000,000; anything else counts as not told."""
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_OF_NUMBERS:
        return otherwise
    return float(value)


def reason(params: dict[str, Any]) -> str:
    """Why a client ends a call."""
    told = params.get("reason", "hangup")
    if told not in REASONS:
        raise Invalid("Invalid CallEndParams")
    return str(told)


def contexts(params: dict[str, Any]) -> set[str]:
    """Names of contexts."""
    told = params.get("contexts")
    if not isinstance(told, list) or not all(isinstance(each, str) for each in told):
        raise Invalid("contexts: a list of texts is required")
    return set(told)


def plays(params: dict[str, Any]) -> list[dict[str, Any]]:
    """What is to be played, one thing after the other."""
    told = params.get("play")
    if not isinstance(told, list) or not told or not all(isinstance(each, dict) for each in told):
        raise Invalid("Invalid CallPlayParams")
    return told


def phone(params: dict[str, Any]) -> Phone:
    """The first device of ``devices``."""
    devices = params.get("devices")
    first = devices[0] if isinstance(devices, list) and devices else None
    device = first[0] if isinstance(first, list) and first else None
    if not isinstance(device, dict) or device.get("type") not in ("phone", "sip"):
        raise Invalid("devices: a list of lists of devices is required")
    numbers, suffix = table(device, "params"), "_number" if device["type"] == "phone" else ""
    from_ = numbers.get(f"from{suffix}")
    timeout_s = number(numbers, "timeout", RINGS_S)
    return Phone(text(numbers, f"to{suffix}"), from_ if isinstance(from_, str) else "", timeout_s)


def tap(params: dict[str, Any]) -> Wanted:
    """Check ``calling.tap``."""
    wanted = table(params, "tap")
    if wanted.get("type") != "audio":
        raise Invalid("Invalid CallTapParams")
    audio = table(wanted, "params")
    direction = audio.get("direction", "speak")
    if direction not in DIRECTIONS:
        raise Invalid("Invalid CallTapParams")
    device = table(params, "device")
    told = {"rtp": _rtp, "ws": _ws}.get(str(device.get("type")))
    if told is None:
        raise Invalid("Invalid CallTapParams")
    wire = {"type": device["type"], "params": told(table(device, "params"))}
    return Wanted(text(params, "control_id"), {"direction": direction}, wire)


def _rtp(params: dict[str, Any]) -> dict[str, Any]:
    port, ptime = _whole(params.get("port")), _whole(params.get("ptime", 20))
    try:
        addr = str(IPv4Address(text(params, "addr")))
    except ValueError:
        raise Invalid("Invalid CallTapParams") from None
    if not 0 < port < 65_536 or ptime not in range(10, 121, 10):
        raise Invalid("Invalid CallTapParams")
    return {"addr": addr, "port": port, "codec": _codec(params), "ptime": ptime}


def _whole(told: Any) -> int:
    """A whole number, or a text of one: node's types say that ports are texts."""
    if isinstance(told, str) and told.isascii() and told.isdecimal() and len(told) < 6:
        return int(told)
    if isinstance(told, bool) or not isinstance(told, int):
        raise Invalid("Invalid CallTapParams")
    return told


def _ws(params: dict[str, Any]) -> dict[str, Any]:
    uri = text(params, "uri")
    if not uri.startswith(("ws://", "wss://")):
        raise Invalid("Invalid CallTapParams")
    return {"uri": uri, "codec": _codec(params)}


def _codec(params: dict[str, Any]) -> str:
    codec = params.get("codec", "PCMU")
    if codec not in ("PCMU", "PCMA", "OPUS", "pcmu", "pcma", "opus"):
        raise Invalid("Invalid CallTapParams")
    upper = str(codec).upper()
    if upper not in CODECS:
        raise Refused("400", f"codec {upper} is not to be had in this lab")
    return upper
