"""Who sends what to whom: a plan, as structs and as JSON. And the schedule that it comes to."""

import socket
from ipaddress import ip_address
from typing import Final, Literal

import msgspec
import numpy as np

from receiver.lab import forecast, sound, weather
from receiver.lab.forecast import PRESETS, Weather
from receiver.lab.weather import NS_PER_SAMPLE, Packets
from receiver.wire.rtp import LONGEST_PAYLOAD

_SECOND: Final = 1_000_000_000
_PHASE_NS: Final = 20_000_000
"""Callers begin within one packetization time, not all at once."""


class PlanError(ValueError):
    """A plan that cannot be sent; the message says why."""


class Caller(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One who sends to one tap. ``to`` is "host:port" and may be told later (``Sender.aim``)."""

    id: int
    to: str = ""
    codec: Literal["PCMU", "PCMA"] = "PCMU"
    size: int = 160
    """Samples per packet: 160 are 20 ms."""
    seconds: float = 10.0
    """Of sound; a standing clock makes the call longer."""
    start_s: float = 0.0
    weather: str | Weather = "clean"
    """A preset's name, or the thing itself."""
    speech: bool = False
    """A sentence instead of the identity."""
    ssrc: int | None = None
    """The first one; None: from the dice, as the sequence number and the timestamp."""

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be sent."""
        if not 0 <= self.id < sound.CROWD:
            raise ValueError(f"a caller's id is 0..{sound.CROWD - 1}, not {self.id}")
        if not 1 <= self.size <= LONGEST_PAYLOAD:
            raise ValueError(f"a packet holds 1..{LONGEST_PAYLOAD} samples, not {self.size}")
        if not 0 < self.seconds <= 86_400 or not 0 <= self.start_s <= 86_400:
            raise ValueError("a caller speaks for more than 0 and at most 86,400 s, and begins within as many")
        if isinstance(self.weather, str):
            forecast.named(self.weather)

    @property
    def voice(self) -> int:
        """Whose sound it is (``lab.sound``)."""
        return sound.SPEECH if self.speech else self.id

    @property
    def told(self) -> Weather:
        """The weather itself."""
        return PRESETS[self.weather] if isinstance(self.weather, str) else self.weather


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Callers, and how they are sent."""

    callers: tuple[Caller, ...]
    seed: int = 1
    source: str = "127.0.0.1"
    """Address to send from, or "address:port"."""
    own_ports: bool = False
    """Each caller sends from a port of its own; else all from one."""
    lean: bool = False
    """The lean path (``lab.rush``): clean weather, all callers alike, up to 200,000 packets a second."""
    burst: int = 1
    """Lean only: packets of one tap that go out together, by UDP_SEGMENT."""
    log: str | None = None
    """Folder for the sender's log."""
    srtp_file: str | None = None
    """File with a key (RFC 4568): what is sent is SRTP."""

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not self.callers:
            raise ValueError("a plan without callers")
        if len({caller.id for caller in self.callers}) != len(self.callers):
            raise ValueError("two callers have the same id")
        if self.lean:
            _check_lean(self)


def _check_lean(plan: Plan) -> None:
    """The lean path sends one thing, to many."""
    first = plan.callers[0]
    kinds = {(each.codec, each.size, each.seconds, each.start_s, each.told, each.speech) for each in plan.callers}
    if len(kinds) > 1 or first.told != Weather() or first.speech or first.start_s or plan.own_ports:
        raise ValueError("a lean plan has callers that are all alike, in clean weather, without speech, from one port")
    if plan.srtp_file is not None:
        raise ValueError("a lean plan has no key: each packet of SRTP is another one")
    if first.seconds > 3_600:
        raise ValueError("a lean plan lasts at most 3,600 s")
    if not 1 <= plan.burst <= 64 or plan.burst * (first.size + 12) > 65_000:
        raise ValueError("burst is 1..64 packets and at most 65,000 octets")


def parse(text: str | bytes) -> Plan:
    """Read a plan from JSON; raises PlanError with the path of what is wrong."""
    try:
        return msgspec.json.decode(text, type=Plan)
    except msgspec.DecodeError as error:
        raise PlanError(str(error)) from None


def schedule(plan: Plan) -> Packets:
    """All packets of a plan, by the time they are due."""
    return weather.in_order(np.concatenate([_calls(caller, plan.seed) for caller in plan.callers]))


def _calls(caller: Caller, seed: int) -> Packets:
    dice = forecast.dice_of(seed, caller.id)
    start_ns = round(caller.start_s * _SECOND) + int(dice.integers(_PHASE_NS // NS_PER_SAMPLE)) * NS_PER_SAMPLE
    packets = forecast.forecast(caller.told, caller.size, caller.seconds, dice, start_ns=start_ns)
    if caller.ssrc is not None and len(packets):
        packets["ssrc"][packets["ssrc"] == packets["ssrc"][0]] = caller.ssrc
    packets["caller"], packets["voice"], packets["payload_type"] = caller.id, caller.voice, sound.LAWS[caller.codec]
    return packets


def address(text: str, port: int | None = None) -> tuple[socket.AddressFamily, str, int]:
    """Read "host:port" or "[host]:port" (or "host" where a port is given) as family, address and port.

    Names are resolved. Raises PlanError.
    """
    host, colon, number = text.rpartition(":")
    bare_ipv6 = ":" in host and not host.startswith("[")
    if not colon or bare_ipv6 or text.endswith("]"):
        host, number = text, "" if port is None else str(port)
    host = host.strip("[]")
    if not number.isdecimal() or int(number) > 65_535:
        raise PlanError(f"{text!r} is not HOST:PORT")
    try:
        family = socket.AF_INET if ip_address(host).version == 4 else socket.AF_INET6
    except ValueError:
        try:
            family, _, _, _, where = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0]
            host = str(where[0])
        except OSError as error:
            raise PlanError(f"{host!r} is not a host: {error}") from None
    return family, host, int(number)


def source_towards(to: str) -> str:
    """Return the address of this host that packets to "host:port" leave from. Raises PlanError, or OSError without a
    way."""
    family, host, port = address(to)
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))  # sends nothing
        mine = str(probe.getsockname()[0])
    return f"[{mine}]" if family == socket.AF_INET6 else mine
