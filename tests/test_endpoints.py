"""Where a daemon listens, and where it is found."""

import pytest

from receiver.endpoints import Door, Source, door, endpoint, source, url_of


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[::1]:65535", "::1", 65535),
        ("localhost:80", "localhost", 80),
    ],
)
def test_an_endpoint_is_address_and_port(text: str, host: str, port: int) -> None:
    assert endpoint(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8٠", "::1:80", "[::1]",
     "[127.0.0.1]:80", "[[::1]]:80", "example.com:80"],
)  # fmt: skip
def test_anything_else_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match="ADDRESS:PORT"):
        endpoint(text)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("0.0.0.0:81", "http://127.0.0.1:81"),
        ("[::]:81", "http://[::1]:81"),
        ("[::1]:81", "http://[::1]:81"),
        ("localhost:81", "http://localhost:81"),
        ("203.0.113.5:81", "http://203.0.113.5:81"),
    ],
)
def test_a_daemon_that_listens_everywhere_is_also_here(listen: str, url: str) -> None:
    assert url_of(*endpoint(listen)) == url
    host, port = endpoint(url.removeprefix("http://"))
    assert door(url) == Door(False, host, port, "")


def test_a_url_may_name_a_folder_and_leave_out_the_port() -> None:
    assert door("https://media.example.com/below/") == Door(True, "media.example.com", 443, "/below")
    assert door("http://media.example.com") == Door(False, "media.example.com", 80, "")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ftp://x", "http://", "http://x:y", "http://x:65536", "http://[x"]
)
def test_anything_else_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"^something like http://127\.0\.0\.1:8080$"):
        door(url)


@pytest.mark.parametrize(
    ("text", "policy", "announced"),
    [
        ("any", "any", None),
        ("192.0.2.7", "address", ("192.0.2.7", 0)),
        ("192.0.2.7:4000", "exact", ("192.0.2.7", 4000)),
        ("2001:db8::7", "address", ("2001:db8::7", 0)),
        ("[2001:db8::7]:4000", "exact", ("2001:db8::7", 4000)),
    ],
)
def test_a_sender_is_anybody_an_address_or_an_address_and_a_port(
    text: str, policy: str, announced: tuple[str, int] | None
) -> None:
    assert source(text) == Source(policy, announced)


@pytest.mark.parametrize("text", ["", "x", "192.0.2.7:", "192.0.2.7:0", "2001:db8::7:4000x", "host.example:4000"])
def test_who_is_no_sender_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r'"address", "address:port" or "any"'):
        source(text)
