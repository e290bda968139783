"""What a request must look like, as the live service is thought to check it."""

from typing import Any

import pytest

from receiver.lab.switch import requests
from receiver.lab.switch.requests import Invalid, Phone, Refused, Wanted

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
    assert wanted.audio["direction"] in ("both", "speak")
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
        {"tap": {"type": "audio", "params": {"direction": ["both"]}}},
        {"device": None},
        {"device": {"type": "sip", "params": {}}},
        {"device": rtp(addr="host.example")},
        {"device": rtp(addr="2001:db8::1")},
        {"device": rtp(addr=None)},
        {"device": rtp(addr=3_405_803_781)},
        {"device": rtp(addr="")},
        {"device": {"type": ["rtp"], "params": {}}},
        {"device": rtp(port=0)},
        {"device": rtp(port=True)},
        {"device": rtp(port=1.5)},
        {"device": rtp(port=float("inf"))},
        {"device": rtp(port="-1")},
        {"device": rtp(port="\u0661")},
        {"device": rtp(port=65_536)},
        {"device": rtp(port="x")},
        {"device": rtp(ptime=25)},
        {"device": rtp(ptime=130)},
        {"device": rtp(codec="G722")},
        {"device": rtp(codec=7)},
        {"device": rtp(codec=["PCMU"])},
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


def devices(**params: Any) -> dict[str, Any]:
    return {"devices": [[{"type": "phone", "params": {"to_number": "+1", **params}}]]}


def test_a_phone_and_a_sip_device() -> None:
    assert requests.phone(devices(from_number="+2", timeout=5)) == Phone("+1", "+2", 5.0)
    assert requests.phone(devices()) == Phone("+1", "", 30.0)
    assert requests.phone({"devices": [[{"type": "sip", "params": {"to": "sip:x", "from": "sip:y"}}]]})[:2] == (
        "sip:x", "sip:y",
    )  # fmt: skip


@pytest.mark.parametrize("timeout", [float("inf"), float("nan"), -1, 1e9, True, "5", None, [5]])
def test_a_number_that_is_none_counts_as_not_told(timeout: Any) -> None:
    assert requests.phone(devices(timeout=timeout, from_number=7)) == Phone("+1", "", 30.0)


def test_a_call_is_ended_for_one_of_the_reasons_that_a_client_may_give() -> None:
    assert requests.reason({}) == "hangup"
    assert requests.reason({"reason": "noAnswer"}) == "noAnswer"
    for told in ("tired", None, ["hangup"]):
        with pytest.raises(Invalid):
            requests.reason({"reason": told})


@pytest.mark.parametrize("told", [None, [], ["x"], "x", {}])
def test_nothing_that_can_be_played(told: Any) -> None:
    with pytest.raises(Invalid):
        requests.plays({"play": told})
