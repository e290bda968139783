"""What a request must look like, as the live service is thought to check it."""

from typing import Any

import pytest

from receiver.lab.switch import requests
from receiver.lab.switch.requests import Invalid, Refused, Wanted

AUDIO = {"type": "audio", "params": {"direction": "both"}}


def rtp(**more: Any) -> dict[str, Any]:
    return {"type": "rtp", "params": {"addr": "203.0.113.5", "port": 41_000, **more}}


def ask(**more: Any) -> dict[str, Any]:
    return {"control_id": "t", "tap": AUDIO, "device": rtp(), **more}


@pytest.mark.parametrize(
    ("given", "device"),
    [
        ({}, {"addr": "203.0.113.5", "port": 41_000, "codec": "PCMU", "ptime": 20}),
        (
            {"device": rtp(port="41000", codec="pcma", ptime="30")},
            {"addr": "203.0.113.5", "port": 41_000, "codec": "PCMA", "ptime": 30},
        ),
        (
            {"tap": {"type": "audio", "params": {}}},
            {"addr": "203.0.113.5", "port": 41_000, "codec": "PCMU", "ptime": 20},
        ),
        ({"device": {"type": "ws", "params": {"uri": "wss://x"}}}, {"uri": "wss://x", "codec": "PCMU"}),
    ],
)
def test_a_tap_that_is_taken(given: dict[str, Any], device: dict[str, Any]) -> None:
    wanted = requests.tap(ask(**given))
    assert isinstance(wanted, Wanted)
    assert wanted.device["params"] == device


@pytest.mark.parametrize(
    "given",
    [
        {"control_id": ""},
        {"control_id": 7},
        {"tap": {"type": "audio"}},
        {"tap": {"type": "video", "params": {}}},
        {"tap": None},
        {"tap": {"type": "audio", "params": {"direction": "up"}}},
        {"device": None},
        {"device": {"type": "sip", "params": {}}},
        {"device": rtp(addr="host.example")},
        {"device": rtp(addr="2001:db8::1")},
        {"device": rtp(addr=None)},
        {"device": rtp(port=0)},
        {"device": rtp(port=65_536)},
        {"device": rtp(port="x")},
        {"device": rtp(ptime=25)},
        {"device": rtp(ptime=130)},
        {"device": rtp(codec="G722")},
        {"device": rtp(codec=7)},
        {"device": rtp(codec="Pcmu")},
        {"device": {"type": "ws", "params": {}}},
        {"device": {"type": "ws", "params": {"uri": "http://x"}}},
    ],
)
def test_a_tap_that_is_invalid(given: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        requests.tap(ask(**given))


def test_opus_is_refused_by_code_because_the_lab_has_none() -> None:
    with pytest.raises(Refused) as refused:
        requests.tap(ask(device=rtp(codec="OPUS")))
    assert (refused.value.code, refused.value.message) == ("400", "codec OPUS is not to be had in this lab")


@pytest.mark.parametrize(
    "devices",
    [
        None,
        [],
        [[]],
        [{}],
        [[{"type": "phone"}]],
        [[{"type": "phone", "params": {}}]],
        [[{"type": "fax", "params": {}}]],
    ],
)
def test_devices_that_name_nobody(devices: Any) -> None:
    with pytest.raises(Invalid):
        requests.phone({"devices": devices})


def test_a_phone_and_a_sip_device() -> None:
    assert requests.phone({"devices": [[{"type": "phone", "params": {"to_number": "+1"}}]]}) == {"to_number": "+1"}
    assert requests.phone({"devices": [[{"type": "sip", "params": {"to": "sip:x"}}]]}) == {"to": "sip:x"}
