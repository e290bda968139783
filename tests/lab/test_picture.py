"""The picture of recordings: what is absent stands at its time, in its colour, with its reason."""

import re
from xml.etree import ElementTree

from receiver.archive.sidecar import Channel, Ending, Gap, Outcome, Reason, Sidecar
from receiver.lab.picture import COLOURS, draw


def told(frames: int, gaps: tuple[Gap, ...] = (), channels: int = 1) -> Sidecar:
    return Sidecar(
        recording_id="r", file="a.wav", sample_rate=8_000, frames=frames, duration_s=frames / 8_000,
        ending=Ending.STOPPED, outcome=Outcome.COMPLETE, absent_frames=sum(gap.frames for gap in gaps), gaps=gaps,
        channels=(Channel(),) * channels,
    )  # fmt: skip


def bars(svg: str, colour: str) -> list[tuple[float, float]]:
    pattern = rf'x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*fill="{colour}"><t'
    return [(float(x), float(wide)) for x, wide in re.findall(pattern, svg)]


def test_a_gap_stands_at_its_time_and_says_why() -> None:
    svg = draw([("one", told(80_000, (Gap(40_000, 8_000, 0, Reason.LOST),)))])
    ((x, wide),) = bars(svg, COLOURS[Reason.LOST])
    assert (x, wide) == (220 + 350, 70)
    assert "lost: 8000 frames from 40000" in svg


def test_all_recordings_share_one_scale() -> None:
    svg = draw([("long", told(80_000)), ("short", told(40_000))])
    assert [wide for _, wide in bars(svg, "#2f6fb2")] == [700, 350]


def test_channels_lie_above_each_other() -> None:
    svg = draw([("two", told(8_000, (Gap(0, 4_000, 1, Reason.NOT_SENT),), channels=2))])
    assert len(bars(svg, "#2f6fb2")) == 2
    assert len(bars(svg, COLOURS[Reason.NOT_SENT])) == 1


def test_names_are_text_whatever_is_in_them() -> None:
    ElementTree.fromstring(draw([("<&\">", told(8_000)), ("empty", told(0))]))


def test_nothing_at_all_is_a_picture_too() -> None:
    ElementTree.fromstring(draw([]))
