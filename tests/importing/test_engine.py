"""The engine does in one thread what a worker does in three, and gives every slot back as it was."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from receiver.archive.files import Files
from receiver.archive.sidecar import Channel, Draft, Ending, Outcome, Problem, Sidecar
from receiver.importing.engine import Engine
from receiver.wire import rtp
from tests.archive.world import lying
from tests.media.rig import HOME, HORIZON, MS, START, WALL, Sent, codes, datagrams

IDS = [f"00000000-0000-4000-8000-00000000000{k}" for k in range(4)]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def engine(files: Files) -> Iterator[Engine]:
    made = Engine(files, 2, HORIZON, rtp.payload_kinds())
    yield made
    made.shut()


def spoken(count: int, begin: int = 0, tap: int = 0) -> list[Sent]:
    return [
        Sent(START + k * 20 * MS, 9 + k, 160 * k, codes(3, 160 * k, 160), tap=tap) for k in range(begin, begin + count)
    ]  # fmt: skip


def opened(engine: Engine, slot: int, recording_id: str) -> bool:
    draft = Draft(recording_id=recording_id, name="{recording_id}", channels=(Channel(),))
    return engine.open(slot, draft, HOME, 9, START)


def fed(engine: Engine, sent: list[Sent]) -> None:
    engine.step(datagrams(sent), sent[-1].arrival_ns, WALL - START)


def closed(engine: Engine, slot: int, now_ns: int, faults: tuple[Problem, ...] = ()) -> Sidecar:
    return engine.close(slot, Ending.STOPPED, now_ns, now_ns + WALL - START, faults, lambda channel: channel).result()


def test_a_slab_of_any_length_is_run_and_the_ring_never_overflows(engine: Engine, tmp_path: Path) -> None:
    """A minute at once, in a ring of six seconds."""
    opened(engine, 0, IDS[0])
    fed(engine, spoken(3_000))
    done = closed(engine, 0, START + 60_000 * MS)
    assert (done.outcome, done.frames, done.gaps) == (Outcome.COMPLETE, 480_000, ())
    assert lying(tmp_path, "spool") == []
    assert lying(tmp_path, "ready") == [f"{IDS[0]}.json", f"{IDS[0]}.wav"]


def test_c4_late_packets_are_patched_into_the_part(engine: Engine) -> None:
    opened(engine, 0, IDS[0])
    sent = spoken(200)
    late = sent.pop(20)._replace(arrival_ns=sent[-1].arrival_ns)
    for k in range(0, 199, 25):
        fed(engine, sent[k : k + 25])
    fed(engine, [late])
    done = closed(engine, 0, START + 4_000 * MS)
    assert (done.frames, done.gaps) == (32_000, ())
    assert done.channels[0].streams[0].late == 1


def test_p5_a_slot_that_is_used_again_has_nothing_of_the_one_before(engine: Engine) -> None:
    for recording_id in IDS:
        opened(engine, 1, recording_id)
        fed(engine, spoken(50, tap=1))
        done = closed(engine, 1, START + 1_000 * MS)
        assert (done.recording_id, done.frames, done.channels[0].streams[0].packets) == (recording_id, 8_000, 50)


def test_taps_do_not_disturb_each_other(engine: Engine) -> None:
    opened(engine, 0, IDS[0])
    opened(engine, 1, IDS[1])
    both = [one for pair in zip(spoken(100), spoken(100, tap=1), strict=True) for one in pair]
    fed(engine, both)
    for slot in (1, 0):
        assert closed(engine, slot, START + 2_000 * MS).frames == 16_000


def test_a_fault_that_is_told_makes_it_degraded(engine: Engine) -> None:
    opened(engine, 0, IDS[0])
    fed(engine, spoken(10))
    done = closed(engine, 0, START + 200 * MS, (Problem("torn", "It is torn.", "Mend it."),))
    assert (done.outcome, done.problem) == (Outcome.DEGRADED, Problem("torn", "It is torn.", "Mend it."))


def test_what_is_ripe_is_handed_on_although_nothing_comes_for_its_tap(engine: Engine, files: Files) -> None:
    opened(engine, 0, IDS[0])
    opened(engine, 1, IDS[1])
    fed(engine, spoken(10))
    fed(engine, spoken(1, 100, tap=1))
    (part,) = [name for name in files.listing("spool") if name.startswith(f"spool/{IDS[0]}")]
    descriptor = files.open(part)
    assert files.size(descriptor) == 2 * (HORIZON + 1_600)
    files.close_file(descriptor)


def test_candidates_that_hold_every_row_leave_none_for_another_tap(files: Files) -> None:
    engine = Engine(files, 40, HORIZON, rtp.payload_kinds())
    for slot in range(39):
        assert opened(engine, slot, f"00000000-0000-4000-8000-0000000001{slot:02d}")
    fed(engine, [one._replace(ssrc=ssrc) for slot in range(39) for ssrc in range(5) for one in spoken(1, tap=slot)])
    assert not opened(engine, 39, IDS[0])
    engine.shut()


def test_what_is_not_closed_stays_in_spool(engine: Engine, files: Files) -> None:
    opened(engine, 0, IDS[0])
    engine.shut()
    assert [name.rpartition(".")[2] for name in files.listing("spool")] == ["part"]
    assert np.all([name.startswith(f"spool/{IDS[0]}") for name in files.listing("spool")])
