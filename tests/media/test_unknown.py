"""Payload types that nobody announced: named once, of the tap's source alone, and known after a worker's death."""

import pytest

from receiver.media.columns import Policy
from receiver.media.sources import NOWHERE, News, Source
from receiver.media.unknown import types
from receiver.wire.rtp import Verdict
from tests.media.rig import HOME, MS, START, STRANGER, Rig, Sent, datagrams, succeed, talk


def of(payload_type: int, count: int, source: Source = HOME, first: int = 0, tap: int = 0) -> list[Sent]:
    return talk(count, START + first * 20 * MS, sequence=first, source=source, tap=tap, payload_type=payload_type)


def named(rig: Rig, tap: int = 0) -> tuple[int, ...]:
    return types(rig.state.live.taps_aside["unknown_types"][tap])


def told(rig: Rig) -> list[News]:
    return [news for news in rig.news if news.event == "unknown_payload_type"]


def test_a1_a_payload_type_that_nobody_announced_is_counted_and_named_once() -> None:
    rig = Rig(taps=2)
    rig.open(0)
    rig.open(1)
    rig.step([*talk(5), *of(96, 10, first=5), *of(127, 3, first=15), *of(18, 4, tap=1)])
    rig.step([*of(96, 10, first=20), *of(64, 1, first=30)])
    assert rig.count(Verdict.PAYLOAD_TYPE, 0) == 24
    assert told(rig) == [
        News(0, "unknown_payload_type", HOME, None, 96), News(1, "unknown_payload_type", HOME, None, 18),
    ]  # fmt: skip
    assert (named(rig, 0), named(rig, 1)) == ((64, 96, 127), (18,))


def test_a1_what_strangers_send_to_a_latched_tap_names_nothing() -> None:
    rig = Rig(taps=1)
    rig.open(0, Policy.ANY, NOWHERE)
    rig.step(talk(5))
    rig.step(of(77, 20, STRANGER, first=5))
    assert (told(rig), named(rig)) == ([], ())
    rig.step(of(78, 1, first=5))
    assert named(rig) == (78,)


@pytest.mark.parametrize(
    ("policy", "source", "known"),
    [
        (Policy.EXACT, HOME, True), (Policy.EXACT, STRANGER, False), (Policy.EXACT, HOME._replace(port=9), False),
        (Policy.ADDRESS, HOME._replace(port=9), True), (Policy.ADDRESS, STRANGER, False),
        (Policy.ANNOUNCED, STRANGER, True), (Policy.ALLOW_LIST, STRANGER, True), (Policy.ANY, STRANGER, True),
    ],
)  # fmt: skip
def test_a1_before_the_latch_it_is_named_where_its_sender_may_be_the_source(
    policy: Policy, source: Source, known: bool
) -> None:
    rig = Rig()
    rig.open(0, policy)
    rig.step(of(18, 50, source))
    assert (len(told(rig)), named(rig)) == ((1, (18,)) if known else (0, ()))


def test_a1_no_datagram_whatever_it_is_costs_more_than_a_bit() -> None:
    rig = Rig()
    rig.open()
    sent = [packet for kind in range(128) if kind not in (0, 8, 13, 101) for packet in of(kind, 2, first=2 * kind)]
    rig.step(sent)
    # with the marker, 64 to 95 are what RTCP is told by (RFC 5761); without it they are types like others
    assert named(rig) == tuple(kind for kind in range(128) if kind not in (0, 8, 13, 101))
    assert len(told(rig)) == 1


def test_k3_a_turn_that_did_not_happen_names_it_again_and_a_successor_does_not() -> None:
    rig = Rig()
    rig.open()
    first = rig.pipeline.step(datagrams(of(96, 2)), START, 0)
    rig.state.abandon()
    assert named(rig) == ()
    rig.step(of(96, 2))
    assert told(rig) == first
    succeed(rig)
    rig.step(of(96, 2, first=5))
    assert (len(told(rig)), named(rig)) == (1, (96,))
