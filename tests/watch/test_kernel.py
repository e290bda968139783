"""What the kernel threw away."""

import socket

from receiver.watch.kernel import drops_in, kernel_drops


def test_the_kernels_drops_are_read_in_both_its_ways_of_writing() -> None:
    old = "Ip: Forwarding\nIp: 1\nUdp: InErrors RcvbufErrors\nUdp: 2 7\nUdpLite: RcvbufErrors\nUdpLite: 99\n"
    new = "Ip6InReceives 5\nUdp6InErrors 3\nUdp6RcvbufErrors                 4\nUdpLite6RcvbufErrors 99\n"
    assert (drops_in(old), drops_in(new), drops_in("")) == (7, 4, 0)


def test_b6_what_all_sockets_together_had_no_memory_for_is_a_drop_too() -> None:
    old = "Udp: InErrors RcvbufErrors SndbufErrors MemErrors\nUdp: 12 7 99 3\n"
    new = "Udp6RcvbufErrors 4\nUdp6SndbufErrors 99\nUdp6MemErrors 2\n"
    assert (drops_in(old), drops_in(new)) == (10, 6)


def test_a_socket_whose_buffer_is_full_raises_them() -> None:
    before = kernel_drops()
    with socket.socket(type=socket.SOCK_DGRAM) as full, socket.socket(type=socket.SOCK_DGRAM) as sender:
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        full.bind(("127.0.0.1", 0))
        for _ in range(100):
            sender.sendto(bytes(172), full.getsockname())
    assert kernel_drops() > before + 50
