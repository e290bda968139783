"""Who is being recorded. ``taps`` is the life of one tap, ``roster`` all that live, ``stock`` what a start finds.

Decisions are made here, on messages and times that come in as arguments; sockets are bound by ``net.ports``, workers
kept by ``crew``, and both are handed in by ``daemon``. This room touches no sample, no packet and no file.
"""
