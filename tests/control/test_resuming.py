"""A tap that is made again from its row is the tap that it was."""

from dataclasses import fields

import msgspec
import pytest

from receiver.control import orders
from receiver.control.resuming import KEY_LOST, cannot_go_on, tap_of
from receiver.control.taps import SECOND, Ending, State, Tap, Word
from receiver.keys import Key
from receiver.ledger.rows import Problem, TapRow
from tests.control.made import LIMITS, NOON, WISH

NOW = 5_000 * SECOND
TOLD = WISH._replace(
    law=8, ptime=30, direction="speak", policy="address", announced=("192.0.2.7", 0), source="192.0.2.7", call_id="c",
    node_id="n", control_id="x",
)  # fmt: skip


def tap(**given: object) -> Tap:
    known = {
        "id": "tap-1", "recording_id": "r-1", "worker": 1, "slot": 7, "port": 20_004, "wish": TOLD, "limits": LIMITS,
        "requested_unix_ns": NOON - 90 * SECOND, "since_ns": NOW, "secret_digest": "ab" * 32,
    }  # fmt: skip
    return Tap(**(known | given))  # type: ignore[arg-type]


def again(one: Tap) -> Tap | None:
    return tap_of(orders.row(one, "203.0.113.5"), LIMITS, NOW, NOON)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"state": State.LISTENING, "durable": True, "listening_unix_ns": NOON},
        {"state": State.LISTENING, "durable": True, "listening_unix_ns": NOON, "wish": TOLD._replace(announced=None)},
        {"state": State.RECEIVING, "durable": True, "receiving_unix_ns": NOON, "heard_ns": NOW},
        {"state": State.FINISHING, "durable": True, "ending": "silence"},
        {"state": State.FINISHING, "durable": True, "ending": "refused", "problem": Problem("code", "why", "do")},
        {"wish": TOLD._replace(device="ws"), "uri_digest": "cd" * 32},
        {"wish": TOLD._replace(suite="AEAD_AES_128_GCM")},
        {"wish": TOLD._replace(own=True, control_id=None), "accepted": True, "word": Word.AWAY},
        {"state": State.LISTENING, "durable": True, "listening_unix_ns": NOON, "word": Word.AWAY},
    ],
    ids=str,
)
def test_d7_nothing_of_it_is_lost(given: dict[str, object]) -> None:
    one = tap(**given)
    other = again(one)
    assert other is not None
    for field in fields(Tap):
        assert getattr(other, field.name) == getattr(one, field.name), field.name
    assert orders.opening(other) == orders.opening(one)


def test_secrets_are_not_in_the_row() -> None:
    sealed = TOLD._replace(suite="AEAD_AES_128_GCM", key=Key("AEAD_AES_128_GCM", b"psst" * 7))
    row = orders.row(tap(secret="psst", uri="wss://here/psst", wish=sealed), "203.0.113.5")
    assert "psst" not in repr(row)
    assert b"psst" not in msgspec.msgpack.encode(row)


@pytest.mark.parametrize("state", [State.LISTENING, State.RECEIVING])
def test_d9_where_nobody_kept_its_key_a_tap_cannot_go_on(state: State) -> None:
    sealed = tap(state=state, wish=TOLD._replace(suite="AEAD_AES_128_GCM"))
    assert cannot_go_on(sealed) == (Ending.SHUTDOWN, KEY_LOST)
    sealed.wish = sealed.wish._replace(key=Key("AEAD_AES_128_GCM", bytes(28)))
    assert cannot_go_on(sealed) is None
    assert cannot_go_on(tap(state=state)) is None


def test_what_was_waited_for_goes_on_being_waited_for() -> None:
    for state, name in ((State.LISTENING, "listening_unix_ns"), (State.RECEIVING, "receiving_unix_ns")):
        other = again(tap(state=state, **{name: NOON - 20 * SECOND}))
        assert other is not None
        assert other.since_ns == NOW - 20 * SECOND


def test_a_clock_that_was_set_back_does_not_make_it_wait_longer() -> None:
    other = again(tap(state=State.LISTENING, listening_unix_ns=NOON + 20 * SECOND))
    assert other is not None
    assert other.since_ns == NOW


def test_silence_counts_from_now_on() -> None:
    other = again(tap(state=State.RECEIVING, heard_ns=NOW - 50 * SECOND, receiving_unix_ns=NOON))
    assert other is not None
    assert other.heard_ns == NOW


def test_the_relays_word_may_have_been_missed() -> None:
    other = again(tap(state=State.RECEIVING, wish=TOLD._replace(own=True), word=Word.TAPPING, receiving_unix_ns=NOON))
    assert other is not None
    assert other.word is Word.AWAY


def test_a_row_that_says_too_little_is_no_tap() -> None:
    draft = TapRow(id="t", recording_id="r", state="listening", requested_ns=NOON)  # as a rebuild makes it
    assert tap_of(draft, LIMITS, NOW, NOON) is None


def test_a_tap_that_has_its_outcome_is_over() -> None:
    row = orders.row(tap(), None)
    over = TapRow(**{name: getattr(row, name) for name in row.__struct_fields__} | {"outcome": "complete"})
    assert tap_of(over, LIMITS, NOW, NOON) is None
