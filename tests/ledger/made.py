"""Taps and sidecars to book."""

from typing import Any

import msgspec

from receiver.ledger.rows import TapRow

SECOND = 1_000_000_000
NOON = 1_790_000_000 * SECOND  # UNIX ns


def tap(number: int, **given: Any) -> TapRow:
    """Tap ``number`` as it is asked for, a second after the one before."""
    fields: dict[str, Any] = {
        "id": f"tap-{number:03}", "recording_id": f"rec-{number:03}", "state": "requested", "labels": {},
        "direction": "both", "layout": "mono", "codec": "PCMU", "ptime": 20, "source": "any", "address": "127.0.0.1",
        "port": 20_000 + number, "requested_ns": NOON + number * SECOND,
    }  # fmt: skip
    return TapRow(**fields | given)


def sidecar(number: int, outcome: str = "complete", **given: Any) -> bytes:
    """The sidecar of tap ``number``, as a worker writes it."""
    document: dict[str, Any] = {
        "schema": 1, "recording_id": f"rec-{number:03}", "tap_id": f"tap-{number:03}", "labels": {"team": "blue"},
        "direction": "both", "layout": "mono", "file": f"rec-{number:03}.wav" if outcome != "empty" else None,
        "bytes": 16_044, "sha256": "0" * 64, "encoding": "pcm16", "sample_rate": 8000, "frames": 8000,
        "duration_s": 1.0, "requested_at": "2026-09-21T14:13:20.000000Z", "ended_at": "2026-09-21T14:14:20.500000Z",
        "ending": "stopped", "outcome": outcome, "absent_frames": 160,
        "gaps": [{"frame": 160, "frames": 160, "channel": 0, "reason": "lost"}],
        "channels": [{"party": "both", "tap_id": f"tap-{number:03}", "codec": "PCMU"}],
        "a_field_of_a_later_version": 1,
    }  # fmt: skip
    return msgspec.json.encode(document | given)
