"""Where a datagram came from, as a value."""

import ipaddress
from typing import Any, NamedTuple


class Source(NamedTuple):
    """An address and a port, as in `ADDRESS`."""

    high: int
    low: int
    port: int

    @classmethod
    def of(cls, address: str, port: int) -> "Source":
        """From text; IPv4 becomes ::ffff:a.b.c.d. Raises ValueError for what is no address."""
        parsed = ipaddress.ip_address(address)
        number = int(parsed) | (0xFFFF << 32 if parsed.version == 4 else 0)
        return cls(number >> 64, number & 0xFFFF_FFFF_FFFF_FFFF, port)

    @classmethod
    def read(cls, record: Any) -> "Source":
        """From a record of type `ADDRESS`."""
        return cls(int(record["high"]), int(record["low"]), int(record["port"]))

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The address without the port."""
        whole = ipaddress.IPv6Address(self.high << 64 | self.low)
        return whole.ipv4_mapped or whole


NOWHERE = Source(0, 0, 0)
