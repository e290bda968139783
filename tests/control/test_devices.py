"""Where sound goes to and comes from, as the page writes it and as RELAY does."""

from typing import Any

import pytest

from receiver.control.devices import RtpDevice, WsDevice, read_device


def test_row_devices_in_wire_form() -> None:
    assert RtpDevice("203.0.113.5", 20_000).wire() == {
        "type": "rtp", "params": {"addr": "203.0.113.5", "port": 20_000, "codec": "PCMU", "ptime": 20},
    }  # fmt: skip
    assert RtpDevice("203.0.113.5", "20000", "PCMA").wire()["params"]["port"] == 20_000
    assert WsDevice("wss://x").wire() == {"type": "ws", "params": {"uri": "wss://x", "codec": "PCMU"}}
    assert WsDevice("wss://x", None).wire() == {"type": "ws", "params": {"uri": "wss://x"}}
    with pytest.raises(ValueError, match="invalid literal"):
        RtpDevice("203.0.113.5", "many").wire()


def test_d9_a_ws_devices_secret_is_not_shown() -> None:
    assert "s3cret" not in repr(WsDevice("wss://x/s3cret"))


@pytest.mark.parametrize(
    ("told", "device"),
    [
        ({"type": "rtp", "params": {"addr": "203.0.113.9", "port": 27654, "codec": "PCMU", "rate": 8000}},
         RtpDevice("203.0.113.9", 27654, "PCMU", None)),
        ({"type": "rtp", "params": {"addr": "203.0.113.9", "port": "27654", "ptime": "20"}},
         RtpDevice("203.0.113.9", 27654, None, 20)),
        ({"type": "ws", "params": {"uri": "wss://x", "codec": "OPUS"}}, WsDevice("wss://x", "OPUS")),
        ({"type": "ws", "params": {}}, None),
        ({"type": "rtp", "params": {"addr": "203.0.113.9", "port": 0}}, None),
        ({"type": "rtp", "params": {"addr": "203.0.113.9", "port": 65_536}}, None),
        ({"type": "rtp", "params": {"addr": 7, "port": 1}}, None),
        ({"type": "rtp"}, None),
        ({}, None),
        (None, None),
        ("rtp", None),
    ],
)  # fmt: skip
def test_a_device_is_read_leniently(told: Any, device: Any) -> None:
    assert read_device(told) == device
