"""What control asks for, in the words of the rooms that do it. Pure."""

import socket

from msgspec import UNSET
from msgspec.structs import replace

from receiver import __version__, keys, link
from receiver.archive import names, sidecar
from receiver.archive.sidecar import Channel, Draft
from receiver.media.columns import Policy
from receiver.media.secured import Key
from receiver.media.sources import NOWHERE, Source
from receiver.media.taps import Wanted
from receiver.wire import g711, opus
from receiver.wire.opus import DYNAMIC
from receiver.wire.srtp import Suite
from receiver.worker.story import codec_of

POLICIES = {policy.name.lower().replace("_", "-"): policy for policy in Policy}


def source(announced: tuple[str, int] | None) -> Source:
    """Where a tap's sound will come from, as it was announced. ValueError for what is no address."""
    return Source.of(*announced) if announced else NOWHERE


def wanted(order: link.Open) -> Wanted:
    """For the columns. ValueError, KeyError for an order that means nothing."""
    names.require_id(order.recording_id)
    suite = 0 if order.suite is None else Suite[order.suite]
    announced = order.law if order.law >= DYNAMIC else 0
    return Wanted(
        order.recording_id, order.port, POLICIES[order.policy], source(order.announced), order.held, suite, announced
    )  # fmt: skip


def key(told: keys.Key | None) -> Key | None:
    """A key for media. KeyError for a suite that is none."""
    return None if told is None else Key(Suite[told.suite], told.octets)


def draft(order: link.Open, configure: link.Configure) -> Draft:
    """For the disk (rule C1). KeyError for a codec that is none."""
    announced = sidecar.Source(announced=_in_words(order.announced) if order.announced else UNSET)
    channel = Channel(
        party=order.direction, tap_id=order.tap_id, control_id=order.control_id or UNSET, codec=codec_of(order.law),
        source=announced, srtp=order.suite or UNSET,
    )  # fmt: skip
    return Draft(
        recording_id=order.recording_id, tap_id=order.tap_id, call_id=order.call_id or UNSET,
        node_id=order.node_id or UNSET, labels=order.labels, direction=order.direction, layout=order.layout,
        requested_at=sidecar.moment(order.requested_at_ns), name=configure.name, encoding=configure.encoding,
        pause_as=configure.pause_as,
        software=f"tapdeck {__version__}", host=socket.gethostname(), channels=(channel,),
        sample_rate=opus.CLOCK_RATE if order.law >= DYNAMIC else g711.CLOCK_RATE,
    )  # fmt: skip


def amended(draft: Draft, known: link.Amend) -> Draft:
    """The same with what is known now."""
    channels = tuple(replace(channel, control_id=known.control_id or UNSET) for channel in draft.channels)
    return replace(
        draft, call_id=known.call_id or UNSET, node_id=known.node_id or UNSET, labels=known.labels, channels=channels
    )


def answered(draft: Draft, announced: tuple[str, int] | None) -> Draft:
    """The same with the sender's address as the relay announced it (rule B1)."""
    if announced is None:
        return draft
    source = sidecar.Source(announced=_in_words(announced))
    return replace(draft, channels=tuple(replace(channel, source=source) for channel in draft.channels))


def _in_words(announced: tuple[str, int]) -> str:
    """``address:port``, or the address alone where any port will do."""
    address, port = announced
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
