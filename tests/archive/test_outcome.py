"""Rules D: complete, degraded, empty, and why."""

from typing import Any

import pytest

from receiver.archive.outcome import judge
from receiver.archive.sidecar import Channel, Ending, Gap, Problem, Reason, Source, Stream
from tests.archive.world import problem, replaced


def judged(has_sound: bool = True, **more: Any) -> tuple[str, str | None]:
    given: dict[str, Any] = {
        "ending": Ending.STOPPED, "channels": (), "gaps": (), "missing_frames": 0, "faults": (), "notices": (),
        "otherwise": None,
    }  # fmt: skip
    outcome, said = judge(has_sound, **{**given, **more})
    return str(outcome), said.code if said else None


def heard(packets: int = 9, **counts: int) -> tuple[Channel, ...]:
    return (Channel(streams=(replaced(Stream(ssrc=1, packets=packets), **counts),)),)


def gap(reason: Reason) -> tuple[Gap, ...]:
    return (Gap(0, 1, 0, reason),)


def test_d_complete_even_with_packets_lost_on_the_way() -> None:
    assert judged(gaps=gap(Reason.LOST), channels=heard(lost=5, late=2)) == ("complete", None)


@pytest.mark.parametrize("reason", [Reason.NOT_SENT, Reason.PAUSED, Reason.DRIFT])
def test_d_silence_of_the_senders_own_is_complete(reason: Reason) -> None:
    assert judged(gaps=gap(reason)) == ("complete", None)


@pytest.mark.parametrize("reason", [Reason.WRITE_FAILED, Reason.RESTART])
def test_d_what_we_lost_is_degraded(reason: Reason) -> None:
    assert judged(gaps=gap(reason)) == ("degraded", str(reason))


def test_d_degraded_by_late_lost_by_a_source_nobody_announced_and_by_any_fault() -> None:
    unannounced = (Channel(source=Source(announced="a:1", seen="b:1", trust="unannounced")),)
    assert judged(channels=heard(late_lost=1)) == ("degraded", "late_lost")
    assert judged(channels=unannounced) == ("degraded", "source_unannounced")
    assert judged(faults=(problem(),)) == ("degraded", "source_conflict")
    assert judged(missing_frames=3) == ("degraded", "write_failed")
    assert judged(ending=Ending.RECOVERED) == ("degraded", "recovered")


def test_d_empty_when_no_sound_came() -> None:
    assert judged(False) == ("empty", "no_sound")
    assert judged(False, otherwise=Problem("no_packets", "None.", "Look.")) == ("empty", "no_packets")
    assert judged(False, ending=Ending.RECOVERED) == ("empty", "recovered")
    assert judged(False, channels=heard(packets=4)) == ("empty", "no_sound")  # comfort noise alone, for example


def test_d_not_empty_when_there_was_sound_and_we_lost_it() -> None:
    assert judged(False, missing_frames=1) == ("degraded", "write_failed")
    assert judged(False, faults=(problem(),)) == ("degraded", "source_conflict")
    assert judged(False, ending=Ending.RECOVERED, channels=heard()) == ("degraded", "recovered")


def test_all_sentences_are_told_each_once_under_the_first_ones_word() -> None:
    twice = (Problem("a", "One."), Problem("b", "Two.", "Do."), Problem("c", "One."))
    _, said = judge(True, Ending.STOPPED, (), (), 0, twice, (Problem("d", "Three."),), None)
    assert said == Problem("a", "One. Two.  Three.".replace("  ", " "), "")


def test_what_the_worker_said_is_not_said_again() -> None:
    _, said = judge(True, Ending.STOPPED, heard(late_lost=1), (), 0, (Problem("late_lost", "So it is."),), (), None)
    assert said == Problem("late_lost", "So it is.")


def test_a_notice_changes_nothing() -> None:
    assert judged(notices=(Problem("name_taken", "x"),)) == ("complete", "name_taken")


def test_d4_refused_is_failed_with_the_reason_it_was_given() -> None:
    refused = problem("relay_400")
    assert judged(False, ending=Ending.REFUSED, otherwise=refused) == ("failed", "relay_400")
    faulty = judged(False, ending=Ending.REFUSED, otherwise=refused, faults=(problem("memory"),))
    assert faulty == ("failed", "relay_400")
    assert judged(False, ending=Ending.REFUSED) == ("failed", None)
