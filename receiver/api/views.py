"""What goes out: a tap and a recording as the outside sees them. What is not known is absent."""

from datetime import datetime
from ipaddress import ip_address
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from receiver.api.callbacks import CALLBACKS
from receiver.control.codecs import OPUS
from receiver.control.orders import row
from receiver.control.taps import Tap, Word
from receiver.ledger.rows import Problem, RecordingRow, TapRow, moment


class TapView(Struct, kw_only=True, omit_defaults=True):
    """One tap."""

    id: str
    recording_id: str
    state: str
    call_id: str | UnsetType = UNSET
    node_id: str | UnsetType = UNSET
    control_id: str | UnsetType = UNSET
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    direction: str | UnsetType = UNSET
    layout: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    device: dict[str, Any] | UnsetType = UNSET  # wire form, for RELAY and REST
    tap_audio: dict[str, Any] | UnsetType = UNSET  # flat, for the SDKs' tapAudio
    uri: str | UnsetType = UNSET  # for SWML
    payload_type: int | UnsetType = UNSET  # of Opus: the one that is expected
    srtp: dict[str, str] | UnsetType = UNSET  # the suite; the key is the sender's and ours, and is never told
    status_url: str | UnsetType = UNSET  # for SWML and REST: what the platform calls; a path where nobody said our host
    taps: dict[str, str] | UnsetType = UNSET  # layout "stereo", while it lives: both by party, as the next four
    devices: dict[str, dict[str, Any]] | UnsetType = UNSET
    tap_audios: dict[str, dict[str, Any]] | UnsetType = UNSET
    uris: dict[str, str] | UnsetType = UNSET
    status_urls: dict[str, str] | UnsetType = UNSET
    relay: str | UnsetType = UNSET  # whose word there is that it goes on (rule D6)
    paused: bool = False
    requested_at: datetime | UnsetType = UNSET
    listening_at: datetime | UnsetType = UNSET
    first_packet_at: datetime | UnsetType = UNSET
    last_packet_at: datetime | UnsetType = UNSET
    ended_at: datetime | UnsetType = UNSET
    ending: str | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    problem: Problem | UnsetType = UNSET
    counts: dict[str, int] | UnsetType = UNSET  # as last reported by the worker, while the tap lives


def view_of_row(tap: TapRow) -> TapView:
    """A tap as the ledger knows it."""
    view = TapView(
        id=tap.id,
        recording_id=tap.recording_id,
        state=tap.state,
        call_id=tap.call_id or UNSET,
        node_id=tap.node_id or UNSET,
        control_id=tap.control_id or UNSET,
        labels=tap.labels,
        direction=tap.direction or UNSET,
        layout=tap.layout or UNSET,
        source=tap.source or UNSET,
        paused=tap.paused,
        requested_at=moment(tap.requested_ns),
        listening_at=moment(tap.listening_ns),
        first_packet_at=moment(tap.receiving_ns),
        ended_at=moment(tap.ended_ns),
        ending=tap.ending or UNSET,
        outcome=tap.outcome or UNSET,
        problem=tap.problem or UNSET,
        payload_type=tap.seat.law if tap.codec == OPUS and tap.seat and tap.seat.law is not None else UNSET,
    )
    suite = tap.seat.suite if tap.seat else None
    if suite is not None:
        view.srtp = {"suite": suite}
    if tap.device != "ws" and tap.address is not None and tap.port is not None:
        flat = {"type": "rtp", "addr": tap.address, "port": tap.port, "codec": tap.codec}
        params = {"addr": tap.address, "port": tap.port, "codec": tap.codec, "ptime": tap.ptime}
        view.device = {"type": "rtp", "params": {name: each for name, each in params.items() if each is not None}}
        view.tap_audio = {name: each for name, each in flat.items() if each is not None}
        view.uri = f"rtp://{_in_a_uri(tap.address)}:{tap.port}"
        if suite is not None:  # nothing that the platform would take: it would send plain RTP, which is not let in
            view.device["type"], view.tap_audio = "srtp", UNSET
            view.uri = f"srtp://{_in_a_uri(tap.address)}:{tap.port}"
    return view


def view_of(tap: Tap, address: str | None, public_url: str | None) -> TapView:
    """A tap that lives, with what its worker last reported; of one of two in a recording, where both are sent to."""
    view = _view_of(tap, address, public_url)
    if tap.sides:
        both = {side.wish.direction: _view_of(side, address, public_url) for side in tap.sides}
        view.taps = {party: each.id for party, each in both.items()}
        view.devices = {party: each.device for party, each in both.items() if each.device is not UNSET}
        view.tap_audios = {party: each.tap_audio for party, each in both.items() if each.tap_audio is not UNSET}
        view.uris = {party: each.uri for party, each in both.items() if each.uri is not UNSET}
        called = {party: each.status_url for party, each in both.items() if each.status_url is not UNSET}
        view.status_urls = called or UNSET
    return view


def _view_of(tap: Tap, address: str | None, public_url: str | None) -> TapView:
    view = view_of_row(row(tap, address))
    if tap.uri is not None:
        codec = tap.wish.codec
        view.device = {"type": "ws", "params": {"uri": tap.uri, "codec": codec}}
        view.tap_audio = {"type": "ws", "uri": tap.uri, "codec": codec}
        view.uri = tap.uri
    if tap.secret is not None:
        view.status_url = f"{(public_url or '').rstrip('/')}{CALLBACKS}{tap.secret}"
    view.relay = UNSET if tap.word is Word.NOBODYS else tap.word.value
    view.outcome = tap.outcome or UNSET
    view.last_packet_at = moment(tap.heard_unix_ns)
    view.counts = tap.counts._asdict()
    return view


def wavs_of(recording: RecordingRow) -> list[str] | None:
    """The paths below ``ready/`` of its sound, in order; empty where a recording has none, None where nobody knows.

    Jobs may write sidecars, too: a name with a way out in it is not one of ours.
    """
    summary, stem = recording.summary, recording.stem
    names = [summary.file] if summary.file else [str(part.get("file", "")) for part in summary.parts]
    if stem is None or any("/" in name or name in ("", ".", "..") for name in names):
        return None
    folder = stem.rpartition("/")[0]
    return [f"{folder}/{name}".lstrip("/") for name in names]


def sound_of(recording: RecordingRow) -> str | None:
    """The path below ``ready/`` by which one sees whether a recording still lies there; None where nobody knows."""
    wavs = wavs_of(recording)
    return wavs[0] if wavs else None if wavs is None else f"{recording.stem}.json"


def recording_view(recording: RecordingRow, path: str | None, present: bool) -> dict[str, Any]:
    """A recording as the ledger knows it; ``path`` is below the storage folder."""
    members: dict[str, Any] = msgspec.to_builtins(recording.summary)
    if path is not None:
        members["path"] = f"ready/{path}"
    return members | {"present": present}


def _in_a_uri(address: str) -> str:
    return f"[{address}]" if ip_address(address).version == 6 else address
