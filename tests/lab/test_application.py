"""The application that the demo plays, against a switch of its own: it calls, has each call tapped, and stays."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from receiver.control.calls import DialFailed
from receiver.lab.application import call_and_tap
from receiver.lab.switch.process import SwitchProcess


class Daemon:
    """Remembers what it was asked, and lets the call end."""

    def __init__(self, switch: SwitchProcess) -> None:
        self.switch, self.asked = switch, list[dict[str, Any]]()

    def post(self, path: str, body: dict[str, Any]) -> None:
        assert path == "/v1/taps"
        self.asked.append(body)
        self.switch.ask("DELETE", f"/lab/calls/{body['call_id']}")


def test_each_number_is_called_and_its_call_tapped_and_waited_for(tmp_path: Path) -> None:
    answered: dict[str, str] = {}
    with SwitchProcess("t", tmp_path) as switch:
        daemon: Any = Daemon(switch)
        asyncio.run(call_and_tap(switch, daemon, ["+1", "+2", "+3"], "PCMA", answered.__setitem__))
        assert switch.calls() == []
    assert answered.keys() == {"+1", "+2", "+3"}
    assert {body["call_id"] for body in daemon.asked} == set(answered.values())
    assert {body["codec"] for body in daemon.asked} == {"PCMA"}
    assert all(body["node_id"] for body in daemon.asked)


def test_one_that_is_not_reached_is_an_error(tmp_path: Path) -> None:
    with SwitchProcess("t", tmp_path) as switch, pytest.raises(DialFailed, match="busy"):
        asyncio.run(call_and_tap(switch, Daemon(switch), ["+10486"], "PCMA", dict[str, str]().__setitem__))  # type: ignore[arg-type]
