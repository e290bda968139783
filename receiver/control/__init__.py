"""Who is being recorded: the life of each tap, and the relay that knows of calls.

    taps        the life of one tap: a table; means, roster: all that live; orders, booking, stock: worker and ledger
    rpc, relay  JSON-RPC and RELAY without a socket: text in, events and text out; words: what is said in it
    session     one session over any number of sockets (door, websocket: what a socket is; errors: how asking fails)
    calls       the public Python API: Client; call, calltap, devices: the rest of SignalWire's CallTap page
    attendance  joins the two: our own taps on the relay (reconcile: what a fallen socket means for them);
                answering: calls that are recorded by themselves; callbacks: what the platform tells by HTTP
    wsdevice    taps that come over a WebSocket (wsframes: bare octets become RTP)
    events      what happens, told to whoever listens (changes: where it is told; documents: what is said);
                hooks: the same, owed to programs and web servers until they take it

Decisions are made here, on messages and times that come in as arguments; sockets of taps are bound by ``net``, workers
kept by ``crew``, and both are handed in by ``daemon``. This room touches no sample and no file.
"""
