"""What the configuration means to each room, and what the host must give."""

import os
import resource
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from receiver import link
from receiver.archive import names
from receiver.control.codecs import DYNAMIC, OPUS
from receiver.control.taps import SECOND, Limits
from receiver.control.wsdevice import WsDoor
from receiver.endpoints import endpoint
from receiver.ledger.clerk import Clerk
from receiver.ledger.rows import Summary, TapRow
from receiver.net.ports import Ports
from receiver.settings import ConfigError, Media, Settings

OPENING_NS: Final = 5 * SECOND  # how long a POST waits for rule C1
SPARE_DESCRIPTORS: Final = 256
GUARDED: Final = 4 * 1_460  # octets of a ring row beyond its window: a longest packet of samples at each end
TAP_OCTETS: Final = 12_000  # of columns and logs
DENSITY: Final = 12  # octets for packets in each sample of a ring row of Opus
WORKER_OCTETS: Final = 8_000_000  # of the slab, and the least of everything else
LONGEST_BOOKING_NS: Final = 900 * SECOND  # from the last sound to the outcome: ten minutes of silence, and more

log = structlog.get_logger("daemon")


def configure(settings: Settings, index: int, slots: int, kept: bool = False) -> link.Configure:
    """What a worker is told first. ``kept``: its sockets and its memory outlive us."""
    media, storage = settings.media, settings.storage
    return link.Configure(
        index=index,
        taps=slots,
        tick_ns=media.tick_ns,
        horizon=media.horizon,
        window=media.window,
        commit_interval_ns=storage.commit_interval_ns,
        segment_frames=storage.segment_frames,
        directory=str(storage.path),
        name=storage.name,
        encoding=storage.encoding,
        pause_as=settings.taps.pause_as,
        policy=media.source,
        allow=list(media.allow),
        events_payload_type=media.events_payload_type,
        repair=index == 0,
        kept=kept,
        reserve_octets=storage.reserve_octets if index == 0 else 0,
        keep_ns=storage.keep_ns if index == 0 else 0,
        mask_dtmf=settings.taps.mask_dtmf,
        rtcp=settings.media.rtcp != "off",
    )


def environ(settings: Settings) -> dict[str, str]:
    """What a worker's environment says beyond ours: its log begins before control has said anything."""
    return {"TAPDECK_LOG__LEVEL": settings.log.level, "TAPDECK_LOG__FORMAT": settings.log.format}


def state_directory() -> Path | None:
    """Where the service manager lets us keep what we know (``StateDirectory=``); None without one."""
    told = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(told) if told else None


def memory_octets(settings: Settings) -> int:
    """The memory files of all workers when every tap lives; a test holds it to what `receiver.media.state` needs. Of
    Opus are those that the configuration says; such as are asked for one by one come on top."""
    taps = settings.media.max_taps
    rows = taps + max(64 * settings.media.workers, taps // 8)
    ring = rows * (2 * settings.media.window + GUARDED)
    opus = taps if settings.taps.codec == OPUS else sum(listen.codec == OPUS for listen in settings.listen)
    packets = opus * DENSITY * settings.media.window
    return ring + packets + taps * TAP_OCTETS + settings.media.workers * WORKER_OCTETS


def weight(law: int) -> int:
    """How much disk a tap takes in a time, in taps of G.711: Opus is recorded at 48 kHz."""
    return 6 if law >= DYNAMIC else 1


def limits(settings: Settings) -> Limits:
    """How long a tap may stay where it is (rules D5, D6)."""
    taps = settings.taps
    return Limits(OPENING_NS, taps.start_timeout_ns, taps.silence_timeout_ns, taps.max_duration_ns)


def ports(settings: Settings) -> Ports:
    """The pool of UDP ports."""
    pool = settings.media.port_range
    media, ears = settings.media, settings.media.rtcp == "both"
    return Ports(media.bind, pool[0], pool[-1], step=pool.step, ears=ears, cooldown_s=media.cooldown_s)


async def cooling(settings: Settings, clerk: Clerk, open_taps: Sequence[TapRow], unix_ns: int) -> dict[int, float]:
    """For how many seconds from UNIX time ``unix_ns`` on which ports of earlier processes' taps are to rest (rule A16).

    Those of ``open_taps`` that do not go on rest from now on; ports that are in use are nobody's to cool.
    """
    rest_ns = round(settings.media.cooldown_s * SECOND)
    if not rest_ns:
        return {}
    given_back = await clerk.do(clerk.ledger.ports_given_back, unix_ns - rest_ns, LONGEST_BOOKING_NS)
    left_ns = {port: min(rest_ns, at_ns + rest_ns - unix_ns) for port, at_ns in given_back.items()}
    left_ns |= {tap.port: rest_ns for tap in open_taps if tap.port is not None}
    return {port: each / SECOND for port, each in left_ns.items()}


async def open_ws(door: WsDoor, settings: Settings) -> None:
    """Let the WebSocket door listen. Raises `ConfigError` where that cannot be."""
    ws = settings.ws
    assert ws.listen is not None
    host, port = endpoint(ws.listen)
    try:
        await door.start(host, port, ws.certificate, ws.key)
    except ssl.SSLError as error:
        found = f"{ws.certificate}, {ws.key} ({error.reason})"
        raise ConfigError([f"ws.certificate: expected a certificate and its key, found {found}"]) from error
    except OSError as error:
        raise ConfigError([f"ws.listen: cannot listen on {ws.listen}: {error.strerror}"]) from error


def require_bindable(address: str) -> None:
    """Raise `ConfigError` unless ports can be bound there: better said at start than at the first tap."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            tried.bind((address, 0))
    except OSError as error:
        raise ConfigError(
            [f"media.bind: expected an address of this host, found {address!r} ({error.strerror})"]
        ) from error


def raise_descriptor_limit(media: Media) -> None:
    """A socket for each tap, or two, and as many again on their way to a worker; workers inherit the limit."""
    taps, each = media.max_taps, 2 if media.rtcp == "both" else 1
    wanted = 2 * each * taps + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    new = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (new, hard))
    if new < wanted:
        log.warning("few descriptors for so many taps", limit=new, wanted=wanted, hint="LimitNOFILE= or ulimit -n")


def stem_of(summary: Summary, pattern: str) -> str | None:
    """The name that the archive gives a recording (its folders; the rest is in ``file``)."""
    moments = (summary.started_at, summary.requested_at, summary.ended_at)
    known = next((each for each in moments if isinstance(each, datetime)), None)
    if known is None:
        return None
    try:
        rendered = names.render(pattern, known, summary.recording_id, summary.tap_id or "", summary.call_id or "")
    except ValueError:
        return None
    folder, _, base = rendered.rpartition("/")
    return f"{folder}/{names.without_suffix(summary.file or base)}".lstrip("/")


def present(ready: Path, paths: Sequence[str]) -> list[bool]:
    """Whether paths below ready/ exist. Blocking."""
    return [os.path.lexists(ready / path) for path in paths]


def free(folder: Path) -> int:
    """Octets that a service may still write there. Blocking."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
