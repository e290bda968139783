"""What the switch knows, as events tell it."""

import pytest

from receiver.lab.switch.parties import Call, Session, Tap, Voice, scene_of


@pytest.mark.parametrize(
    ("number", "scene"),
    [("+15550486", "busy"), ("+15550480", "noAnswer"), ("0603", "decline"), ("+15550199", None), ("", None)],
)
def test_a_number_says_what_will_come_of_it(number: str, scene: str | None) -> None:
    assert scene_of(number) == scene


def test_a_call_and_a_tap_tell_what_is_known() -> None:
    call = Call(Session("p", "signalwire_s"), "outbound", "+1", "+2", Voice(), tag="t")
    told = call.told()
    assert told["device"]["params"] == {"from_number": "+1", "to_number": "+2", "timeout": 30}
    assert (told["tag"], told["call_state"]) == ("t", "created")
    assert "context" not in told
    tap = Tap(call.session, call, "tap-1", {"direction": "both"}, {"type": "ws"})
    assert tap.told()["tap"] == {"type": "audio", "params": {"direction": "both"}}
    assert (tap.told()["call_id"], tap.told()["control_id"], tap.told()["state"]) == (call.call_id, "tap-1", "asked")
