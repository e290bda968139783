"""What comes in, and what is made of it."""

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from receiver import keys
from receiver.api import bodies
from receiver.api.bodies import DeviceBody, Page, SrtpBody, TapBody, source_of, wish_of
from receiver.api.house import Defaults
from receiver.api.problems import Trouble
from receiver.control.means import NotNow
from receiver.endpoints import Source
from receiver.ledger.store import Where


class Inn:
    """As much of a house as a wish needs."""

    defaults = Defaults("PCMU", 20, "both", "mono")
    address: str | None = "127.0.0.1"
    allow_list = False
    client: Any = None
    policy = "announced"
    ws = False


class Relayed(Inn):
    """One with a relay that is up, and knows one call."""

    client = SimpleNamespace(up=True, calls={"c-1": SimpleNamespace(node_id="n-1")})


class Doored(Relayed):
    """One with a door for ws devices, too."""

    ws = True


CM, KEY = "AES_CM_128_HMAC_SHA1_80", "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
SEALED = SrtpBody(CM, f"inline:{KEY}|2^20")


def wish(house: Any = Inn, **given: Any) -> Any:
    return wish_of(TapBody(**{"source": "any"} | given), house)


def refused(call: Any, *given: Any, **more: Any) -> Trouble:
    with pytest.raises(Trouble) as trouble:
        call(*given, **more)
    return trouble.value


def test_what_is_not_said_is_as_configured() -> None:
    made = wish()
    assert (made.law, made.codec, made.ptime, made.direction, made.layout) == (0, "PCMU", 20, "both", "mono")


def test_what_is_said_counts() -> None:
    made = wish(codec="PCMA", ptime=30, direction="speak", labels={"a": "b"})
    assert (made.law, made.codec, made.ptime, made.direction, made.labels) == (8, "PCMA", 30, "speak", {"a": "b"})


def test_a_device_may_say_codec_and_ptime_or_be_a_bare_word() -> None:
    made = wish(device=DeviceBody(codec="PCMA", ptime=40))
    assert (made.law, made.ptime) == (8, 40)
    assert wish(device="rtp").law == 0
    assert wish(device=DeviceBody(codec="PCMA"), codec="PCMA").law == 8


def test_a14_opus_has_the_payload_type_that_is_told_or_the_configured_one() -> None:
    assert (wish(codec="opus").law, wish(codec="OPUS").codec) == (111, "OPUS")
    assert wish(device=DeviceBody(codec="OPUS", payload_type=96)).law == 96


def test_opus_does_not_come_over_a_websocket() -> None:
    trouble = refused(wish, Doored, codec="OPUS", device="ws", source=None)
    assert (trouble.status, trouble.code) == (400, "codec")


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"call_id": "c", "source": None}, "no_relay", "call_id: there is no relay"),
        ({"node_id": "n"}, "node_id", "it goes with a call_id"),
        ({"device": "ws"}, "no_ws", 'device "ws": there is no door for it'),
        ({"device": DeviceBody(type="ws")}, "no_ws", "ws"),
        ({"device": DeviceBody(payload_type=100)}, "payload_type", "it is OPUS' to have another; PCMU has 0"),
        ({"codec": "OPUS", "device": DeviceBody(payload_type=101)}, "payload_type", "101 is that of telephone events"),
        ({"srtp": SrtpBody(CM, "hush")}, "srtp", "srtp.key: expected inline: and the base64 of 30 octets"),
        ({"srtp": SrtpBody(CM, f"inline:{KEY}hush")}, "srtp", "; these are 33 octets"),
        ({"srtp": SrtpBody(CM, f"inline:{KEY}|2^20|1:4")}, "srtp", "(MKI) is not supported"),
        ({"srtp": SrtpBody("hush", f"inline:{KEY}")}, "srtp", "srtp.suite: expected one of AES_CM_128_HMAC_SHA1_80, "),
        ({"srtp": SEALED, "call_id": "c", "source": None}, "srtp", "srtp: not with call_id"),
        ({"layout": "stereo", "direction": "speak"}, "direction", "found 'speak'"),
        ({"codec": "G722"}, "codec", "expected one of PCMU, PCMA, OPUS, found 'G722'"),
        ({"codec": "PCMU", "device": DeviceBody(codec="PCMA")}, "codec", "'PCMU' in the body, 'PCMA' in the device"),
        ({"ptime": 20, "device": DeviceBody(ptime=30)}, "ptime", "20 in the body, 30 in the device"),
        ({"source": None}, "source", "without one the sender must be in [media].allow"),
        ({"source": "pbx.example"}, "source", "'pbx.example'"),
    ],
)
def test_what_cannot_be_met_is_refused_by_name(given: dict[str, Any], code: str, said: str) -> None:
    trouble = refused(wish, **given)
    assert trouble.code == code
    assert said in trouble.detail
    assert "hush" not in trouble.detail + trouble.hint
    assert KEY[:8] not in trouble.detail + trouble.hint
    assert 400 <= trouble.status < 600


def test_b_a_right_tag_is_trust_enough_and_a_source_makes_it_narrower() -> None:
    made = wish(source=None, srtp=SEALED)
    assert (made.policy, made.announced, made.suite) == ("any", None, CM)
    assert made.key == keys.read(CM, f"inline:{KEY}")
    made = wish(source="192.0.2.7:4000", srtp=SEALED)
    assert (made.policy, made.announced) == ("exact", ("192.0.2.7", 4_000))
    assert (wish().suite, wish().key) == (None, None)


def test_d9_neither_a_body_nor_a_wish_shows_its_key() -> None:
    for shown in (repr(SEALED), repr(wish(srtp=SEALED)), str(TapBody(srtp=SEALED))):
        assert KEY[:8] not in shown
        assert "=-n@" not in shown


