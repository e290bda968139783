"""The door: ports that are bound and kept, the slab that datagrams are received into, the filter, the tick.

``ports`` and ``pair`` are the control process's; all else belongs to the media worker. Nothing here knows what a
datagram means.
"""
