"""A switch in a box: a RELAY simulator that the vendor's own SDKs take for real, to try and test everything without an
account.

``exchange`` is the switch without a socket (text in, text out, the loop's time), ``legs`` one socket's side of it,
``parties`` what it knows of sessions, calls and taps, ``faults`` what may go wrong, ``sounds`` what taps send,
``server`` the sockets and the side door, ``process`` a switch as a child. It was written from the protocol's
description, not from our client, and is held against both SDKs by ``tests/sdk``.

Numbers that may be dialled: what ends in 0486 is busy, 0480 does not answer, 0603 declines, 0404 is refused at once;
all others answer after a short ring.
"""
