"""Packets are found where an epoch of their stream puts them, and nowhere else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from receiver.archive.sidecar import Epoch
from receiver.lab import places
from receiver.lab.places import NOWHERE
from receiver.lab.plan import Caller
from tests.lab.reference import record, sent_by


def clean(seconds: float = 1.0) -> tuple[np.ndarray, np.ndarray, Epoch]:
    sent = sent_by(Caller(1, seconds=seconds, weather="wrap"))
    made = record(sent)
    return sent.packets, made.samples, made.epochs[int(sent.packets["ssrc"][0])][0]


def test_every_packet_is_found_over_the_wrap_of_its_timestamp() -> None:
    packets, samples, epoch = clean(4)
    found = places.find(packets, 1, [epoch], samples)
    assert found.frame.tolist() == packets["sample"].tolist()
    assert set(found.epoch.tolist()) == {0}


def test_an_anchor_may_be_any_packet_of_the_epoch() -> None:
    packets, samples, epoch = clean(4)
    later = Epoch(frame=16_000, timestamp=(epoch.timestamp + 16_000) % 2**32)
    assert np.array_equal(places.find(packets, 1, [later], samples).frame, packets["sample"])


def test_one_wrong_sample_and_the_packet_is_nowhere() -> None:
    packets, samples, epoch = clean()
    samples[1_700] ^= 4
    found = places.find(packets, 1, [epoch], samples)
    assert np.flatnonzero(found.epoch == NOWHERE).tolist() == [10]
    assert np.flatnonzero(found.frame == NOWHERE).tolist() == [10]


def test_what_would_lie_before_or_behind_the_audio_is_nowhere() -> None:
    packets, samples, epoch = clean()
    found = places.find(packets, 1, [epoch], samples[:-1])
    assert np.flatnonzero(found.epoch == NOWHERE).tolist() == [49]
    moved = Epoch(frame=0, timestamp=(epoch.timestamp + 160) % 2**32)
    assert np.flatnonzero(places.find(packets, 1, [moved], samples[160:]).epoch == NOWHERE).tolist() == [0]


def test_a_frame_before_the_audio_is_not_its_end() -> None:
    sent = sent_by(Caller(1, size=1, seconds=0.01))
    before = Epoch(frame=0, timestamp=(int(sent.packets["timestamp"][0]) + 1) % 2**32)  # the first lies at frame -1
    assert places.find(sent.packets[:1], 1, [before], record(sent).samples[:1]).epoch.tolist() == [NOWHERE]


def test_without_epochs_or_audio_nothing_is_found() -> None:
    packets, samples, epoch = clean()
    for found in (places.find(packets, 1, [], samples), places.find(packets, 1, [epoch], samples[:0])):
        assert set(found.epoch.tolist()) == {NOWHERE} == set(found.frame.tolist())
        assert len(found.disorder) == 0


def test_epochs_are_gone_through_in_order() -> None:
    packets, samples, epoch = clean()
    twice = np.concatenate([samples, samples])
    twice[:8_000][packets["sample"][20] :][:160] = (
        0  # packet 20 lies only in the second epoch, its followers only in the first
    )
    twice[8_000:][: 160 * 20] = 0
    twice[8_000:][160 * 21 :] = 0
    found = places.find(packets, 1, [epoch, Epoch(frame=8_000, timestamp=epoch.timestamp)], twice)
    assert found.epoch[20] == 1
    assert found.disorder.tolist() == list(range(21, 50))


def test_two_epochs_that_say_the_same_are_no_disorder() -> None:
    packets, samples, epoch = clean()
    assert len(places.find(packets, 1, [epoch, epoch], samples).disorder) == 0


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 10)), max_size=20))
def test_cover_counts_packets_over_each_frame(runs: list[tuple[int, int]]) -> None:
    naive = np.zeros(100, np.int64)
    for frame, size in runs:
        naive[frame : frame + size] += 1
    at = np.array(runs, np.int64).reshape(-1, 2)
    assert np.array_equal(places.cover(at[:, 0], at[:, 1], 100), naive)
