"""What control asks for, in the words of the rooms that do it. Pure."""

import socket
from collections.abc import Sequence
from typing import Any

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
        order.recording_id, order.port, POLICIES[order.policy], source(order.announced), order.held, order.channel,
        suite, announced,
    )  # fmt: skip


def key(told: keys.Key | None) -> Key | None:
    """A key for media. KeyError for a suite that is none."""
    return None if told is None else Key(Suite[told.suite], told.octets)


def draft(orders: Sequence[link.Open], configure: link.Configure) -> Draft:
    """For the disk (rule C1), of the taps of one recording. KeyError for a codec that is none."""
    first = orders[0]
    return Draft(
        recording_id=first.recording_id, tap_id=first.tap_id, call_id=first.call_id or UNSET,
        node_id=first.node_id or UNSET, labels=first.labels, direction=first.direction if len(orders) == 1 else "both",
        layout=first.layout, requested_at=sidecar.moment(first.requested_at_ns), name=configure.name,
        encoding=configure.encoding, pause_as=configure.pause_as, software=f"tapdeck {__version__}",
        host=socket.gethostname(), channels=tuple(_channel(order) for order in orders),
        sample_rate=opus.CLOCK_RATE if any(order.law >= DYNAMIC for order in orders) else g711.CLOCK_RATE,
    )  # fmt: skip


def _channel(order: link.Open) -> Channel:
    announced = sidecar.Source(announced=_in_words(order.announced) if order.announced else UNSET)
    return Channel(
        party=order.direction, tap_id=order.tap_id, control_id=order.control_id or UNSET, codec=codec_of(order.law),
        source=announced, srtp=order.suite or UNSET,
    )  # fmt: skip


def amended(draft: Draft, known: link.Amend, channel: int) -> Draft:
    """The same with what is known now of the tap of one channel."""
    return replace(
        _changed(draft, channel, control_id=known.control_id or UNSET),
        call_id=known.call_id or UNSET, node_id=known.node_id or UNSET, labels=known.labels,
    )  # fmt: skip


def answered(draft: Draft, announced: tuple[str, int] | None, channel: int) -> Draft:
    """The same with the sender's address as the relay announced it (rule B1) for one channel."""
    if announced is None:
        return draft
    return _changed(draft, channel, source=sidecar.Source(announced=_in_words(announced)))


def _changed(draft: Draft, channel: int, **more: Any) -> Draft:
    changed = (replace(it, **more) if number == channel else it for number, it in enumerate(draft.channels))
    return replace(draft, channels=tuple(changed))


def _in_words(announced: tuple[str, int]) -> str:
    """``address:port``, or the address alone where any port will do."""
    address, port = announced
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
