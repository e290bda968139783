"""What a request must look like, as the live service is thought to check it. Raises `Invalid`, never anything else."""

from ipaddress import IPv4Address
from typing import Any, Final, NamedTuple

CODECS: Final = {"PCMU", "PCMA"}
DIRECTIONS: Final = {"speak", "listen", "both"}


class Invalid(Exception):
    """Params that are refused with JSON-RPC's -32602."""


class Refused(Exception):
    """Answered by ``result.code``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


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


def phone(params: dict[str, Any]) -> dict[str, Any]:
    """The first phone of ``devices``, serial or parallel."""
    devices = params.get("devices")
    first = devices[0] if isinstance(devices, list) and devices else None
    device = first[0] if isinstance(first, list) and first else None
    if not isinstance(device, dict) or device.get("type") not in ("phone", "sip"):
        raise Invalid("devices: a list of lists of devices is required")
    numbers = table(device, "params")
    named = "to_number" if device["type"] == "phone" else "to"
    text(numbers, named)
    return numbers


def tap(params: dict[str, Any]) -> Wanted:
    """Check ``calling.tap``."""
    wanted = table(params, "tap")
    if wanted.get("type") != "audio":
        raise Invalid("Invalid CallTapParams")
    audio = table(wanted, "params")
    if audio.get("direction", "speak") not in DIRECTIONS:
        raise Invalid("Invalid CallTapParams")
    device = table(params, "device")
    told = {"rtp": _rtp, "ws": _ws}.get(str(device.get("type")))
    if told is None:
        raise Invalid("Invalid CallTapParams")
    return Wanted(text(params, "control_id"), audio, {"type": device["type"], "params": told(table(device, "params"))})


def _rtp(params: dict[str, Any]) -> dict[str, Any]:
    try:
        addr, port = str(IPv4Address(params.get("addr"))), int(params.get("port", 0))
        ptime = int(params.get("ptime", 20))
    except (ValueError, TypeError):
        raise Invalid("Invalid CallTapParams") from None
    if not 0 < port < 65_536 or ptime not in range(10, 121, 10):
        raise Invalid("Invalid CallTapParams")
    return {"addr": addr, "port": port, "codec": _codec(params), "ptime": ptime}


def _ws(params: dict[str, Any]) -> dict[str, Any]:
    uri = text(params, "uri")
    if not uri.startswith(("ws://", "wss://")):
        raise Invalid("Invalid CallTapParams")
    return {"uri": uri, "codec": _codec(params)}


def _codec(params: dict[str, Any]) -> str:
    codec = params.get("codec", "PCMU")
    if not isinstance(codec, str) or codec not in {"PCMU", "PCMA", "OPUS", "pcmu", "pcma", "opus"}:
        raise Invalid("Invalid CallTapParams")
    if codec.upper() not in CODECS:
        raise Refused("400", f"codec {codec.upper()} is not to be had in this lab")
    return codec.upper()
