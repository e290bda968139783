"""The logs on the memory: what came after its block (rule K6) and what must be told at the end (rule K8)."""

import numpy as np
import pytest

from receiver.media.columns import Flaw, NoteKind
from receiver.wire.rtp import Verdict
from tests.media.rig import MS, SECOND, START, WALL, Rig, Sent, datagrams, talk, truth


def late_call(rig: Rig) -> tuple[list[Sent], list[Sent]]:
    """100 packets of which ten come after everything was drained."""
    sent = talk(100)
    late = [p._replace(arrival_ns=START + 3 * SECOND) for p in sent[40:50]]
    rig.step(sent[:40] + sent[50:])
    rig.drain(START + 2 * SECOND + 500 * MS)
    return sent, late


def test_k6_a_packet_that_came_after_its_block_reaches_its_place_in_the_part() -> None:
    rig = Rig()
    rig.open()
    sent, late = late_call(rig)
    assert rig.parts[0].present() == truth(sent[:40] + sent[50:], 5_000)
    rig.step(late)
    rig.finish(START + 4 * SECOND)
    assert rig.parts[0].present() == truth(sent, 5_000)
    assert rig.statistics()["late"] == 10
    assert rig.statistics()["late_lost"] == 0
    assert not rig.tap()["flaws"]


def test_k6_what_still_lies_in_the_ring_is_placed_there_as_well() -> None:
    rig = Rig()
    rig.open()
    sent = talk(100)
    rig.step(sent[:40] + sent[50:])
    rig.drain(START + 3 * SECOND, write=False)  # handed on, not written when the worker dies
    rig.step([p._replace(arrival_ns=START + 3 * SECOND) for p in sent[40:50]])
    rig.queue.clear()
    rig.queue += rig.drains.unwritten()  # rule K5: the ring alone must do
    rig.write()
    assert rig.parts[0].present() == truth(sent, 5_000)


def test_k6_a_full_log_is_counted_and_the_tap_says_so() -> None:
    rig = Rig(patches=4)
    rig.open()
    sent, late = late_call(rig)
    rig.step(late)
    assert rig.count(Verdict.LATE_LOST) == 6
    assert rig.state.live.world["patch_full"][0] == 6
    assert rig.statistics()["late_lost"] == 6
    assert rig.statistics()["late"] == 4
    assert rig.tap()["flaws"] == Flaw.LATE_LOST
    rig.finish(START + 4 * SECOND)
    assert rig.parts[0].present() == truth(sent[:44] + sent[50:], 5_000)


def test_k6_places_in_the_log_are_used_again_after_the_commit_only() -> None:
    rig = Rig(patches=10)
    rig.open()
    _, late = late_call(rig)
    rig.step(late[:6])
    rig.write()
    rig.step(late[6:])
    assert rig.count(Verdict.LATE_LOST) == 0
    assert not rig.pipeline.journal.patch(0, 1, np.ones(3, np.int16)), "written, not yet durable"
    rig.state.abandon()
    rig.write()
    rig.make_durable()
    assert rig.pipeline.journal.patch(0, 1, np.ones(3, np.int16))


def test_k3_a_patch_of_a_turn_that_did_not_happen_is_not_there() -> None:
    rig = Rig()
    rig.open()
    _, late = late_call(rig)
    rig.pipeline.step(datagrams(late), START + 3 * SECOND, WALL - START)
    assert rig.pipeline.journal.patches_since(0) == []
    rig.state.abandon()
    rig.step(late)
    assert len(rig.pipeline.journal.patches_since(0)) == 10


def test_c7_what_is_late_for_a_part_that_is_finished_is_lost_and_counted() -> None:
    rig = Rig()
    rig.open()
    _, late = late_call(rig)
    rig.state.touch("taps", 0)
    rig.state.now.taps["segment_frame"][0] = 16_000
    rig.commit()
    rig.step(late)
    assert rig.count(Verdict.LATE_LOST) == 10
    assert rig.tap()["flaws"] == Flaw.LATE_LOST


def test_k8_notes_are_numbered_by_tap_and_read_back_in_order() -> None:
    rig = Rig(taps=2)
    rig.open(0)
    rig.open(1)
    for tap, frame in ((0, 5), (1, 6), (0, 7)):
        rig.pipeline.journal.note(tap, NoteKind.STRETCH, frame=frame)
    assert rig.notes() == []
    rig.commit()
    assert [(int(s["tap"]), int(s["index"]), int(s["note"]["frame"])) for s in rig.notes()] == [
        (0, 0, 5), (1, 0, 6), (0, 1, 7),
    ]  # fmt: skip
    assert rig.tap(0)["notes"] == 2


def test_k8_many_notes_at_once_are_those_one_by_one() -> None:
    """Also where a tap is told of twice, or the log has no room for all."""
    for room, taps in ((99, [2, 0, 1]), (99, [1, 1, 0]), (2, [2, 0, 1])):
        one, all_ = Rig(taps=3), Rig(taps=3)
        for rig in (one, all_):
            for tap in range(3):
                rig.open(tap)
            rig.state.now.world["notes"] = rig.state.note_log.size - 1
            rig.state.notes_freed[0] = rig.state.note_log.size - 1 if room == 99 else room - 1
        frames = np.array([5, 6, 7])
        all_.pipeline.journal.note_each(np.array(taps, np.int32), NoteKind.PACE, np.array(taps, np.int32), frame=frames)
        for tap, frame in zip(taps, frames.tolist(), strict=True):
            one.pipeline.journal.note(tap, NoteKind.PACE, tap, frame=frame)
        for rig in (one, all_):
            rig.commit()
        assert one.state.note_log.tobytes() == all_.state.note_log.tobytes()
        assert one.state.live.taps.tobytes() == all_.state.live.taps.tobytes()


def test_k8_a_full_note_log_drops_the_newest_and_the_tap_says_so() -> None:
    rig = Rig()
    rig.open()
    size = rig.state.note_log.size
    for _ in range(size + 1):
        rig.pipeline.journal.note(0, NoteKind.EPOCH)
    rig.commit()
    assert rig.tap()["notes"] == len(rig.notes()) == size
    assert rig.tap()["flaws"] == Flaw.NOTES_LOST
    rig.make_durable()
    rig.pipeline.journal.note(0, NoteKind.EPOCH)
    rig.commit()
    assert rig.tap()["notes"] == size + 1


@pytest.mark.parametrize("kind", list(NoteKind))
def test_a_note_carries_nothing_of_the_one_that_lay_there_before(kind: NoteKind) -> None:
    rig = Rig()
    rig.open()
    rig.state.note_log.view(np.uint8)[:] = 0xFF
    rig.pipeline.journal.note(0, kind, frame=3)
    rig.commit()
    note = rig.notes()[0]["note"]
    assert (int(note["kind"]), int(note["frame"]), int(note["ssrc"]), int(note["source"]["port"])) == (kind, 3, 0, 0)
