"""What comes in: bodies and queries, checked, and turned into what ``control`` understands."""

from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from receiver import endpoints, keys
from receiver.api.house import Defaults, House
from receiver.api.problems import Trouble, bad
from receiver.control.codecs import LAWS, OPUS, law_of
from receiver.control.means import NotNow
from receiver.control.sides import PARTIES, STEREO
from receiver.control.taps import State, Wish
from receiver.keys import Key
from receiver.ledger.rows import unix_ns
from receiver.ledger.store import Where

MOST_LISTED: Final = 500
USUALLY_LISTED: Final = 100
RELAY_RETRY_S: Final = 5.0

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Label = Annotated[str, Meta(max_length=1024)]
Labels = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=64)], Label], Meta(max_length=64)]
Ptime = Annotated[int, Meta(ge=10, le=120, multiple_of=10)]
Body = TypeVar("Body")


class DeviceBody(Struct, forbid_unknown_fields=True):
    """Where the sound goes: ours to fill in, but for the kind. ``payload_type`` is Opus' where the sender has another
    than ``[media].opus_payload_type``."""

    type: Literal["rtp", "ws"] = "rtp"
    codec: str | None = None
    ptime: Ptime | None = None
    payload_type: Annotated[int, Meta(ge=96, le=127)] | None = None


class SrtpBody(Struct, forbid_unknown_fields=True):
    """RFC 4568: crypto suite, and ``inline:`` with master key and salt. Never shown again."""

    suite: str
    key: str

    def __repr__(self) -> str:
        return "SrtpBody(…)"


class TapBody(Struct, forbid_unknown_fields=True):
    """``POST /v1/taps``."""

    call_id: Name | None = None
    node_id: Name | None = None
    device: DeviceBody | Literal["rtp", "ws"] | None = None
    codec: str | None = None
    ptime: Ptime | None = None
    direction: Literal["speak", "listen", "both"] | None = None
    layout: Literal["mono", "stereo"] | None = None
    labels: Labels = {}
    srtp: SrtpBody | None = None
    source: Name | None = None


class PatchBody(Struct, forbid_unknown_fields=True):
    """``PATCH /v1/taps/{id}``: what is not named stays."""

    source: Name | None = None
    call_id: Name | None = None
    node_id: Name | None = None
    control_id: Name | None = None
    labels: Labels | None = None


class Page(NamedTuple):
    """Which part of a listing is asked for. ``after``: the last row of the page before."""

    limit: int
    after: tuple[int, str] | None


async def read(request: web.Request, kind: type[Body]) -> Body:
    """Decode the body. msgspec's errors name the place; nothing but a whole JSON document passes."""
    return msgspec.json.decode(await request.read(), type=kind)


def wish_of(body: TapBody, house: House) -> Wish:
    """What is wished, with the defaults of the configuration. Raises `Trouble` for what cannot be met, `NotNow`."""
    device = body.device if isinstance(body.device, DeviceBody) else DeviceBody(type=body.device or "rtp")
    defaults = house.defaults
    codec = (_one("codec", body.codec, device.codec) or defaults.codec).upper()
    ptime = _one("ptime", body.ptime, device.ptime) or defaults.ptime
    layout = body.layout or ("mono" if body.direction in PARTIES else defaults.layout)
    if codec not in LAWS:
        raise bad("codec", f"codec: expected one of {', '.join(LAWS)}, found {codec!r}")
    _require_a_way(device.type, house)
    if layout == STEREO and body.direction in PARTIES:
        raise bad("direction", f'direction: expected "both" with layout "stereo", found {body.direction!r}')
    key = _key_of(body, device.type)
    wish = Wish(
        law=_law(codec, device, defaults),
        ptime=ptime,
        direction="both" if layout == STEREO else body.direction or defaults.direction,
        layout=layout,
        labels=body.labels,
        policy="exact",
        announced=None,
        source=body.source,
        device=device.type,
        suite=key.suite if key else None,
        key=key,
    )
    if body.call_id is not None:
        return _over_the_relay(wish, body, house)
    if body.node_id is not None:
        raise bad("node_id", "node_id: it goes with a call_id; found none")
    if device.type == "ws":
        if body.source is not None:
            raise bad("source", 'source: not with device "ws": who knows the URI, which holds a secret, may send')
        return wish
    anybody = key is not None and body.source is None  # a right tag is more than any address (rules B)
    policy, announced = ("any", None) if anybody else source_of(body.source, house.allow_list)
    return wish._replace(policy=policy, announced=announced)


def _key_of(body: TapBody, device: str) -> Key | None:
    """The key of a tap whose sound comes as SRTP. Nothing of what was found is said again."""
    if body.srtp is None:
        return None
    if body.call_id is not None:
        raise bad(
            "srtp", "srtp: not with call_id: the platform's taps send plain RTP, there is no way to give them a key",
            'device "ws" with a wss:// URI is encrypted on the way',
        )  # fmt: skip
    if device == "ws":
        raise bad("srtp", 'srtp: not with device "ws": a wss:// URI is encrypted on the way, and carries no RTP')
    try:
        return keys.read(body.srtp.suite, body.srtp.key)
    except ValueError as error:
        raise bad("srtp", f"srtp.{str(error).partition(':')[0]}: expected{str(error).partition(':')[2]}") from None


