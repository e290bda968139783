"""Rules A11, B2, B5 as a table: what a source must prove at a tap, by policy and by whether somebody is heard there."""

from typing import Any

import numpy as np
import pytest

from receiver.media.address import NOWHERE, Source
from receiver.media.claims import SILENCE_NS, UNANNOUNCED_NS, Claim, Claims
from receiver.media.columns import TAP, Policy, Trust

HOME = Source.of("192.0.2.10", 5_000)
OTHER_PORT, STRANGER = HOME._replace(port=5_002), Source.of("198.51.100.7", 9)
ANSWERED_NS, HEARD_NS = 1_000, 2_000
ADDRESS, LISTED = Claim(4, Trust.ADDRESS), Claim(4, Trust.ALLOW_LIST, span_ns=22_000_000)
ANNOUNCED, ANY = Claim(1, Trust.ANNOUNCED), Claim(4, Trust.UNVERIFIED)
UNANNOUNCED = Claim(4, Trust.UNANNOUNCED, not_before_ns=ANSWERED_NS + UNANNOUNCED_NS, alone=True)


def tap(policy: Policy, announced: Source = HOME, latched: Source | None = None, suite: int = 0) -> Any:
    record: Any = np.zeros(1, TAP)[0]
    record["policy"], record["announced"], record["answered_ns"] = policy, tuple(announced), ANSWERED_NS
    record["suite"], record["stream"], record["trust"] = suite, -1 if latched is None else 0, Trust.ADDRESS
    record["source"], record["heard_ns"] = tuple(latched or NOWHERE), HEARD_NS
    return record


@pytest.mark.parametrize(("policy", "claims"), [
    (Policy.EXACT, (ANNOUNCED, None, None)), (Policy.ANNOUNCED, (ANNOUNCED, UNANNOUNCED, UNANNOUNCED)),
    (Policy.ADDRESS, (ADDRESS, ADDRESS, None)), (Policy.ALLOW_LIST, (LISTED, LISTED, None)),
    (Policy.ANY, (ANY, ANY, ANY)),
])  # fmt: skip
def test_b2_where_nobody_is_heard_yet(policy: Policy, claims: tuple[Claim | None, ...]) -> None:
    asked = [Claims(["192.0.2.0/24"]).of(tap(policy), source, 0) for source in (HOME, OTHER_PORT, STRANGER)]
    assert tuple(asked) == claims


def test_b2_an_announced_address_without_a_port_means_any_port() -> None:
    assert Claims([]).of(tap(Policy.EXACT, HOME._replace(port=0)), OTHER_PORT, 0) == ANNOUNCED


@pytest.mark.parametrize("policy", list(Policy))
def test_a11_the_latched_source_needs_two_in_sequence_for_another_ssrc(policy: Policy) -> None:
    assert Claims([]).of(tap(policy, latched=STRANGER), STRANGER, HEARD_NS) == Claim(2, Trust.ADDRESS)


@pytest.mark.parametrize(("policy", "claim"), [
    (Policy.EXACT, None), (Policy.ANNOUNCED, None), (Policy.ADDRESS, None), (Policy.ANY, ANY._replace(packets=8)),
])  # fmt: skip
def test_b5_another_source_only_after_three_seconds_of_silence_and_for_eight_in_sequence(
    policy: Policy, claim: Claim | None
) -> None:
    record = tap(policy, latched=HOME)
    assert Claims([]).of(record, STRANGER, HEARD_NS + SILENCE_NS - 1) is None
    assert Claims([]).of(record, STRANGER, HEARD_NS + SILENCE_NS) == claim


def test_a_right_tag_is_proof_enough_and_the_policy_may_still_be_narrower() -> None:
    assert Claims([]).of(tap(Policy.ANY, suite=1), STRANGER, 0) == Claim(1, Trust.SRTP)
    assert Claims([]).of(tap(Policy.EXACT, suite=1), STRANGER, 0) is None
