"""What goes out."""

import json
from typing import Any

import msgspec
import pytest

from receiver.api.views import recording_view, sound_of, view_of, view_of_row
from receiver.control import orders
from receiver.control.taps import Counts, State, Word
from receiver.keys import Key
from receiver.ledger.rows import RecordingRow, Summary
from tests.control.made import WISH
from tests.control.test_taps import tap
from tests.ledger.made import tap as row


def shown(view: object) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(view))
    return members


def recording(stem: str | None = "2026/r", **given: Any) -> RecordingRow:
    return RecordingRow(
        summary=Summary(recording_id="r", ending="stopped", outcome="complete", **given), stem=stem, booked_ns=1
    )


def test_the_destination_is_said_in_three_forms() -> None:
    view = shown(view_of_row(row(1, address="203.0.113.5", port=20_000, codec="PCMA", ptime=30)))
    assert view["device"] == {
        "type": "rtp",
        "params": {"addr": "203.0.113.5", "port": 20_000, "codec": "PCMA", "ptime": 30},
    }
    assert view["tap_audio"] == {"type": "rtp", "addr": "203.0.113.5", "port": 20_000, "codec": "PCMA"}
    assert view["uri"] == "rtp://203.0.113.5:20000"
    assert shown(view_of_row(row(1, address="2001:db8::1", port=5)))["uri"] == "rtp://[2001:db8::1]:5"


def test_d9_an_srtp_tap_says_its_suite_and_nothing_that_the_platform_would_send_plain_rtp_to() -> None:
    key = Key("AEAD_AES_128_GCM", b"psst" * 7)
    made = tap(State.LISTENING, wish=WISH._replace(suite=key.suite, key=key))
    view = shown(view_of(made, "203.0.113.5", None))
    assert view["srtp"] == {"suite": "AEAD_AES_128_GCM"}
    assert view["device"]["type"] == "srtp"
    assert view["uri"] == f"srtp://203.0.113.5:{made.port}"
    assert "tap_audio" not in view
    assert "psst" not in json.dumps(view)
    assert shown(view_of_row(orders.row(made, "203.0.113.5")))["srtp"] == view["srtp"], "also when it is over"


def test_what_is_not_known_is_absent() -> None:
    bare = row(1, address=None, port=None, codec=None, ptime=None, source=None, direction=None, layout=None)
    assert set(shown(view_of_row(bare))) == {"id", "recording_id", "state", "requested_at"}


def test_a_tap_that_lives_shows_what_was_last_reported() -> None:
    made = tap(State.RECEIVING, counts=Counts(packets=5, lost=1), heard_unix_ns=1_790_000_000_000_000_000)
    view = shown(view_of(made, "127.0.0.1", None))
    assert view["counts"]["packets"] == 5
    assert view["last_packet_at"] == "2026-09-21T14:13:20Z"
    assert "outcome" not in view


@pytest.mark.parametrize(
    ("made", "path"),
    [
        (recording(file="r.wav"), "2026/r.wav"),
        (recording(stem="r", file="r-2.wav"), "r-2.wav"),
        (recording(file=None), "2026/r.json"),
        (recording(file=None, parts=[{"file": "r.001.wav"}, {"file": "r.002.wav"}]), "2026/r.001.wav"),
        (recording(stem=None, file="r.wav"), None),
        (recording(file="../../etc/passwd"), None),
        (recording(file="/etc/passwd"), None),
        (recording(file=".."), None),
        (recording(file=None, parts=[{"file": "../x"}]), None),
    ],
)
def test_d10_where_a_recording_lies_is_never_outside_ready(made: RecordingRow, path: str | None) -> None:
    assert sound_of(made) == path


def test_a_recording_is_its_sidecar_in_short_with_its_path() -> None:
    view = shown(recording_view(recording(file="r.wav", frames=8000), "2026/r.wav", True))
    assert (view["path"], view["present"], view["frames"], view["outcome"]) == (
        "ready/2026/r.wav",
        True,
        8000,
        "complete",
    )
    assert "path" not in recording_view(recording(), None, False)


def test_d9_a_ws_devices_uri_is_shown_while_its_tap_lives_and_stands_in_no_row() -> None:
    made = tap(State.LISTENING, wish=WISH._replace(device="ws"), uri="wss://media.example/x7")
    view = shown(view_of(made, "127.0.0.1", None))
    assert view["device"] == {"type": "ws", "params": {"uri": "wss://media.example/x7", "codec": "PCMU"}}
    assert view["tap_audio"] == {"type": "ws", "uri": "wss://media.example/x7", "codec": "PCMU"}
    assert view["uri"] == "wss://media.example/x7"
    later = shown(view_of_row(row(1, device="ws", address=None, port=None)))
    assert "uri" not in later
    assert "device" not in later


@pytest.mark.parametrize(
    ("public_url", "status_url"),
    [(None, "/v1/callbacks/s3"), ("https://media.example/", "https://media.example/v1/callbacks/s3")],
)
def test_an_open_tap_says_where_the_platform_may_call_back(public_url: str | None, status_url: str) -> None:
    assert shown(view_of(tap(State.LISTENING, secret="s3"), "127.0.0.1", public_url))["status_url"] == status_url
    assert "status_url" not in shown(view_of(tap(State.LISTENING), "127.0.0.1", public_url))


def test_d6_whose_word_there_is_is_shown_where_there_is_one() -> None:
    assert shown(view_of(tap(State.RECEIVING, word=Word.AWAY), "127.0.0.1", None))["relay"] == "away"
    assert "relay" not in shown(view_of(tap(State.RECEIVING), "127.0.0.1", None))
