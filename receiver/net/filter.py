"""The kernel drops strangers: a classic BPF program on the socket (rule B4).

The program sees the datagram from its UDP header on; the IP header is reached at ``NETWORK`` (linux/filter.h,
SKF_NET_OFF). A socket of IPv6 may receive both versions, so there the IP version is asked first. What queued before the
filter was attached is still delivered: media checks the source again.
"""

import contextlib
import ctypes
import ipaddress
import os
import socket
import struct
from collections.abc import Iterable
from typing import Final

SO_ATTACH_FILTER: Final = 26
SO_DETACH_FILTER: Final = 27

_NETWORK: Final = 0xFFF0_0000
_LOAD_WORD, _LOAD_HALF, _LOAD_OCTET = 0x20, 0x28, 0x30
_AND, _SHIFT_RIGHT, _IF_EQUAL, _RETURN = 0x54, 0x74, 0x15, 0x06
_WHOLE_DATAGRAM: Final = 0xFFFF_FFFF

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Instruction = tuple[int, int, int, int]
"""Code, how many to skip if true, if false, operand (struct sock_filter)."""


def attach(fd: int, family: int, source_ip: str, source_port: int | None) -> None:
    """Let through only what comes from ``source_ip`` and, unless None, ``source_port``; replaces the filter before.

    ``family`` is the socket's, AF_INET or AF_INET6. Raises ValueError for a text that is no address, OSError.
    """
    _install(fd, _program(family, [(ipaddress.ip_network(_plain(source_ip)), source_port)]))


def attach_networks(fd: int, family: int, networks: Iterable[str]) -> None:
    """Let through only what comes from one of ``networks`` (addresses, or with a prefix length: ``10.0.0.0/8``)."""
    _install(fd, _program(family, [(ipaddress.ip_network(_plain(network)), None) for network in networks]))


def detach(fd: int) -> None:
    """Let everything through again; no filter is no error."""
    with _borrowed(fd) as borrowed, contextlib.suppress(FileNotFoundError):
        borrowed.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def _plain(source: str) -> str:
    """Return the IPv4 address that an address like ``::ffff:192.0.2.1`` carries; any other text as it is."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(source)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            return str(address.ipv4_mapped)
    return source


def _program(family: int, sources: list[tuple[_Network, int | None]]) -> list[_Instruction]:
    """One block of tests per source; a test that fails skips to the next block, the end of a block lets through."""
    program: list[_Instruction] = []
    for network, port in sources:
        if family == socket.AF_INET and network.version == 6:
            continue
        tests = _version_test(network.version) if family == socket.AF_INET6 else []
        tests += _address_tests(network)
        if port is not None:
            tests += [(_LOAD_HALF, 0, 0, 0), (_IF_EQUAL, 0, 0, port)]
        end = len(tests) + 1
        for at, (code, _, _, operand) in enumerate(tests):
            program.append((code, 0, end - at - 1 if code == _IF_EQUAL else 0, operand))
        program.append((_RETURN, 0, 0, _WHOLE_DATAGRAM))
    return [*program, (_RETURN, 0, 0, 0)]


def _version_test(version: int) -> list[_Instruction]:
    return [(_LOAD_OCTET, 0, 0, _NETWORK), (_SHIFT_RIGHT, 0, 0, 4), (_IF_EQUAL, 0, 0, version)]


def _address_tests(network: _Network) -> list[_Instruction]:
    """Compare the source address (RFC 791: octet 12; RFC 8200: octet 8) word by word, as far as the prefix reaches."""
    first = 12 if network.version == 4 else 8
    address, mask = network.network_address.packed, network.netmask.packed
    tests: list[_Instruction] = []
    for at in range(0, len(address), 4):
        word, wanted = struct.unpack_from("!L", address, at)[0], struct.unpack_from("!L", mask, at)[0]
        if wanted:
            tests.append((_LOAD_WORD, 0, 0, _NETWORK + first + at))
            if wanted != 0xFFFF_FFFF:
                tests.append((_AND, 0, 0, wanted))
            tests.append((_IF_EQUAL, 0, 0, word))
    return tests


def _install(fd: int, program: list[_Instruction]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBL", *instruction) for instruction in program))
    with _borrowed(fd) as borrowed:
        sock_fprog = struct.pack("@HP", len(program), ctypes.addressof(code))
        borrowed.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, sock_fprog)


def _borrowed(fd: int) -> socket.socket:
    """A second descriptor of the same socket, to be closed."""
    return socket.socket(fileno=os.dup(fd))
