"""TOML, environment, secrets and flags → frozen structs. The only file that speaks milliseconds.

The structs hold the whole key set of the contract with its defaults, so that a file written today stays good. A key
that this version cannot honour yet must keep its default; setting one to anything else is
refused with a sentence that says what it waits for (``forms.AWAITED``). Nothing is accepted and ignored.

``load`` raises ``ConfigError`` (exit 78) with every mistake at once, each with the key's path, what was expected, what
was found and where. ``config/tapdeck.toml`` says what each key means.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import UNSET, Meta, Struct, field
from msgspec.structs import fields

from receiver.endpoints import endpoint, unheard_by_the_relay
from receiver.forms import value_of
from receiver.origins import ConfigError, Found, Gathering, Keys, gather
from receiver.tables import Hook, Listen, Record, Text, wrong_hooks, wrong_ports, wrong_records

__all__ = ["CLOCK_RATE", "ConfigError", "Loaded", "Row", "Settings", "explain", "load", "read"]

CLOCK_RATE = 8_000
"""Samples per second of G.711. The same as ``wire.g711.CLOCK_RATE``, which would cost an import of numpy."""


class Media(Struct, frozen=True, kw_only=True):
    """``[media]``: the ports, the tick and the ring."""

    bind: Text = "0.0.0.0"
    advertise: Text | None = None
    ports: Text = "20000-29999"
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    max_taps: Annotated[int, Meta(ge=1, le=16_384)] = 4_000
    tick_ms: Annotated[int, Meta(ge=20, le=200)] = 100
    horizon_ms: Annotated[int, Meta(ge=20, le=10_000)] = 400
    window_ms: Annotated[int, Meta(ge=3_020, le=60_000)] = 6_000
    source: Literal["announced", "exact", "address", "allow-list", "any"] = "announced"
    allow: tuple[Text, ...] = ()
    cooldown_s: Annotated[float, Meta(ge=0, le=3_600)] = 60
    rtcp: Literal["mux", "both", "off"] = "mux"
    events_payload_type: Annotated[int, Meta(ge=96, le=127)] = 101
    opus_payload_type: Annotated[int, Meta(ge=96, le=127)] = 111

    @property
    def advertised(self) -> str | None:
        """The address that senders are told, None where nobody has said which of this host's it is."""
        return self.advertise or (None if ip_address(self.bind).is_unspecified else self.bind)

    @property
    def port_range(self) -> range:
        """The ports that taps may get, in order. With RTCP on port + 1 only the even ones."""
        first, _, last = self.ports.partition("-")
        step = 2 if self.rtcp == "both" else 1
        return range(-(-int(first) // step) * step, int(last or first) + 1, step)

    @property
    def tick_ns(self) -> int:
        return self.tick_ms * 1_000_000

    @property
    def horizon(self) -> int:
        """How long a missing packet is waited for, in samples."""
        return self.horizon_ms * CLOCK_RATE // 1_000

    @property
    def window(self) -> int:
        """Length of a row of the ring, in samples."""
        return self.window_ms * CLOCK_RATE // 1_000


class Relay(Struct, frozen=True, kw_only=True):
    """``[relay]``: SignalWire. ``enabled`` None: when project and token are there."""

    enabled: bool | None = None
    host: Text = "relay.signalwire.com"
    project: Text | None = None
    token: Text | None = None
    topics: tuple[Text, ...] = ()
    ca_file: Text | None = None

    @property
    def on(self) -> bool:
        """Whether to connect."""
        return self.project is not None and self.token is not None if self.enabled is None else self.enabled


class Taps(Struct, frozen=True, kw_only=True):
    """``[taps]``: what a tap is like when nobody says otherwise, and when it ends by itself."""

    direction: Literal["speak", "listen", "both"] = "both"
    layout: Literal["mono", "stereo"] = "mono"
    codec: Literal["PCMU", "PCMA", "OPUS"] = "PCMU"
    ptime_ms: Annotated[int, Meta(ge=10, le=120)] = 20
    start_timeout_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 30
    silence_timeout_s: Annotated[float, Meta(ge=0.1, le=86_400)] = 60
    max_duration_s: Annotated[float, Meta(ge=0.1, le=604_800)] = 14_400
    pause_as: Literal["silence", "cut"] = "silence"
    mask_dtmf: bool = False

    @property
    def start_timeout_ns(self) -> int:
        return round(self.start_timeout_s * 1e9)

    @property
    def silence_timeout_ns(self) -> int:
        return round(self.silence_timeout_s * 1e9)

    @property
    def max_duration_ns(self) -> int:
        return round(self.max_duration_s * 1e9)


class Storage(Struct, frozen=True, kw_only=True):
    """``[storage]``: the folder and what a recording is like."""

    directory: Text = "/var/lib/tapdeck"
    name: Text = "{started:%Y%m%dT%H%M%SZ}_{recording_id}"
    encoding: Literal["pcm16", "g711", "flac"] = "pcm16"
    commit_interval_ms: Annotated[int, Meta(ge=100, le=60_000)] = 1_000
    segment_s: Annotated[float, Meta(ge=0, le=86_400)] = 0
    reserve_mb: Annotated[int, Meta(ge=0, le=1_048_576)] = 64
    keep_days: Annotated[float, Meta(ge=0, le=36_500)] = 0

    @property
    def path(self) -> Path:
        """The directory, absolute."""
        return Path(self.directory).absolute()

    @property
    def commit_interval_ns(self) -> int:
        return self.commit_interval_ms * 1_000_000

    @property
    def reserve_octets(self) -> int:
        return self.reserve_mb * 1_000_000

    @property
    def keep_ns(self) -> int:
        return round(self.keep_days * 86_400e9)

    @property
    def segment_frames(self) -> int:
        """After how many frames a recording goes on in a new file (rule C7); 0: at 2 GiB."""
        return round(self.segment_s * CLOCK_RATE)


class Http(Struct, frozen=True, kw_only=True):
    """``[http]``: the API's door."""

    listen: Text = "127.0.0.1:8080"
    token: Text | None = None
    public_url: Text | None = None
    callbacks_listen: Text | None = None

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port to listen on; port 0 takes a free one."""
        return endpoint(self.listen)

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach the API (rule D10)."""
        host = self.endpoint[0]
        return host == "localhost" or ip_address(host).is_loopback


class Ws(Struct, frozen=True, kw_only=True):
    """``[ws]``: the door for taps that come over a WebSocket."""

    listen: Text | None = None
    uri: Text | None = None
    certificate: Text | None = None
    key: Text | None = None


class Daemon(Struct, frozen=True, kw_only=True):
    """``[daemon]``"""

    stop_timeout_s: Annotated[float, Meta(ge=1, le=3_600)] = 25


class Log(Struct, frozen=True, kw_only=True):
    """``[log]``"""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set; checked as a whole."""

    media: Media = field(default_factory=Media)
    relay: Relay = field(default_factory=Relay)
    taps: Taps = field(default_factory=Taps)
    storage: Storage = field(default_factory=Storage)
    http: Http = field(default_factory=Http)
    ws: Ws = field(default_factory=Ws)
    daemon: Daemon = field(default_factory=Daemon)
    log: Log = field(default_factory=Log)
    listen: tuple[Listen, ...] = ()
    record: tuple[Record, ...] = ()
    hook: tuple[Hook, ...] = ()

    @property
    def topics(self) -> tuple[str, ...]:
        """What calls to receive: those that are named, and those that are recorded."""
        return tuple(dict.fromkeys((*self.relay.topics, *(rule.topic for rule in self.record))))


SECTIONS: Mapping[str, type[Struct]] = {
    each.name: each.type for each in fields(Settings) if isinstance(each.type, type)
}
TYPES: Mapping[str, Any] = {
    f"{section}.{each.name}": each.type for section, struct in SECTIONS.items() for each in fields(struct)
} | {each.name: each.type for each in fields(Settings) if each.name not in SECTIONS}
KEYS = Keys(
    names=frozenset(name for name in TYPES if "." in name),
    tables=frozenset(name for name in TYPES if "." not in name),
    secrets=frozenset({"relay.project", "relay.token", "http.token"}),
)


class Loaded(NamedTuple):
    """Settings, and where each value that is not a default came from (key → origin)."""

    settings: Settings
    origins: Mapping[str, str]


MASK = "********"


class Row(NamedTuple):
    """One line of ``tapdeck config show``; a secret's value is ``MASK`` (rule D9)."""

    key: str
    value: object
    default: object
    origin: str


def load(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Settings:
    """Settings from all origins. ``flags``: dotted key → value, None where not given. Raises ``ConfigError``."""
    return read(path, environ, flags).settings


def read(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> Loaded:
    """As ``load``, with the origins."""
    gathering = gather(KEYS, path, environ, flags or {})
    values = {name: _settle(gathering, name, found) for name, found in gathering.found.items()}
    if gathering.problems:
        raise ConfigError(gathering.problems)
    settings = _assemble(values)
    problems = list(_contradictions(settings))
    if problems:
        raise ConfigError(problems)
    return Loaded(settings, {name: found.origin for name, found in gathering.found.items()})


def explain(loaded: Loaded) -> list[Row]:
    """Every key with its value, its default, and where the value comes from."""
    now, default = flat(loaded.settings), flat(Settings())
    rows = []
    for key, value in now.items():
        shown = MASK if key in KEYS.secrets and value is not None else value
        rows.append(Row(key, shown, default[key], loaded.origins.get(key, "default")))
    return rows


def _settle(gathering: Gathering, name: str, found: Found) -> object:
    """The value as what the key holds; whatever is wrong with it becomes a problem."""
    try:
        return value_of(name, TYPES[name], found.value, found.text)
    except ValueError as error:
        shown = "a secret" if name in KEYS.secrets else repr(found.value)
        gathering.problems.append(f"{name}: expected {error}, found {shown} ({found.origin})")
        return UNSET


def _assemble(values: Mapping[str, Any]) -> Settings:
    parts: dict[str, Any] = {name: values[name] for name in KEYS.tables if name in values}
    for section, struct in SECTIONS.items():
        given = {each.name: f"{section}.{each.name}" for each in fields(struct)}
        parts[section] = struct(**{leaf: values[name] for leaf, name in given.items() if name in values})
    return Settings(**parts)


def flat(settings: Settings) -> dict[str, object]:
    """Dotted key → value, in the order of the file."""
    flat: dict[str, object] = {}
    for name in TYPES:
        section, _, leaf = name.rpartition(".")
        flat[name] = getattr(getattr(settings, section) if section else settings, leaf)
    return flat


def _contradictions(settings: Settings) -> Iterator[str]:
    """What is wrong although each value alone is right."""
    media, http = settings.media, settings.http
    least_ms = media.horizon_ms + 3_000
    if media.window_ms < least_ms:
        yield f"media.window_ms: expected at least {least_ms} (media.horizon_ms + 3000), found {media.window_ms}"
    cooling = media.max_taps // 4 if media.cooldown_s else 0
    if len(media.port_range) < media.max_taps + cooling:
        even = ", only the even ones" if media.rtcp == "both" else ""
        yield (
            f"media.ports: expected at least {media.max_taps + cooling} ports (media.max_taps {media.max_taps}"
            f" and {cooling} that cool down), found {len(media.port_range)} in {media.ports}{even}:"
            " give more ports or lower media.max_taps"
        )
    if media.opus_payload_type == media.events_payload_type:
        yield f"media.opus_payload_type: expected another than that of events, found {media.opus_payload_type} for both"
    if media.source == "allow-list" and not media.allow:
        yield 'media.allow: expected at least one address or network, because media.source is "allow-list"; found none'
    yield from _of_the_relay(settings)
    if settings.taps.layout == "stereo" and settings.taps.direction != "both":
        yield f'taps.direction: expected "both", because taps.layout is "stereo"; found {settings.taps.direction!r}'
    yield from wrong_records(settings.record)
    yield from wrong_hooks(settings.hook)
    yield from wrong_ports(settings.listen, media.allow, media.rtcp == "both")
    ws = settings.ws
    if (ws.listen is None) != (ws.uri is None):
        missing = "uri" if ws.uri is None else "listen"
        yield f"ws.{missing}: expected a value, because the other one of ws.listen and ws.uri is set; found none"
    if (ws.certificate is None) != (ws.key is None):
        missing = "key" if ws.key is None else "certificate"
        yield f"ws.{missing}: expected a file, because the other one of ws.certificate and ws.key is set; found none"
    if not http.loopback and http.token is None:
        yield f"http.token: expected a token, because http.listen {http.listen} is not only this host's; found none"


def _of_the_relay(settings: Settings) -> Iterator[str]:
    relay = settings.relay
    for name in ("project", "token"):
        other = "token" if name == "project" else "project"
        if getattr(relay, name) is None and (relay.enabled or (relay.enabled is None and getattr(relay, other))):
            why = "relay.enabled is true" if relay.enabled else f"relay.{other} is set"
            yield f"relay.{name}: expected a text, because {why}; found none"
    if settings.record and not relay.on:
        yield "record: expected none, because the relay is not enabled (relay.project, relay.token); found some"
    if settings.record and (wrong := unheard_by_the_relay(settings.media.advertised, settings.media.bind)):
        yield f"{wrong} (there is a [[record]])"
