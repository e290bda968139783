"""What stays on disk: from blocks of samples to two final names in ``ready/``.

Promises (P3, P4), in the order in which the files keep them:

1. A tap is asked for only after its draft and its part are durable (rule C1: ``part.begin``).
2. A sample leaves the ring only after a commit has returned that covers it (C2: ``writer``, ``commit``).
3. A name in ``ready/`` is complete, durable, checked and never written again; its sidecar comes last (C4: ``weave``,
   ``finish``, ``publish``).
4. Whatever is killed at whatever instant, doing it again ends with the same names, once (``finish``, ``repair``: C5).

The spool tells the state of a recording by names alone, so that anybody may go on where a dead process stopped::

    <id>.draft                          asked for                  (C1)
    <id>.<channel>.<segment>.<first>.part   its sound so far, absence kept
    <id>.notes                          what the worker wants to survive a power cut beside the sound
    <id>.<segment>.segment              this file of a long recording is woven and described (C7)
    <id>.<segment>.wav                  woven, on its way to ready/ (by this name in every encoding)
    <id>.json                           the final sidecar: nothing will be woven any more, only linked
    <id>.done                           the same, renamed: both names are in ready/; kept until ``finish.forget``
    commits-<worker>.log                how many octets of each part are known to be durable (C2)
    reserve                             space that is given up when the disk is full (C6)
    notes.msgpack                       how the notes are laid out, for a version that lays them out otherwise
    positions-<worker>.msgpack          where the taps of a worker that left stand, until the next one goes on (D7)

Nothing here has a loop, a logger or a network; every call blocks and belongs into a thread of the worker's. Every call
of the operating system is in ``files.py``.
"""
