"""What control asks for, in the words of those who do it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from receiver.archive.sidecar import Source as Told
from receiver.media.columns import Policy
from receiver.media.sources import NOWHERE, Source
from receiver.worker import orders
from tests.worker.office import Line, configure

Call = Callable[..., Line]


@pytest.mark.parametrize(
    ("word", "policy"),
    [("announced", Policy.ANNOUNCED), ("exact", Policy.EXACT), ("address", Policy.ADDRESS),
     ("allow-list", Policy.ALLOW_LIST), ("any", Policy.ANY)],
)  # fmt: skip
def test_b2_the_policies_of_the_configuration_have_their_names(word: str, policy: Policy, call: Call) -> None:
    assert orders.wanted(call(policy=word).order).policy == policy


@pytest.mark.parametrize(
    ("announced", "source", "words"),
    [(("192.0.2.1", 4_000), Source.of("192.0.2.1", 4_000), "192.0.2.1:4000"),
     (("192.0.2.1", 0), Source.of("192.0.2.1", 0), "192.0.2.1"),
     (("2001:db8::1", 4_000), Source.of("2001:db8::1", 4_000), "[2001:db8::1]:4000"),
     (("2001:db8::1", 0), Source.of("2001:db8::1", 0), "2001:db8::1"), (None, NOWHERE, UNSET)],
)  # fmt: skip
def test_the_announced_source_reaches_columns_and_draft(
    announced: Any, source: Source, words: Any, tmp_path: Path, call: Call
) -> None:
    order = msgspec.structs.replace(call().order, announced=announced)
    assert orders.wanted(order).announced == source
    [channel] = orders.draft([order], configure(tmp_path)).channels
    assert isinstance(channel.source, Told)
    assert channel.source.announced == words


def test_c1_the_draft_holds_all_that_was_asked_for(tmp_path: Path, call: Call) -> None:
    order = call(labels={"team": "blue"}, call_id="c", direction="listen", law=8).order
    draft = orders.draft([order], configure(tmp_path))
    ids = draft.recording_id, draft.tap_id, draft.call_id, draft.node_id
    assert ids == (order.recording_id, "tap-0", "c", UNSET)
    assert (draft.labels, draft.direction, draft.layout) == ({"team": "blue"}, "listen", "mono")
    assert draft.encoding == "pcm16"
    [channel] = draft.channels
    assert (channel.party, channel.tap_id, channel.codec) == ("listen", "tap-0", "PCMA")


@pytest.mark.parametrize(
    "wrong", [{"policy": "whoever"}, {"announced": ("nowhere", 1)}, {"recording_id": "../../x"}]
)
def test_an_order_that_means_nothing_is_told_apart(wrong: dict[str, Any], call: Call) -> None:
    with pytest.raises((ValueError, KeyError)):
        orders.wanted(call(**wrong).order)


def test_a_codec_that_is_none_is_told_apart(tmp_path: Path, call: Call) -> None:
    with pytest.raises(KeyError):
        orders.draft([call(law=3).order], configure(tmp_path))
