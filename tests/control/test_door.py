"""A socket fails in one way, which tells whether what came over it was the reason."""

from receiver.control.door import SocketClosed


def test_a_fall_is_told_from_nonsense() -> None:
    assert not SocketClosed("the network is unreachable").nonsense
    assert SocketClosed("10 MB", nonsense=True).nonsense
    assert str(SocketClosed("why")) == "why"
