"""Rule B6: which of the kernel's counters tells loss from rejection. In a network of its own, so that nobody counts."""

import subprocess
import sys

import pytest

from tests.tools import needs

INSIDE = """
import fcntl, pathlib, socket, struct, sys
from receiver.net import filter as kernel
from receiver.watch.kernel import kernel_drops

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:  # a new network's loopback is down
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
door, friend, stranger = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3))
for each in (door, friend, stranger):
    each.bind(("127.0.0.1", 0))
door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)

def dropped():  # SO_MEMINFO, SK_MEMINFO_DROPS
    return struct.unpack("9I", door.getsockopt(socket.SOL_SOCKET, 55, 36))[8]

before = kernel_drops()
kernel.attach(door.fileno(), socket.AF_INET, *friend.getsockname())
for _ in range(100):
    stranger.sendto(bytes(172), door.getsockname())
print("rejected", dropped(), kernel_drops() - before)
for _ in range(100):
    friend.sendto(bytes(172), door.getsockname())
held = 0
door.setblocking(False)
try:
    while door.recv(200):
        held += 1
except BlockingIOError:
    pass
print("lost", dropped() - 100 == 100 - held > 0, kernel_drops() - before == 100 - held)
"""


@pytest.mark.all
@needs("unshare")
def test_b6_a_full_buffer_is_loss_in_snmp_and_a_filter_raises_the_sockets_counter_alone() -> None:
    done = subprocess.run(
        ["unshare", "--net", "--map-root-user", sys.executable, "-c", INSIDE],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["rejected 100 0", "lost True True"]
