"""Rule A14: a stream knows of all laws that came, whatever dies meanwhile."""

import pytest

from receiver.media.columns import NoteKind
from receiver.wire import g711
from tests.media.rig import SECOND, START, Rig, Sent, datagrams, octets_of, succeed, talk


def changing(count: int = 20, at: int = 15) -> list[Sent]:
    """PCMU, from packet ``at`` on PCMA, within one SSRC."""
    return [packet._replace(payload_type=g711.PCMA * (k >= at)) for k, packet in enumerate(talk(count))]


@pytest.mark.parametrize(("at", "laws"), [(20, 1), (15, 3), (0, 2)])
@pytest.mark.parametrize("each", [20, 10, 1])
def test_a14_a_stream_knows_all_laws_that_came(at: int, laws: int, each: int) -> None:
    rig = Rig()
    rig.open()
    sent = changing(at=at)
    for k in range(0, len(sent), each):
        rig.step(sent[k : k + each])
    assert rig.stream()["laws"] == laws
    rig.pipeline.joining.bury(int(rig.tap()["stream"]))
    rig.commit()
    [buried] = [slot["note"] for slot in rig.notes() if slot["note"]["kind"] == NoteKind.STREAM]
    assert buried["laws"] == laws
    epochs = [slot["note"]["laws"] for slot in rig.notes() if slot["note"]["kind"] == NoteKind.EPOCH]
    assert epochs == [0], "nothing had come before the first"


def test_a14_c5_an_epoch_tells_of_the_laws_before_it() -> None:
    rig = Rig()
    rig.open()
    rig.step(changing())
    rig.step(talk(5, START + SECOND, sequence=120, timestamp=900_000))
    assert [slot["note"]["laws"] for slot in rig.notes() if slot["note"]["kind"] == NoteKind.EPOCH] == [0, 3]


def test_a14_k3_a_worker_that_dies_in_the_turn_in_which_the_law_changes_changes_nothing() -> None:
    sent = changing()
    steady, mortal = Rig(), Rig()
    for rig in (steady, mortal):
        rig.open()
        rig.step(sent[:10])
        if rig is mortal:
            rig.pipeline.step(datagrams(sent[10:]), sent[-1].arrival_ns, 0)
            succeed(rig)  # before the commit
            assert rig.stream()["laws"] == 1
        rig.step(sent[10:])
    assert mortal.stream()["laws"] == 3
    assert octets_of(mortal.state.live) == octets_of(steady.state.live)
