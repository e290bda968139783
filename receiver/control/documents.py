"""What an event says: one JSON document for readers and hooks alike, with no secret in it (rule D9).

``event`` is its name, ``at`` when it happened; the rest is what it is about. Made from ledger rows, so that it can be
made again after a restart.
"""

from typing import Any, Final

import msgspec

from receiver.ledger.rows import Summary, TapRow, moment

_OF_TAP: Final = (
    "id", "recording_id", "state", "call_id", "node_id", "control_id", "direction", "ending", "outcome", "problem",
)  # fmt: skip
_OF_RECORDING: Final = (
    "recording_id", "call_id", "labels", "outcome", "ending", "file", "bytes", "sha256", "duration_s", "parts",
    "problem",
)  # fmt: skip


def document(event: str, at_ns: int, **about: Any) -> bytes:
    """The whole document; ``at_ns`` is UNIX time."""
    return msgspec.json.encode({"event": event, "at": moment(at_ns), **about})


def of_tap(row: TapRow) -> dict[str, Any]:
    """Who a tap is, and how it stands."""
    known = {name: getattr(row, name) for name in _OF_TAP}
    known["paused"] = True if row.paused else None
    return {name: value for name, value in known.items() if value is not None} | {"labels": dict(row.labels)}


def of_recording(summary: Summary) -> dict[str, Any]:
    """What a job must know to pick a recording up. ``file`` is null where there is no sound, or several files."""
    told = msgspec.to_builtins(summary)
    return {name: told[name] for name in _OF_RECORDING if told.get(name)} | {"file": summary.file}
