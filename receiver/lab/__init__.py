"""A telephone network in a box: callers, bad weather, and the proof that a recording holds what was sent.

``sound`` is what callers say: every sample tells whose it is and which one. ``weather`` does to their packets what
networks and senders do, from a seed; ``forecast`` knows weathers by name. ``plan`` says who sends what to whom;
``sender`` sends it in real time, ``rush`` sends the same to thousands of taps, ``process`` runs either in a process
of its own. The sender's log (``senderlog``) tells what the kernel took. ``proof`` reads only the audio, its sidecar
and that log.

Shipped, so that users can test their own host. Nobody but the command line and the tests imports this room.
"""
