"""A telephone network in a box: a switch, callers, bad weather, and the proof that a recording holds what was sent.

    sound       what callers say: every sample tells whose it is and which one; locate finds it again
    weather     what senders and networks do to packets, from a seed; forecast knows weathers by name
    plan        who sends what to whom, as structs and JSON
    sender      sends a plan in real time; rush does it lean, for thousands of taps; process, in a process of its own
                (doors: addresses, outbox: sendmmsg, pace: deadlines, lines: pipes, sealing: SRTP)
    senderlog   what the kernel took, in order
    switch      a RELAY switch in a box, whose taps send what ``sender`` sends; application: one that calls and taps
    proof       reads the audio, its sidecar and that log, and nothing else (evidence: audio against sidecar; judge: a
                channel against a log; places: where packets lie; tally: counters)

Shipped, so that users can test their own host. Nobody but the command line and the tests imports this room.
"""
