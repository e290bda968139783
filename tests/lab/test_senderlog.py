"""A log comes back as it was written; a crowd's log tells each caller's packets."""

from pathlib import Path

import numpy as np
import pytest

from receiver.lab import senderlog
from receiver.lab.plan import Caller
from receiver.lab.senderlog import About, Crowd
from tests.lab.reference import sent_by


def test_a_log_survives_the_disk(tmp_path: Path) -> None:
    sent = sent_by(Caller(12, "127.0.0.1:4000", weather="everything"))
    path = senderlog.write(tmp_path / "logs", sent)
    assert path == senderlog.file_of(tmp_path / "logs", 12)
    again = senderlog.read(path)
    assert again.about == sent.about
    assert np.array_equal(again.packets, sent.packets)
    assert [each.name for each in path.parent.iterdir()] == ["caller-000012.npz"]


def crowd(refused: list[tuple[int, int]]) -> Crowd:
    about = tuple(About(caller, 99, "127.0.0.1:1", "127.0.0.1:2", "PCMU", 1) for caller in (7, 8, 9))
    slot_ns = np.array([[100, 110], [200, 210], [300, 0]])  # the second group was stopped in the last slot
    return Crowd(
        about, size=160, payload_type=0, burst=2, ssrc=np.array([1, 2, 3], np.uint32),
        sequence=np.array([0, 65_535, 5], np.uint16), timestamp=np.array([0, 2**32 - 160, 0], np.uint32),
        sample=np.array([0, 1009, 2018]), group=np.array([0, 0, 1]), slot_ns=slot_ns,
        refused=np.array(refused, np.int64).reshape(-1, 2),
    )  # fmt: skip


def test_a_crowds_packets_follow_from_counts_and_slots(tmp_path: Path) -> None:
    senderlog.write_crowd(tmp_path, crowd([(1, 0)]))
    log = senderlog.read_crowd(tmp_path)
    assert log.counts.tolist() == [4, 6, 4]
    first, second, third = (log.sent(caller).packets for caller in (7, 8, 9))
    assert first["sample"].tolist() == [0, 160, 640, 800]  # slot 1 was refused
    assert first["sequence"].tolist() == [0, 1, 4, 5]
    assert first["sent_ns"].tolist() == [100, 100, 300, 300]
    assert second["sequence"].tolist() == [65_535, 0, 1, 2, 3, 4]
    assert second["timestamp"].tolist() == [2**32 - 160, 0, 160, 320, 480, 640]
    assert second["sample"].tolist() == [1009 + 160 * n for n in range(6)]
    assert third["sent_ns"].tolist() == [110, 110, 210, 210]
    assert log.sent(9).about.caller == 9
    with pytest.raises(KeyError):
        log.sent(1)


def test_what_is_no_callers_log_is_refused(tmp_path: Path) -> None:
    path = senderlog.write_crowd(tmp_path, crowd([]))
    with pytest.raises(ValueError, match="not one caller's log"):
        senderlog.read(path)
    with pytest.raises(FileNotFoundError):
        senderlog.read(tmp_path / "missing.npz")
