"""What the octets mean. Pure: columns in, columns out; no socket, no clock, no loop, no log.

``rtp`` reads a slab of datagrams as columns and gives each a verdict; ``g711`` turns codes into samples and back;
``opus`` says how long a packet sounds; ``serial`` widens numbers that wrap; ``srtp`` opens what is sealed.
"""
