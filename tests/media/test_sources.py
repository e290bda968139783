"""Who may be heard at a tap (rules B), and that nobody else is (P5)."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.media.columns import Flaw, NoteKind, Policy, Role, TapState, Trust
from receiver.media.sources import NOWHERE, News, Source
from receiver.wire.rtp import Verdict
from tests.media.rig import HOME, MS, SECOND, START, STRANGER, WALL, Rig, Sent, datagrams, talk, truth
from tests.tools import count

OTHER_PORT = HOME._replace(port=9_999)
ALL = (Policy.ANNOUNCED, Policy.EXACT, Policy.ADDRESS, Policy.ALLOW_LIST, Policy.ANY)


def events(rig: Rig) -> list[str]:
    """What was told."""
    return [news.event for news in rig.news]


# -- B2, policy by policy


def test_b2_exact_latches_on_the_first_valid_packet_of_the_announced_source() -> None:
    rig = Rig()
    rig.open(policy=Policy.EXACT)
    rig.step(talk(1))
    assert rig.tap()["trust"] == Trust.ANNOUNCED
    assert Source.read(rig.tap()["source"]) == HOME
    assert rig.news == [News(0, "receiving", HOME)]
    assert rig.count(Verdict.ACCEPTED) == 1
    assert rig.tap()["first_ns"] == START


def test_b2_exact_with_port_0_means_any_port_of_the_address() -> None:
    rig = Rig()
    rig.open(policy=Policy.EXACT, announced=HOME._replace(port=0))
    rig.step(talk(1, source=OTHER_PORT))
    assert Source.read(rig.tap()["source"]) == OTHER_PORT


@pytest.mark.parametrize("source", [STRANGER, OTHER_PORT])
def test_b2_exact_hears_nothing_else_ever(source: Source) -> None:
    rig = Rig()
    rig.open(policy=Policy.EXACT)
    rig.run(talk(400, source=source))
    assert rig.count(Verdict.FOREIGN) == 400
    assert rig.tap()["stream"] == -1
    assert rig.parts[0].present() == {}


def test_b2_a_tap_without_an_announced_source_is_not_latched_by_exact() -> None:
    rig = Rig()
    rig.open(policy=Policy.EXACT, announced=NOWHERE)
    rig.run(talk(10))
    assert rig.count(Verdict.FOREIGN) == 10


def test_b2_address_takes_four_in_sequence_from_any_port_and_loses_none_of_them() -> None:
    rig = Rig()
    rig.open(policy=Policy.ADDRESS)
    sent = talk(50, source=OTHER_PORT)
    rig.step(sent[:3])
    assert rig.count(Verdict.PROBATION) == 3
    assert rig.tap()["stream"] == -1
    rig.step(sent[3:4])
    assert rig.tap()["trust"] == Trust.ADDRESS
    assert rig.count(Verdict.ACCEPTED) == 1
    rig.run(sent[4:])
    assert rig.parts[0].present() == truth(sent, 5_000)


def test_b2_packets_of_the_step_that_admits_are_accepted() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    rig.step(talk(7))
    assert rig.count(Verdict.ACCEPTED) == 7
    assert rig.count(Verdict.PROBATION) == 0


def test_b2_allow_list_asks_for_time_as_well() -> None:
    rig = Rig(allow=["192.0.2.0/24", "2001:db8::/32"])
    rig.open(policy=Policy.ALLOW_LIST, announced=NOWHERE)
    sent = talk(50)
    rig.step([p._replace(arrival_ns=START) for p in sent[:8]], START)
    assert rig.tap()["stream"] == -1
    rig.run(sent[8:])
    assert rig.tap()["trust"] == Trust.ALLOW_LIST
    assert rig.parts[0].present() == truth(sent, 5_000)


def test_b2_allow_list_hears_nobody_who_is_not_on_it() -> None:
    rig = Rig(allow=["192.0.2.0/24"])
    rig.open(policy=Policy.ALLOW_LIST)
    rig.run(talk(50, source=STRANGER))
    assert rig.count(Verdict.FOREIGN) == 50


def test_b2_any_takes_the_first_that_is_four_in_sequence() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY, announced=NOWHERE)
    mine, other = talk(100, source=STRANGER), talk(100, START + MS, seed=2, ssrc=9, source=HOME)
    rig.run(mine + other)
    assert rig.tap()["trust"] == Trust.UNVERIFIED
    assert Source.read(rig.tap()["source"]) == STRANGER
    assert rig.parts[0].present() == truth(mine, 5_000)
    assert rig.count(Verdict.ACCEPTED) + rig.count(Verdict.PROBATION) + rig.count(Verdict.FOREIGN) == 200


def test_b2_announced_hears_the_announced_one_at_once_beside_a_stranger() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANNOUNCED)
    mine, other = talk(100, START + 500 * MS), talk(100, seed=2, ssrc=9, source=STRANGER)
    rig.run(mine + other)
    assert rig.tap()["trust"] == Trust.ANNOUNCED
    assert rig.parts[0].present() == truth(mine, 5_000)
    assert not rig.tap()["flaws"]


def test_b2_unannounced_latches_after_three_seconds_and_loses_nothing() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANNOUNCED)
    sent = talk(300, source=STRANGER)
    rig.run(sent[:145], finish=False)
    assert rig.tap()["stream"] == -1
    rig.run(sent[145:])
    assert rig.tap()["trust"] == Trust.UNANNOUNCED
    assert rig.tap()["flaws"] == Flaw.UNANNOUNCED
    assert rig.parts[0].present() == truth(sent, 5_000)
    assert events(rig) == ["receiving"]


def test_b2_unannounced_latches_by_time_alone_when_its_packets_stopped() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANNOUNCED)
    sent = talk(50, START + 500 * MS, source=STRANGER)
    rig.step(sent)
    rig.review(START + 2_999 * MS)
    assert rig.tap()["stream"] == -1
    rig.review(START + 3_000 * MS)
    assert rig.tap()["trust"] == Trust.UNANNOUNCED
    rig.finish(START + 4 * SECOND)
    assert rig.parts[0].present() == truth(sent, 5_000)


def test_b2_a_conflict_is_found_by_time_alone() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANNOUNCED)
    rig.step(talk(5, source=STRANGER) + talk(5, ssrc=9, source=OTHER_PORT))
    rig.review(START + 3_100 * MS)
    assert rig.tap()["flaws"] == Flaw.CONFLICT


def test_b2_what_came_before_the_answer_lives_until_the_three_seconds_are_over() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANNOUNCED, now_ns=START + 1_500 * MS)
    sent = talk(300, source=STRANGER)
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, 5_000)


def test_b2_two_unannounced_candidates_are_a_conflict_and_nobody_is_heard() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANNOUNCED)
    rig.run(talk(400, source=STRANGER) + talk(400, START + MS, ssrc=9, source=OTHER_PORT))
    assert rig.tap()["stream"] == -1
    assert rig.tap()["flaws"] == Flaw.CONFLICT
    assert events(rig) == ["source_conflict"]
    assert rig.parts[0].present() == {}


@pytest.mark.parametrize("policy", ALL)
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=count(25, all=100, full=10_000))
def test_b2_probation_costs_no_sound_whatever_the_order(policy: Policy, seed: int) -> None:
    dice = Random(seed)
    rig = Rig(allow=["192.0.2.0/24"])
    rig.open(policy=policy)
    sent = [p._replace(arrival_ns=p.arrival_ns + dice.randrange(200) * MS) for p in talk(40)]
    first = min(sent, key=lambda p: p.arrival_ns)
    rig.run(sent)
    assert rig.parts[0].present() == truth(sent, first.timestamp)
    assert rig.statistics()["packets"] == 40


# -- B1, A3


def test_b1_a_held_tap_is_not_heard_and_a_closed_one_counts_strays() -> None:
    rig = Rig()
    rig.open(held=True)
    rig.step(talk(3))
    assert rig.count(Verdict.STRAY) == 3
    for state in (TapState.FREE, TapState.FINISHED):
        rig.state.touch("taps", 0)
        rig.state.now.taps["state"][0] = state
        rig.commit()
        rig.step(talk(3))
    assert rig.count(Verdict.STRAY, tap=0) == 9


def test_a16_packets_after_the_end_of_a_latched_tap_are_strays() -> None:
    rig = Rig()
    rig.open()
    sent = talk(20)
    rig.step(sent[:5])
    rig.state.touch("taps", 0)
    rig.state.now.taps["state"][0] = TapState.CLOSING
    rig.commit()
    rig.step(sent[5:10])
    assert rig.count(Verdict.ACCEPTED) == 10
    rig.state.touch("taps", 0)
    rig.pipeline.joining.release(0)
    rig.state.now.taps["state"][0] = TapState.FINISHED
    rig.commit()
    rig.step(sent[10:])
    assert rig.count(Verdict.STRAY) == 10


def test_a16_a_finished_tap_hears_nothing_even_of_its_own_stream() -> None:
    rig = Rig()
    rig.open()
    sent = talk(10)
    rig.step(sent[:5])
    rig.state.touch("taps", 0)
    rig.state.now.taps["state"][0] = TapState.FINISHED
    rig.commit()
    rig.step(sent[5:])
    assert rig.count(Verdict.STRAY) == 5


def test_b1_four_candidates_in_rows_of_their_own_the_fifth_is_turned_away() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    for k in range(6):
        rig.step(talk(3, START + k * MS, ssrc=k, source=STRANGER._replace(port=k + 1)))
    live = rig.state.live
    candidates = live.streams[live.streams["role"] == Role.PROBATION]
    assert sorted(candidates["source"]["port"].tolist()) == [1, 2, 3, 4]
    assert len(set(candidates["row"].tolist())) == 4
    assert rig.count(Verdict.CROWDED) == 6
    assert rig.count(Verdict.PROBATION) == 12


def test_a3_candidates_are_gone_after_four_seconds_and_their_rows_are_free() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    for k in range(4):
        rig.step(talk(3, START, ssrc=k, source=STRANGER._replace(port=k + 1)))
    rig.review(START + 3_999 * MS)
    assert (rig.state.live.streams["role"] == Role.PROBATION).sum() == 4
    rig.review(START + 4_000 * MS)
    assert (rig.state.live.streams["role"] == Role.FREE).all()
    assert np.flatnonzero(rig.state.live.rows["tap"] >= 0).tolist() == [0]


def test_a3_a_candidate_whose_socket_nobody_read_is_not_given_up() -> None:
    """No worker lived for five seconds: what the candidate still lacks may wait in the socket."""
    rig = Rig(2)
    for tap in (0, 1):
        rig.open(tap)
    sent = [talk(50, seed=tap, tap=tap) + talk(1, START + SECOND, seed=2 + tap, ssrc=8, tap=tap) for tap in (0, 1)]
    rig.step(sent[0] + sent[1])
    known_ns = np.array([START + SECOND, START + 6 * SECOND])
    rig.pipeline.sources.review(known_ns, WALL)
    rig.commit()
    candidates = rig.state.live.streams["tap"][rig.state.live.streams["role"] == Role.PROBATION]
    assert candidates.tolist() == [0]


def test_p5_nothing_of_a_discarded_candidate_reaches_the_recording() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    rig.step(talk(3, seed=5, source=STRANGER))
    rig.review(START + 5 * SECOND)
    mine = talk(30, START + 6 * SECOND)
    rig.run(mine)
    assert rig.parts[0].present() == truth(mine, 5_000)


def test_k3_a_row_left_in_this_turn_is_not_taken_in_it() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    rig.step(talk(3, source=STRANGER))
    before = rig.state.ring[0].copy()
    rig.pipeline.sources.review(START + 5 * SECOND, 0)
    rig.pipeline.step(datagrams(talk(1, START + 5 * SECOND)), START + 5 * SECOND, WALL)
    assert (rig.state.ring[0] == before).all()
    rig.state.abandon()


def test_a_candidate_that_was_dismissed_in_the_same_step_is_not_judged() -> None:
    rig = Rig(taps=3)
    rig.open(policy=Policy.ANY)
    rig.open(2, policy=Policy.ANY)
    both = talk(4) + talk(4, ssrc=9, source=STRANGER)
    rig.step(both)
    assert Source.read(rig.tap()["source"]) == HOME
    assert rig.count(Verdict.ACCEPTED) == rig.count(Verdict.PROBATION) == 4
    assert rig.tap(2)["stream"] == -1


def test_a_candidates_losses_do_not_count_against_a_tap_that_never_hears_it() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    first, second = talk(2, source=STRANGER), talk(1, START + MS, sequence=20, timestamp=100, source=STRANGER)
    rig.step([*first, second[0]._replace(sequence=99)])
    assert rig.count(Verdict.LATE_LOST) == 1
    assert not rig.tap()["flaws"]
    rig.step([p._replace(arrival_ns=START + 30 * MS) for p in talk(6, source=STRANGER)[2:]])
    assert rig.tap()["flaws"] == Flaw.LATE_LOST


def test_sources_are_noted_with_their_trust() -> None:
    rig = Rig()
    rig.open(policy=Policy.ANY)
    rig.step(talk(8))
    notes = [slot["note"] for slot in rig.notes() if slot["note"]["kind"] == NoteKind.SOURCE]
    assert [(Source.read(note["source"]), int(note["trust"])) for note in notes] == [(HOME, Trust.UNVERIFIED)]


def test_two_taps_with_the_same_source_and_ssrc_do_not_mix() -> None:
    rig = Rig(taps=2)
    rig.open(0)
    rig.open(1)
    first, second = talk(50), talk(50, START + MS, seed=2, tap=1)
    for k in range(0, 50, 5):
        rig.step([p for pair in zip(first[k : k + 5], second[k : k + 5], strict=True) for p in pair])
    rig.finish(START + 2 * SECOND)
    assert rig.parts[0].present() == truth(first, 5_000)
    assert rig.parts[1].present() == truth(second, 5_000)
    assert rig.count(Verdict.ACCEPTED, 0) == rig.count(Verdict.ACCEPTED, 1) == 50


def test_sent_is_what_the_wire_takes() -> None:
    assert Sent(0, 0x1_0001, 1 << 32, b"x").octets[:8] == b"\x80\x00\x00\x01\x00\x00\x00\x00"
