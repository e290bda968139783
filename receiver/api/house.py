"""What the routes may ask. Put together by ``daemon``."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, NamedTuple

from aiohttp import web

from receiver.control.calls import Client
from receiver.control.codecs import OPUS_TYPE
from receiver.control.events import Events
from receiver.control.hooks import Hooks
from receiver.control.roster import Roster
from receiver.ledger.clerk import Clerk
from receiver.watch.counters import Counters
from receiver.watch.health import Health


class Defaults(NamedTuple):
    """What a tap is like when the request does not say: ``[taps]`` of the configuration, and ``[media]``'s types."""

    codec: str
    ptime: int
    direction: str
    layout: str
    opus_type: int = OPUS_TYPE
    events_type: int = 101


@dataclass(slots=True)
class House:
    """The rooms and facts behind the routes. The facts from ``defaults`` on may change while it stands (rule D8)."""

    roster: Roster
    clerk: Clerk
    counters: Counters
    health: Health
    events: Events
    workers: Callable[[], list[dict[str, Any]]]
    present: Callable[[Sequence[str]], list[bool]]  # whether paths below ready/ exist; blocking
    sound: Callable[[str], BinaryIO]  # opens a plain file below ready/ or raises FileNotFoundError; blocking
    drain: Callable[[], Awaitable[None]]  # accept nothing new
    free: Callable[[], int]  # octets that are free where recordings go; blocking
    defaults: Defaults
    address: str | None  # what senders are told; None: nobody said which of this host's it is
    allow_list: bool  # whether [media].allow names anybody
    token: str | None = None
    client: Client | None = None  # of the relay; None: there is none
    policy: str = "announced"  # [media].source, for taps of our own
    ws: bool = False  # whether there is a door for ``ws`` devices
    hooks: Hooks | None = None  # None: there are none
    public_url: str | None = None  # how the platform reaches us for callbacks


HOUSE: Final = web.AppKey("house", House)
