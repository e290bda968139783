"""Forms: what a value must look like, and what is said when it does not."""

from contextlib import suppress
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from receiver.forms import FORMS, in_words, relay_url, value_of


@given(st.text())
def test_no_text_brings_a_form_to_raise_anything_but_what_it_expects(text: str) -> None:
    for name, form in FORMS.items():
        value: Any = {"media.allow": (text,), "storage.segment_s": 0.0, "taps.ptime_ms": len(text)}.get(name, text)
        with suppress(ValueError):
            form(value)


@pytest.mark.parametrize("pattern", ["{recording_id}", "{started:%Y/%m/%d}/{call_id}_{recording_id}"])
def test_a_name_may_make_folders(pattern: str) -> None:
    FORMS["storage.name"](pattern)


@pytest.mark.parametrize("pattern", ["{started:%Y}", "../{recording_id}", "{call}{recording_id}", "{"])
def test_c4_a_name_that_the_archive_could_not_use_is_refused_at_start(pattern: str) -> None:
    with pytest.raises(ValueError, match="a pattern that can name recordings"):
        FORMS["storage.name"](pattern)


@pytest.mark.parametrize(
    "text", ["1023-2000", "2000-1999", "2000-65536", "x", "2000-", "-2000", "1-2-3", "２０００-3000"]
)
def test_a_range_of_ports_is_two_ports_that_anybody_may_bind(text: str) -> None:
    with pytest.raises(ValueError, match="FIRST-LAST"):
        FORMS["media.ports"](text)


@pytest.mark.parametrize("text", ["203.0.113.5/24", "203.0.113", "host.example", ""])
def test_a_network_has_no_address_inside(text: str) -> None:
    with pytest.raises(ValueError, match="networks"):
        FORMS["media.allow"]((text,))


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "12", 12),
        (float, "0.5", 0.5),
        (bool, "true", True),
        (bool, "0", False),
        (str, "12", "12"),
        (tuple[str, ...], "a, b,", ("a", "b")),
        (tuple[str, ...], "", ()),
    ],
)
def test_text_is_read_as_what_the_key_holds(annotation: Any, text: str, value: object) -> None:
    assert value_of("some.key", annotation, text, text=True) == value


def test_text_in_a_file_is_text() -> None:
    with pytest.raises(ValueError, match="an integer"):
        value_of("some.key", int, "12")


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[int, Meta(ge=1, le=2)], "an integer from 1 to 2"),
        (int, "an integer"),
        (Annotated[float, Meta(ge=0, le=0.5)] | None, "a number from 0 to 0.5"),
        (bool | None, "true or false"),
        (Literal["b", "a"], 'one of "a", "b"'),
        (tuple[dict[str, Any], ...], "a list, each a table"),
    ],
)
def test_a_type_in_words(annotation: Any, words: str) -> None:
    assert in_words(annotation) == words


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("relay.signalwire.com", "wss://relay.signalwire.com"),
        ("space.signalwire.com:443", "wss://space.signalwire.com:443"),
        ("wss://relay.example", "wss://relay.example"),
        ("ws://127.0.0.1:8090", "ws://127.0.0.1:8090"),
        ("ws://[::1]:8090", "ws://[::1]:8090"),
        ("ws://localhost:8090", "ws://localhost:8090"),
    ],
)
def test_a_relay_is_a_host(text: str, url: str) -> None:
    assert relay_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "ws://relay.signalwire.com", "http://x", "x/y", "user@x", "x?y", "x#y", "", "a b", "ws://10.0.0.1", "x:99999",
        "[::1", "wss://u:p@x",
    ],
)  # fmt: skip
def test_d9_a_token_never_goes_over_a_plain_socket_to_another_host_and_only_to_a_host(text: str) -> None:
    with pytest.raises(ValueError, match=r"^HOST\[:PORT\]"):
        relay_url(text)
