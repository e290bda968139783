"""The log counted: the RFC's rules in closed form equal the RFC's loop."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.lab import tally
from receiver.lab.evidence import Findings
from receiver.lab.forecast import PRESETS
from receiver.lab.plan import Caller
from receiver.lab.senderlog import SENT
from tests.lab.reference import record, sent_by


def packets(*sequence: int, ssrc: int = 1) -> np.ndarray:
    told = np.zeros(len(sequence), SENT)
    told["sequence"], told["ssrc"] = np.array(sequence) & 0xFFFF, ssrc
    return told


@pytest.mark.parametrize(
    ("sequence", "lost", "duplicate", "reordered"),
    [
        ([5], 0, 0, 0),
        ([1, 2, 3], 0, 0, 0),
        ([1, 4], 2, 0, 0),
        ([1, 3, 2], 0, 0, 1),
        ([3, 2, 1], 0, 0, 2),
        ([1, 2, 2, 3], -1, 1, 0),
        ([1, 3, 2, 2, 1], -2, 2, 1),
        ([65_534, 65_535, 1], 1, 0, 0),
        ([0, 65_535, 1], 0, 0, 1),
    ],
)
def test_lost_duplicate_reordered(sequence: list[int], lost: int, duplicate: int, reordered: int) -> None:
    told = tally.by_ssrc(packets(*sequence))[1]
    assert (told.lost, told.duplicate, told.reordered) == (lost, duplicate, reordered)
    assert sorted(set(sequence), key=lambda each: (each + 32_768) % 65_536) == told.distinct["sequence"].tolist()


@given(st.sampled_from(sorted(PRESETS)), st.integers(0, 1000))
def test_a_log_is_counted_as_the_loop_counts_it(name: str, seed: int) -> None:
    sent = sent_by(Caller(1, weather=name, seconds=3), seed)
    streams = record(sent).document.channels[0].streams
    findings = Findings()
    tally.compare(tally.by_ssrc(sent.packets), streams, 0, findings)
    assert findings.sentences == ()


@pytest.mark.parametrize("counter", ["packets", "lost", "duplicate", "reordered", "late_lost", "invalid"])
def test_a_counter_that_is_off_by_one_or_not_told_is_named(counter: str) -> None:
    sent = sent_by(Caller(1, weather="everything", seconds=3))
    stream = record(sent).document.channels[0].streams[0]
    arrivals = tally.by_ssrc(sent.packets[sent.packets["ssrc"] == stream.ssrc])
    wrong = msgspec.structs.replace(stream, **{counter: getattr(stream, counter) + 1})
    findings = Findings()
    tally.compare(arrivals, [wrong], 0, findings)
    assert len(findings.sentences) == 1
    assert f": {counter} is " in findings.sentences[0]
    tally.compare(arrivals, [wrong], 1, forgiving := Findings())
    assert forgiving.sentences == ()
    if counter != "packets":
        tally.compare(arrivals, [msgspec.structs.replace(stream, **{counter: msgspec.UNSET})], 0, untold := Findings())
        assert f"{counter} is not told" in untold.sentences[0]


def test_a_stream_too_many_or_too_few_is_named() -> None:
    streams = record(sent_by(Caller(1, seconds=1))).document.channels[0].streams
    tally.compare({}, streams, 0, foreign := Findings())
    assert "never sent anything" in foreign.sentences[0]
    tally.compare(tally.by_ssrc(packets(1, 2)), [], 0, missing := Findings())
    assert "not in the sidecar" in missing.sentences[0]


def test_an_ssrc_from_two_sources_is_counted_together() -> None:
    sent = sent_by(Caller(1, seconds=1))
    stream = record(sent).document.channels[0].streams[0]
    halves = [msgspec.structs.replace(stream, packets=stream.packets - 20), msgspec.structs.replace(stream, packets=20)]
    tally.compare(tally.by_ssrc(sent.packets), halves, 0, findings := Findings())
    assert findings.sentences == ()
