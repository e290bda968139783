"""Where a daemon listens and where it is found: ``ADDRESS:PORT`` and URLs. Pure, and quick to load."""

from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit


class Source(NamedTuple):
    """From where sound is admitted: a policy of rules B, and the sender's address (port 0: any port)."""

    policy: str
    announced: tuple[str, int] | None


def source(text: str) -> Source:
    """Read a sender: "any", an address, or address:port (IPv6 with a port in brackets). Raises ``ValueError``."""
    if text == "any":
        return Source("any", None)
    try:
        return Source("address", (str(ip_address(text.removeprefix("[").removesuffix("]"))), 0))
    except ValueError:
        pass
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535) or (":" in host) != bracketed:
            raise ValueError
        return Source("exact", (str(ip_address(host[1:-1] if bracketed else host)), int(port)))
    except ValueError:
        raise ValueError('"address", "address:port" or "any"') from None


class Door(NamedTuple):
    """What a URL says of a server. ``path``: in front of every route, without a slash at its end."""

    https: bool
    host: str
    port: int
    path: str


def endpoint(text: str) -> tuple[str, int]:
    """``127.0.0.1:8080``, ``[::1]:8080``, ``localhost:0`` → host, port."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    try:
        number = int(port) if port.isascii() and port.isdigit() else -1
        if not colon or not 0 <= number <= 65_535 or (":" in host) != bracketed:
            raise ValueError
        if host != "localhost":
            ip_address(host)
    except ValueError:
        raise ValueError("ADDRESS:PORT, like 127.0.0.1:8080 or [::1]:8080") from None
    return host, number


def url_of(host: str, port: int) -> str:
    """Where this host finds a daemon that listens there: one that listens everywhere is also here."""
    if host != "localhost" and ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def door(url: str) -> Door:
    """``https://media.example.com/below/`` → its parts."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise ValueError("something like http://127.0.0.1:8080") from None
    return Door(parts.scheme == "https", parts.hostname, port, parts.path.rstrip("/"))


def unheard_by_the_relay(advertised: str | None, bind: str) -> str | None:
    """What is wrong with the address that the relay shall send to: it sends to IPv4 only. None: nothing."""
    if advertised is not None and ":" not in advertised:
        return None
    found = advertised or f"none, and media.bind {bind} is all addresses"
    return f"media.advertise: expected the IPv4 address that the relay shall send to; found {found}"