def _over_the_relay(wish: Wish, body: TapBody, house: House) -> Wish:
    """One of our own: we start it, the relay announces the source (rule B1)."""
    if body.source is not None:
        raise bad("source", "source: not with call_id: the relay announces it, [media].source is the policy")
    if house.client is None:
        raise Trouble(
            409, "no_relay", "call_id: there is no relay to start a tap on", "set [relay].project and [relay].token"
        )
    if not house.client.up:
        raise NotNow("relay_away", "the relay is away, see /readyz", RELAY_RETRY_S)
    if wish.device == "rtp" and house.address is not None and ip_address(house.address).version != 4:
        raise Trouble(409, "no_address", "[media].advertise: the relay sends to IPv4 addresses only")
    assert body.call_id is not None
    known = house.client.calls.get(body.call_id)
    node_id = body.node_id or (known.node_id if known else None)
    if node_id is None:
        raise bad("node_id", "node_id: expected the call's node: the daemon does not know this call; found none")
    return wish._replace(policy=house.policy, call_id=body.call_id, node_id=node_id, own=True)


def _require_a_way(device: str, house: House) -> None:
    """Nobody can be told where to send to unless the operator has said it."""
    if device == "ws" and not house.ws:
        raise Trouble(
            409, "no_ws", 'device "ws": there is no door for it', "set [ws].listen, and [ws].uri: how senders reach it"
        )
    if device == "rtp" and house.address is None:
        raise Trouble(
            409,
            "no_address",
            "senders cannot be told an address: [media].advertise is not set and [media].bind is all addresses",
            "set [media].advertise to the address of this host that senders can reach",
        )


def _law(codec: str, device: DeviceBody, defaults: Defaults) -> int:
    """The payload type that the sound will have."""
    if codec == OPUS and device.type == "ws":
        raise bad("codec", 'codec: OPUS comes over RTP only; found device "ws"', 'ask for device "rtp", PCMU or PCMA')
    if device.payload_type is None:
        return law_of(codec, defaults.opus_type)
    if codec != OPUS:
        raise bad("payload_type", f"device.payload_type: it is OPUS' to have another; {codec} has {LAWS[codec]}")
    if device.payload_type == defaults.events_type:
        raise bad("payload_type", f"device.payload_type: {device.payload_type} is that of telephone events here")
    return device.payload_type


def source_of(text: str | None, allow_list: bool) -> endpoints.Source:
    """Read ``source``: "any", an address, or address:port (IPv6 with a port in brackets)."""
    if text is None:
        if allow_list:
            return endpoints.Source("allow-list", None)
        raise bad(
            "source",
            'source: expected "address", "address:port" or "any"; without one the sender must be in [media].allow',
            '"any" records whoever sends first: ask for it only where nobody else can reach the port',
        )
    try:
        return endpoints.source(text)
    except ValueError as error:
        raise bad("source", f"source: expected {error}, found {text!r}") from None


def where_of(request: web.Request) -> tuple[Where, Page]:
    """Read the query of ``GET /v1/taps``."""
    query = dict(request.query)
    page = page_of(query)
    state = query.pop("state", None)
    if state is not None and state not in set(State):
        raise bad("query", f"state: expected one of {', '.join(State)}, found {state!r}")
    labels = {name.removeprefix("label."): query.pop(name) for name in list(query) if name.startswith("label.")}
    since = query.pop("since", None)
    where = Where(state, query.pop("call_id", None), labels, None if since is None else _time(since), page.after)
    nothing_else(query)
    return where, page


def page_of(query: dict[str, str]) -> Page:
    """Take ``limit`` and ``after`` out of a query."""
    limit, after = query.pop("limit", str(USUALLY_LISTED)), query.pop("after", None)
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MOST_LISTED):
        raise bad("query", f"limit: expected a number from 1 to {MOST_LISTED}, found {limit!r}")
    if after is None:
        return Page(int(limit), None)
    number, dash, last = after.partition("-")
    if not (dash and number.isascii() and number.isdigit() and int(number) < 2**63):
        raise bad("query", "after: expected what a listing gave as next")
    return Page(int(limit), (int(number), last))


def wait_of(request: web.Request, word: str) -> bool:
    """Whether ``?wait=word`` is asked for; any other wait is refused."""
    query: dict[str, str] = dict(request.query)
    wait = query.pop("wait", None)
    nothing_else(query)
    if wait is not None and wait != word:
        raise bad("query", f"wait: expected {word!r}, found {wait!r}")
    return wait is not None


def nothing_else(query: Mapping[str, Any]) -> None:
    """Refuse what is not known: a filter that is misspelt must not list everything."""
    if query:
        raise bad("query", f"not known here: {', '.join(sorted(query))}")


def _one(name: str, outer: Any, inner: Any) -> Any:
    """A thing may be said in the body or in its device."""
    if outer is not None and inner is not None and outer != inner:
        raise bad(name, f"{name}: {outer!r} in the body, {inner!r} in the device")
    return inner if outer is None else outer


def _time(text: str) -> int:
    try:
        return unix_ns(datetime.fromisoformat(text.replace(" ", "+"))) or 0  # a "+" of a zone that nobody quoted
    except (ValueError, OverflowError):
        raise bad("query", f"since: expected a time like 2026-09-21T14:13:20Z, found {text!r}") from None
