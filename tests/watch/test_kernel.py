"""What the kernel threw away."""

from receiver.watch.kernel import kernel_drops, rcvbuf_errors


def test_the_kernels_drops_are_read_in_both_its_ways_of_writing() -> None:
    old = "Ip: Forwarding\nIp: 1\nUdp: InErrors RcvbufErrors\nUdp: 2 7\nUdpLite: RcvbufErrors\nUdpLite: 99\n"
    new = "Ip6InReceives 5\nUdp6InErrors 3\nUdp6RcvbufErrors                 4\nUdpLite6RcvbufErrors 99\n"
    assert (rcvbuf_errors(old), rcvbuf_errors(new), rcvbuf_errors("")) == (7, 4, 0)
    assert kernel_drops() >= 0
