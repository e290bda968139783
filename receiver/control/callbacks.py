"""What the platform calls back about a tap that somebody else started (SWML and REST ``status_url``).

The secret in the path names the tap, so the body need not be believed for that; what it says is what an event of the
relay says (relay-protocol, section 6.3). Calls back may come twice, late, out of order or never.
"""

from typing import Any

from receiver.control import words
from receiver.control.roster import Roster
from receiver.control.taps import Ending, Tap, Word


def take(roster: Roster, tap: Tap, document: dict[str, Any]) -> bool:
    """Take in one call back; False if it says nothing that concerns a tap."""
    event = words.read_event(document)
    match event:
        case words.TapState():
            _amend(roster, tap, event.call_id, event.node_id, event.control_id)
            if event.state == "tapping":
                roster.believe(tap, Word.AWAY)  # its end will be called back, if that call gets through
            elif event.state == "finished":
                roster.stop(tap, Ending.RELAY_FINISHED)
        case words.CallState():
            _amend(roster, tap, event.call_id, event.node_id, None)
            if event.state == "ended":
                roster.stop(tap, Ending.CALL_ENDED)
        case _:
            return False
    return True


def _amend(roster: Roster, tap: Tap, call_id: str | None, node_id: str | None, control_id: str | None) -> None:
    """Learn which call it is; what the API told stands."""
    wish = tap.wish
    known = {
        "call_id": wish.call_id or call_id,
        "node_id": wish.node_id or node_id,
        "control_id": wish.control_id or control_id,
    }
    if (wish.call_id, wish.node_id, wish.control_id) != tuple(known.values()):
        roster.amend(tap, **known)
