"""A slab on a memory file, and sockets on loopback whose datagrams have really arrived before anybody asks."""

import mmap
import os
import select
import socket
from collections.abc import Callable, Iterator

import pytest

from receiver.net.slab import PlainSlab, Slab, slab_octets
from receiver.net.table import SO_TIMESTAMPNS

AnySlab = Slab | PlainSlab
ROWS = 100


@pytest.fixture
def ipv6() -> None:
    """Skips where no socket can be bound to ``::1``."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as trial:
            trial.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on loopback here; sysctl -w net.ipv6.conf.lo.disable_ipv6=0 gives it")


@pytest.fixture
def memory_file() -> Iterator[int]:
    """A memory file that holds one slab of ``ROWS`` rows."""
    fd = os.memfd_create("slab")
    os.posix_fallocate(fd, 0, slab_octets(ROWS))
    yield fd
    os.close(fd)


@pytest.fixture(params=[Slab, PlainSlab])
def slab_class(request: pytest.FixtureRequest) -> type[AnySlab]:
    """With recvmmsg, and without."""
    made: type[AnySlab] = request.param
    return made


@pytest.fixture
def slab(slab_class: type[AnySlab], memory_file: int) -> AnySlab:
    """An empty slab of generation 1."""
    made = slab_class(mmap.mmap(memory_file, slab_octets(ROWS)), ROWS)
    made.point()
    made.begin(1)
    return made


@pytest.fixture
def bind(request: pytest.FixtureRequest) -> Iterator[Callable[..., socket.socket]]:
    """Make UDP sockets on a free port; they are closed in the end."""
    made: list[socket.socket] = []

    def bind(address: str = "127.0.0.1", stamped: bool = True) -> socket.socket:
        if ":" in address:
            request.getfixturevalue("ipv6")
        bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        made.append(bound)
        if bound.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, int(stamped))
        bound.setblocking(False)
        bound.bind((address, 0))
        return bound

    yield bind
    for bound in made:
        bound.close()


@pytest.fixture
def receive(slab: AnySlab) -> Callable[..., int]:
    """Fill the slab until so many datagrams have come."""

    def receive(bound: socket.socket, count: int, tap: int = 0, most: int = 64) -> int:
        got = 0
        while got < count:
            assert select.select([bound], [], [], 10)[0], f"{count - got} datagrams did not come"
            got += slab.fill(bound.fileno(), tap, most)
        return got

    return receive
