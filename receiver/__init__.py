"""tapdeck: records call taps. Every sample at its true place in time, one WAV per tap, complete and described.

The floor plan. Data goes one way, nothing upstream knows a name from downstream:

    datagram ─▶ net ─▶ wire ─▶ media ─▶ archive ─▶ spool/ ─▶ ready/        (a media worker, one per core)
    caller ─▶ api ─▶ control ─▶ ledger;  link to the worker;  watch        (the control process)
    RELAY ⇄ control

    settings    TOML, environment, flags → frozen structs; the only file that speaks milliseconds.
                origins finds the values, forms says what one must look like, tables are [[record]] and [[hook]]
    endpoints   ADDRESS:PORT and URLs, read and written
    keys        SRTP keys as people write them (RFC 4568), and as they travel
    daemon      composition root of the control process: binds and keeps every socket and each worker's memory file
    crew        the workers as control sees them: started by exec, started again with the same descriptors
    worker      composition root of a media worker: the only one that knows net and media and archive. Never imports
                aiohttp, control or api
    decoder     a process that makes samples of Opus packets for a worker, and dies with it; the only one with PyAV
    importing   captures through the same pipeline into the same archive, in one thread; no net, no link, no loop
    link        the messages between the two; socketpair carries them
    net         the door: ports, pair, slab (recvmmsg), filter, tick. Knows no other room
    wire        what the octets mean. Pure: numpy only (SRTP: one file)
    media       what the sound is. Pure, leans on wire; its unit is the sample. All its state lies on one memory file
    archive     what stays on disk. Leans on media's Block, the laws of wire/g711 and numpy; every file call goes
                through archive/files, but for libsndfile's (archive/flac)
    ledger      what was asked and how it ended (SQLite)
    control     who is being recorded: taps, RELAY, the public Python API. Leans on link's messages, ledger and forms
    api         HTTP. Leans on control, ledger, watch and the sidecar's structs
    watch       counters, metrics, log, health. Leans on settings only
    lab         a telephone network in a box. May use all; only cli and tests import it
    cli         the commands, one file each; heavy imports inside the command

Pure rooms (wire, media) have no logger, no clock, no loop, no file: time comes in as an argument, tallies go out.
``spool/``, ``ready/`` and ``quarantine/`` are written by workers alone, the ledger by control alone. No file is longer
than 350 lines. ``tests/test_floor_plan.py`` holds all of this.

Where this plan left the first one, and why:

* ``daemon`` and ``worker`` are packages: a root that composes four rooms is several files if each file has one job.
* On the ring, time is contiguous; a **splice** says where frames go on and no sample came. So a hold of an hour needs
  neither room nor a copy, and a clock that stood still (rule A17) is one number, not samples that move
  (``media/timeline``).
* What a tap must still tell (epochs, streams that ended, sources) goes as a **note** through a bounded log on the
  memory to ``spool/<recording>.notes``, beside the patch log and like it (rule K8).
* A pause is a pair of instants in columns, and packets are judged by their arrival, so it does not matter when they are
  read. An order takes its way: what was read too early is erased again (ring, and part through the patch log) as far as
  it was sent after the instant; a resumption that is heard of late begins behind what was kept out (``media/pauses``).
* A tap is at a tick only if its socket was emptied: rule A18 clips arrivals to the previous tick, and what is left in a
  socket arrived before it (found by killing workers until a backlog formed: the clipping made epochs of it).
* What time alone decides (silence, the end of a probation, a segment's end) is decided by up to when all that came was
  read, not by the clock: of a socket that nobody read, while one worker after the other died or its ring was full,
  nobody knows how long it was silent (``worker/intake``; found by killing workers before a tap was told to them).
* Recovery says once more what lies in a file and no commit has told: a commit speaks only of files that are written,
  and a ring that none speaks of is never given back (rule K5).
* The turns in which a worker goes on with what lives (rule D7) come before the slab in hand is run, so it is put off
  from generation to generation till then (``net/table``; found by killing all processes under 200 calls).
* A payload may have 1,460 octets, what an Ethernet frame holds, not 1,280: ffmpeg's default packet is 1,460 and
  GStreamer's 1,388, and both would have been refused.
* What is awaited of the relay when its socket is back: it repeats what was missed, or says nothing. RELAY has no
  question for "does this tap still run?" that would not change it, so a tap that nothing is repeated of is ``doubtful``
  and silence counts again (``control/reconcile``). A tap that the platform speaks for by HTTP callbacks is borne like
  one whose socket is away, because a callback may get lost.
* Our own taps end on the relay first, then here: the recording is closed when the relay has stopped sending, or after
  two seconds. So the last packets are of the recording (``control/attendance``).
* ``play_tts`` returns when the text has been spoken, as the page's ``playTTS`` does (read in npm's source, seen in the
  tests with it): what follows it on the page is the hang-up.
* After a pause on a WebSocket the *end* of what comes lies at its arrival: TCP gives a stall's sound in one burst, and
  a stall is no pause (``control/wsframes``).
* A message to the service manager carries one name for all its descriptors, so it is one message a port ("200 a
  message" holds for one name only). Memory of another layout is not mapped; what is carried instead is columns by
  their names, with what the ring still held (``media/carry``): positions from spool are exact, probation costs nothing.
* The seat of a living tap is a column of the ledger: after a kill of the whole control process nothing else is there
  to ask. An older ledger is therefore brought up, not put aside (``ledger/schema``).
* SRTP: an index is judged by columns, key and octets alone, so libsrtp's contexts are caches that are walked to where
  they are needed (``wire/srtp``). The lowest index of the slab in hand follows from the slab when it is run again; it
  is no column. A packet that came before and comes again from its source is authenticated like any other, so that a
  forged copy does not even count as a duplicate. After an outage of more than half of the sequence numbers the next
  circles are tried, where the RFC's guess would never open a packet again (``media/indices``).
* A new epoch (rules A10, A11, A17) is anchored by the least transit of the last ten seconds, or by that which the epoch
  before was anchored by, where it is more: a line that began with a delayed packet lies late, and by its own envelope
  the delays of all epochs added up (found by laying recordings over wall time: 1.8 s after 60 changes).
* Rule A17's row of ten packets or 500 ms counts only while it does not fall: in a burst after a stall of five seconds
  more than ten packets lie above the envelope, each nearer to it than the one before.
* Opus packets are neither samples nor a queue: a row's octets lie beside its samples, at the address that the timestamp
  names, and the samples are marks (``media/packets``). Clock, sources, splices and cursors do not know. A decoder that
  begins anew hears 800 ms first: after the 80 ms of RFC 7845 up to half a second differed. One channel: a party is one,
  and libopus mixes down.
* A recording has channels, and each grows as a row of the ring with an axis of its own: those of its taps (stereo:
  two), then those that SSRCs have beside others (rule A12). ``archive/laying`` lays them beside each other at the
  finish, by their clocks (``archive/align``, ``archive/pace``), on one axis (``archive/axes``); where a long recording
  goes on in a next file all are cut at one moment (``media/cutting``).
* What one side of a stereo recording meets alone (silence, a refusal, the relay's ``finished``) ends that side, and its
  channel is silence; what is said of the recording (a stop, the call's end) ends both (``control/sides``).
* Drift is the slope below which a tenth of an epoch's ten-second windows lie, one for all epochs of a clock. The line
  below which none lies hangs on two windows where jitter seldom leaves the least delay alone; least squares follows a
  congested half hour (``archive/pace``).
* RTCP on port + 1 is read by polling once a second, and a word that a dying worker had read and not kept is lost: the
  sender says it again in some seconds (``worker/ears``).

The words: datagram · slab (the datagrams of one tick) · batch (the slab read as columns) · verdict · stream (one SSRC
from one source) · epoch (a run of one stream with one clock) · timeline (the ring) · playout (next sample to hand on) ·
edge (one past the newest) · horizon (how long a missing packet is waited for) · block (what one drain cuts off) · gap
(absent frames) · frame (one sample per channel in a file) · tap (somebody's sending to one port) · party (who speaks on
a channel) · channel (of a file) · part (one channel's growing file in spool) · recording (one WAV, or several in a row,
and one sidecar) · trust (how a source was admitted) · ending (why it ended) · outcome · ledger (ours) against sender's
log (what a test sender sent) · worker (ours) against job (downstream).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receiver.archive.check import check
    from receiver.control.call import Call
    from receiver.control.calls import Client, DialFailed
    from receiver.control.calltap import CallTap, TapRefused
    from receiver.control.devices import RtpDevice, WsDevice
    from receiver.control.errors import RelayAway, RelayDenied, RelayError

__version__ = "0.1.0"
__all__ = [
    "Call", "CallTap", "Client", "DialFailed", "RelayAway", "RelayDenied", "RelayError", "RtpDevice", "TapRefused",
    "WsDevice", "__version__", "check",
]  # fmt: skip

_HOME = {
    "Call": "receiver.control.call",
    "CallTap": "receiver.control.calltap",
    "Client": "receiver.control.calls",
    "DialFailed": "receiver.control.calls",
    "RelayAway": "receiver.control.errors",
    "RelayDenied": "receiver.control.errors",
    "RelayError": "receiver.control.errors",
    "RtpDevice": "receiver.control.devices",
    "TapRefused": "receiver.control.calltap",
    "WsDevice": "receiver.control.devices",
    "check": "receiver.archive.check",
}


def __getattr__(name: str) -> Any:
    """Load a name of the public API on first use (PEP 562): ``import receiver`` alone stays under 0.1 s."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
