"""What may go wrong is off by default, and what is misspelt is refused."""

import msgspec
import pytest

from receiver.lab.switch.faults import GOOD, Faults


def test_all_is_well_by_default() -> None:
    assert Faults() == GOOD
    shares = ("repeat_events", "withhold_events", "no_answer", "garbage", "wrong_id", "huge")
    assert not any(getattr(GOOD, name) for name in shares)
    assert 0 < GOOD.ping_interval_s < 15  # or the node SDK takes us for dead


@pytest.mark.parametrize("text", ['{"garbge": 1}', '{"garbage": 2}', '{"finished": "soon"}', '{"refuse": {"x": 1}}'])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Faults)
