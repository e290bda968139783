"""When the latch moves, and when it does not (rule B5)."""

import pytest

from receiver.media.columns import Policy, Trust
from receiver.media.sources import Source
from receiver.wire.rtp import Verdict
from tests.media.rig import HOME, MS, SECOND, START, STRANGER, Rig, talk, truth

OTHER_PORT = HOME._replace(port=9_999)


def events(rig: Rig) -> list[str]:
    """What was told."""
    return [news.event for news in rig.news]


def test_b5_a_matching_ssrc_never_moves_the_latch() -> None:
    rig = Rig()
    rig.open()
    mine = talk(200)
    forged = [p._replace(source=STRANGER, payload=b"\x01" * 160, arrival_ns=p.arrival_ns + MS) for p in mine]
    rig.run(mine + forged)
    assert rig.parts[0].present() == truth(mine, 5_000)
    assert rig.count(Verdict.FOREIGN) == 200


def test_b5_after_three_seconds_of_silence_eight_in_sequence_move_the_latch() -> None:
    rig = Rig()
    rig.open(policy=Policy.ADDRESS)
    before = talk(50)
    soon = talk(10, START + 3_900 * MS, ssrc=9, seed=2, source=OTHER_PORT)
    rig.run(before + soon, finish=False)
    assert 4 <= rig.count(Verdict.FOREIGN) <= 6  # until 3 s after the last of the first one
    assert rig.tap()["moves"] == 0
    later = talk(100, START + 5 * SECOND, ssrc=10, seed=3, sequence=7, timestamp=1 << 31, source=OTHER_PORT)
    rig.run(later[:7], finish=False)
    assert rig.tap()["moves"] == 0
    rig.run(later[7:])
    assert rig.tap()["moves"] == 1
    assert events(rig) == ["receiving", "source_changed"]
    assert rig.parts[0].present() == truth(before, 5_000) | truth(later, 1 << 31, 3_200 + 5 * 8_000)


def test_b5_a_source_that_speaks_again_keeps_its_place() -> None:
    rig = Rig()
    rig.open(policy=Policy.ADDRESS)
    before, again = talk(50), talk(50, START + 4_100 * MS, sequence=150, timestamp=5_000 + 4_100 * 8)
    other = talk(7, START + 4_020 * MS, ssrc=9, source=OTHER_PORT)
    rig.run(before + other + again + talk(20, START + 4_300 * MS, ssrc=9, sequence=107, source=OTHER_PORT))
    assert rig.tap()["moves"] == 0
    assert rig.parts[0].present() == truth(before + again, 5_000)


def test_b5_a_source_that_spoke_in_the_same_slab_was_not_silent() -> None:
    """A quiet tap is asked every half second only: the slab holds it and, half a second later, who would take over."""
    rig = Rig()
    rig.open(policy=Policy.ADDRESS)
    before, again = talk(50), talk(1, START + 3_500 * MS, sequence=150, timestamp=5_000 + 3_500 * 8)
    rig.step(before)
    rig.step(again + talk(9, START + 3_990 * MS, ssrc=9, seed=2, source=OTHER_PORT))
    rig.review(START + 4_500 * MS)
    assert rig.tap()["moves"] == 0


@pytest.mark.parametrize("policy", [Policy.EXACT, Policy.ANNOUNCED])
def test_b5_the_api_tells_a_new_source_and_the_old_one_is_not_heard_any_more(policy: Policy) -> None:
    rig = Rig()
    rig.open(policy=policy)
    rig.run(talk(50), finish=False)
    rig.pipeline.sources.retarget(0, policy, STRANGER, START + SECOND)
    rig.commit()
    old = talk(100, START + SECOND, sequence=150, timestamp=5_000 + 8_000)
    new = talk(100, START + SECOND + 500 * MS, ssrc=9, seed=2, source=STRANGER)
    rig.run(old + new)
    assert Source.read(rig.tap()["source"]) == STRANGER
    assert rig.tap()["moves"] == 1
    assert events(rig) == ["receiving", "silent", "source_changed"]
    assert rig.parts[0].present() == truth(talk(50), 5_000) | truth(new, 5_000, 3_200 + 12_000)


def test_b5_told_the_source_that_is_heard_already_nothing_moves_but_the_trust() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    sent = talk(100)
    rig.run(sent[:50], finish=False)
    rig.pipeline.sources.retarget(0, Policy.EXACT, HOME)
    rig.commit()
    rig.run(sent[50:])
    assert rig.tap()["trust"] == Trust.ANNOUNCED
    assert rig.parts[0].present() == truth(sent, 5_000)


def test_b5_a_source_told_before_anything_was_heard() -> None:
    rig = Rig()
    rig.open()
    rig.pipeline.sources.retarget(0, Policy.EXACT, STRANGER)
    rig.commit()
    sent = talk(20, source=STRANGER)
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, 5_000)


def test_b5_after_comfort_noise_alone_another_source_begins_the_recording() -> None:
    rig = Rig()
    rig.open()
    rig.run([p._replace(payload_type=13) for p in talk(50)], finish=False)
    rig.pipeline.sources.retarget(0, Policy.EXACT, STRANGER)
    rig.commit()
    sent = talk(100, START + 2 * SECOND, source=STRANGER, ssrc=9)
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, 5_000)
