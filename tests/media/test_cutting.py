"""Rule C7 for channels that lie beside each other: cut at the same moment, none before what was handed on."""

from hypothesis import given
from hypothesis import strategies as st

from receiver.media.columns import CLOCK_RATE, NS_PER_SAMPLE
from receiver.media.cutting import SETTLED_NS, Cutting
from receiver.media.drain import Drain
from tests.media.rig import HORIZON, START, Rig, talk

END_NS = START + 2_000_000_000


def hand_on(rig: Rig, taps: list[int], now_ns: int) -> None:
    Drain(rig.state, rig.pipeline.timeline, HORIZON).hand_on(rig.slots(taps), now_ns)
    rig.state.commit()
