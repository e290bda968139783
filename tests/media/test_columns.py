"""The records: what rule K8 asks to be a column, and what the kernel and the commit ask of their shape."""

from typing import Any

import numpy as np
import pytest

from receiver.media import columns
from receiver.wire.rtp import Verdict
from tests.media.rig import Rig

TABLES = [columns.TAP, columns.STREAM, columns.ROW, columns.WORLD, columns.PATCH, columns.NOTE, columns.NOTE_SLOT]


@pytest.mark.parametrize("table", TABLES)
def test_every_record_is_a_whole_number_of_words(table: np.dtype) -> None:
    assert table.itemsize % 8 == 0
    assert table.isalignedstruct


def test_there_is_a_counter_for_every_verdict() -> None:
    assert max(Verdict) < columns.VERDICTS
    assert columns.TAP["verdicts"].shape == columns.WORLD["verdicts"].shape == (columns.VERDICTS,)


def test_flaws_are_bits_of_their_own() -> None:
    assert all(flaw & (flaw - 1) == 0 for flaw in columns.Flaw)
    assert sum(columns.Flaw) == sum({int(flaw) for flaw in columns.Flaw})


def test_no_object_of_the_room_keeps_what_must_survive() -> None:
    """Rule K8: beside views of the memory there are only settings, other rooms' views, and what one turn derives."""
    pipeline = Rig().pipeline
    allowed = {
        "_state", "state", "timeline", "journal", "streams", "clock", "joining", "sources", "census", "_timeline",
        "_journal", "_clock", "_joining", "_kinds", "_claims", "_wait_ns", "news", "horizon", "window", "_flat",
        "_pitch", "_absence", "holes", "keys", "pacing", "_pacing", "_mask_dtmf", "_turn", "_tap_of",
        "_free", "_spare", "_written", "reporting", "_census", "_beside", "unknown", "secured", "_keys", "pauses",
        "packets",
    }  # fmt: skip
    parts = (pipeline, pipeline.timeline, pipeline.journal, pipeline.streams, pipeline.clock, pipeline.joining)
    more: list[Any] = [pipeline.clock.holes, pipeline.clock.pacing, pipeline.joining.keys, pipeline.joining.census]
    more += [pipeline.reporting, pipeline.pauses, pipeline.unknown]
    # SRTP keys come again over the link; the rest is derived from columns or a place to put one turn's octets
    assert set(vars(pipeline.secured)) == {"_state", "_openers", "_wary", "_any", "_rows"}
    for part in (*parts, pipeline.sources, pipeline.sources._beside, *more):
        assert set(vars(part)) <= allowed, type(part).__name__
    assert set(vars(pipeline.timeline.packets)) <= allowed
    assert set(vars(pipeline.sources._claims)) == {"_networks"}
