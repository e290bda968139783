"""Captures through the engine of the media worker: the same pipeline, the same archive, no socket and no clock.

The file is read twice. ``flows`` finds out who sent RTP to whom, in which of a capture's datagrams; then ``course``
feeds what is RTP to ``engine`` in slabs, as the door of a worker would, with the capture's stamps for arrival times
(``stamps``). All of that happens in one thread, one thing after the other: who imports waits for it, and can do it
again. Only what is over is brought to ``ready/`` beside it.
"""
