"""What the sound is. Pure: no clock, no loop, no logger, no socket, no file; inside, a plain number is samples.

``columns`` draws the records, ``state`` lays them on the memory that outlives a worker, ``pipeline`` tells the story of
one slab from top to bottom. ``sources`` says who is heard (``claims`` what that takes, ``proof`` whether it was shown,
``joining`` how a stream comes to a row, ``beside`` who lives beside whom, ``census`` who is where), ``clock`` where in
time a packet belongs (``lines`` what held before, ``pacing`` how the sender's clock keeps time), ``streams`` the same
for all that is in order, ``reporting`` what senders say of themselves; ``timeline`` keeps the samples, ``packets`` what
waits for a decoder; ``drain`` cuts off what is ready, ``cutting`` says where a next segment begins for all channels,
``journal`` holds what must still reach a file (``notes`` says of what kinds), ``taps`` opens and ends. Before all of it
``secured`` opens what comes for a tap with an SRTP key, by the packet ``indices`` that it knows.
"""