def test_srtp_is_for_rtp() -> None:
    class WithWs(Inn):
        ws = True

    trouble = refused(wish, WithWs, device="ws", source=None, srtp=SEALED)
    assert (trouble.status, trouble.code) == (400, "srtp")
    assert 'not with device "ws"' in trouble.detail


def test_a_tap_of_our_own_is_asked_for_by_its_call_and_hears_whom_the_relay_announces() -> None:
    made = wish(Relayed, call_id="c-1", source=None)
    assert (made.own, made.call_id, made.node_id) == (True, "c-1", "n-1")
    assert (made.policy, made.announced) == ("announced", None)
    made = wish(Relayed, call_id="theirs", node_id="n-9", source=None, codec="pcma")
    assert (made.own, made.node_id, made.codec) == (True, "n-9", "PCMA")
    assert not wish(Relayed).own


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"call_id": "theirs", "source": None}, "node_id", "the daemon does not know this call"),
        ({"call_id": "c-1", "source": "any"}, "source", "the relay announces it"),
    ],
)
def test_what_the_relay_must_know_is_asked_for_by_name(given: dict[str, Any], code: str, said: str) -> None:
    trouble = refused(wish, Relayed, **given)
    assert (trouble.status, trouble.code) == (400, code)
    assert said in trouble.detail


def test_d1_while_the_relay_is_away_one_is_told_when_to_ask_again() -> None:
    class Away(Inn):
        client = SimpleNamespace(up=False, calls={})

    with pytest.raises(NotNow) as later:
        wish(Away, call_id="c-1", node_id="n-1", source=None)
    assert (later.value.code, later.value.retry_s) == ("relay_away", 5)


def test_the_relay_sends_to_ipv4_only_but_a_door_has_a_name() -> None:
    class Sixth(Doored):
        address = "2001:db8::1"

    assert "[media].advertise" in refused(wish, Sixth, call_id="c-1", source=None).detail
    made = wish(Sixth, call_id="c-1", source=None, device="ws")
    assert (made.own, made.device) == (True, "ws")


def test_who_knows_a_ws_devices_uri_may_send() -> None:
    class Nameless(Doored):
        address = None

    made = wish(Nameless, device="ws", source=None)
    assert (made.device, made.own, made.policy) == ("ws", False, "exact")
    assert refused(wish, Doored, device="ws", source="any").code == "source"


def test_without_an_address_to_tell_the_key_is_named() -> None:
    class Nowhere(Inn):
        address = None

    trouble = refused(wish, Nowhere)
    assert trouble.status == 409
    assert "[media].advertise" in trouble.detail


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("any", Source("any", None)),
        ("192.0.2.1", Source("address", ("192.0.2.1", 0))),
        ("192.0.2.1:4000", Source("exact", ("192.0.2.1", 4000))),
        ("2001:DB8::1", Source("address", ("2001:db8::1", 0))),
        ("[2001:db8::1]", Source("address", ("2001:db8::1", 0))),
        ("[2001:db8::1]:4000", Source("exact", ("2001:db8::1", 4000))),
    ],
)
def test_a_source_is_an_address_with_or_without_a_port(text: str, source: Source) -> None:
    assert source_of(text, False) == source


def test_without_a_source_the_operators_allow_list_counts() -> None:
    assert source_of(None, True) == Source("allow-list", None)


@pytest.mark.parametrize(
    "text",
    ["", "Any", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:", "192.0.2", "192.0.2.1:٣", "[192.0.2.1]:5", "host:5",
     "192.0.2.0/24", "2001:db8::1:x", "[2001:db8::1]:", ":5", "192.0.2.1:5:6"],
)  # fmt: skip
def test_anything_else_is_no_source(text: str) -> None:
    assert refused(source_of, text, True).code == "source"


@given(st.text())
def test_e_no_text_raises_anything_but_trouble(text: str) -> None:
    with contextlib.suppress(Trouble):
        assert source_of(text, False).policy in ("any", "address", "exact")


def test_a_listing_is_filtered_by_state_call_label_and_time() -> None:
    path = (
        "/v1/taps?state=failed&call_id=c&label.team=blue&label.a.b=&since=2026-09-21T14:13:20%2B00:00&limit=7&after=5-x"
    )
    where, page = bodies.where_of(make_mocked_request("GET", path))
    assert where == Where("failed", "c", {"team": "blue", "a.b": ""}, 1_790_000_000_000_000_000, (5, "x"))
    assert page == Page(7, (5, "x"))


def test_without_a_query_everything_is_listed() -> None:
    assert bodies.where_of(make_mocked_request("GET", "/v1/taps")) == (Where(), Page(bodies.USUALLY_LISTED, None))


@pytest.mark.parametrize(
    "query",
    ["state=asleep", "limit=0", "limit=501", "limit=-1", "limit=x", "limit=%D9%A3", "after=5", "after=x-5", "after=-x",
     f"after={2**63}-x", "since=yesterday", "since=", "colour=red", "labels.x=1"],
)  # fmt: skip
def test_a_query_that_is_not_understood_is_refused(query: str) -> None:
    assert refused(bodies.where_of, make_mocked_request("GET", f"/v1/taps?{query}")).code == "query"


def test_one_may_wait_for_one_thing_only() -> None:
    assert bodies.wait_of(make_mocked_request("GET", "/x?wait=ready"), "ready")
    assert not bodies.wait_of(make_mocked_request("GET", "/x"), "ready")
    assert refused(bodies.wait_of, make_mocked_request("GET", "/x?wait=godot"), "ready").code == "query"
    assert refused(bodies.wait_of, make_mocked_request("GET", "/x?weight=ready"), "ready").code == "query"
