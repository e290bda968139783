"""Where a datagram came from, as a value."""

import ipaddress

import numpy as np
import pytest

from receiver.media.address import Source
from receiver.media.columns import ADDRESS


@pytest.mark.parametrize("text", ["192.0.2.7", "2001:db8::7", "::1", "255.255.255.255"])
def test_an_address_becomes_two_words_and_back(text: str) -> None:
    assert Source.of(text, 5).address == ipaddress.ip_address(text)


def test_ipv4_is_written_as_the_dual_stack_socket_gives_it() -> None:
    assert Source.of("192.0.2.7", 5) == Source.of("::ffff:192.0.2.7", 5) == Source(0, 0xFFFF_C000_0207, 5)


def test_it_goes_into_a_column_and_comes_out_again() -> None:
    column = np.zeros(1, ADDRESS)
    source = Source.of("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65_535)
    column[0] = tuple(source)
    assert Source.read(column[0]) == source


def test_a_name_is_no_address() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        Source.of("example.org", 5)
