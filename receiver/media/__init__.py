"""What the sound is. Pure: no clock, no loop, no logger, no socket, no file; inside, a plain number is samples.

``columns`` draws the records, ``state`` lays them on the memory that outlives a worker, ``pipeline`` tells the story of
one slab from top to bottom; ``sources`` says who may be heard, ``clock`` where in time a packet belongs, ``streams`` counts,
``timeline`` keeps the samples, ``drain`` cuts off what is ready, ``journal`` holds what must still reach a file.
"""
