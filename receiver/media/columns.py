"""The records of the media path, drawn once as types. Row *i* of every column speaks of the same thing.

Three tables, and one beside them (`CONTEXT`): a **tap** is a port that somebody sends to; a **stream** is one SSRC
from one source (RFC 3550); a **row** is a ring of samples, the timeline that streams write into and that becomes one
channel's part. A tap has one row that is drained; a stream on probation has a row of its own. Positions are samples on
a row's ring and never jump; the *frame* of a position in the part is ``position + shift``, and the shift grows at a
*splice*, where time went on and no sample came (rules A7, A10, A11, A17).

What must survive a worker is a column here, or can be derived from the parts (rule K8). What the ordinary path does
not look at lies beside it in tables of its own, the **asides** of taps and streams: records are copied whole with each
turn, and how far apart they lie is most of what they cost.
"""

import numpy as np

from receiver.media.notes import NoteKind as NoteKind
from receiver.media.standing import Flaw as Flaw
from receiver.media.standing import Policy as Policy
from receiver.media.standing import Role as Role
from receiver.media.standing import TapState as TapState
from receiver.media.standing import Trust as Trust

CLOCK_RATE = 8_000
NS_PER_SAMPLE = 1_000_000_000 // CLOCK_RATE
LONGEST_PACKET = 1_460
SEEN_WORDS = 16  # words of 64 sequence numbers: duplicates are told apart over the last 1,024 (rule K3)
ENVELOPE_SECONDS = 10  # rule A17: lower envelope = smallest transit of the last 10 s
PROBATION_PACKETS = 8  # the longest proof that a policy asks for (rule B5)
SPLICES = 12  # on one row at a time between cleared and edge; at most 8 epochs a minute (rule A11) and a few pauses
CONTEXT_SOURCES = 4  # SSRCs whose packet index a tap with a key remembers: the live one, the one before, candidates
VERDICTS = 32  # room for every wire.rtp.Verdict
KEYS = 4  # of a stream that are remembered (rule A8)
HOLES = 6  # of a stream that are remembered until their numbers are there (rule A7)
TURNS = 16  # of a tap that are remembered for packets that wait in its socket: instants of pause and resume in turn
PAUSES = TURNS // 2
EARLIER_LINES = 3  # lines of a stream's clock that are remembered beside the present one, for packets under way
FAR = np.int64(1) << 60  # larger than any transit


ADDRESS = np.dtype([("high", "u8"), ("low", "u8"), ("port", "u2")], align=True)
"""An IPv6 address as two words, IPv4 as ::ffff:a.b.c.d, and a port; port 0 is any port."""

STATISTICS = np.dtype(
    [
        ("packets", "i8"),
        ("duplicate", "i8"),
        ("reordered", "i8"),
        ("late", "i8"),
        ("late_lost", "i8"),
        ("invalid", "i8"),
        ("base_sequence", "i8"),  # lowest extended sequence number
        ("highest_sequence", "i8"),  # RFC 3550 A.1
        ("jitter", "f8"),  # samples, RFC 3550 A.8
        ("jitter_max", "f8"),
        ("jitter_sum", "f8"),  # over every speech packet after the first: mean = sum / timed
        ("timed", "i8"),
    ],
    align=True,
)

TAP = np.dtype(
    [
        ("recording", "S36"),
        ("state", "u1"),
        ("policy", "u1"),
        ("trust", "u1"),
        ("ending", "u1"),
        ("flaws", "u4"),
        ("announced", ADDRESS),
        ("source", ADDRESS),  # latched
        ("stream", "i4"),  # the live one, -1 before the latch
        ("row", "i4"),
        ("turns", "i4"),  # how often it was paused or resumed: an odd number is a paused tap
        ("port", "u2"),
        ("moves", "u4"),  # latches after the first
        ("answered_ns", "i8"),  # monotonic; reading began
        ("ticked_ns", "i8"),  # monotonic; the socket was last read (rule A18)
        ("heard_ns", "i8"),  # monotonic; last packet of the latched source, 0 never
        ("asked_ns", "i8"),
        ("first_ns", "i8"),  # monotonic arrival of the first admitted packet, 0 never
        ("first_wall_ns", "i8"),  # the same on the wall clock
        ("notes", "i8"),  # records in the notes file
        ("epochs", "i8"),
        ("epoch_window_ns", "i8"),  # start of the minute that is being counted (rule A11)
        ("epoch_count", "i4"),
        ("stretch_frame", "i8"),  # up to where its notes of silence are accounted for
        ("segment", "i4"),  # rule C7
        ("segment_frame", "i8"),
        ("segment_before", "i8"),  # where the segment before it began
        ("buried", STATISTICS),  # sums of the streams whose own record is free again
        ("verdicts", "i8", (VERDICTS,)),
        ("channel", "i4"),  # of the recording, which may have others from other taps
        ("further", "i4"),  # rows beside its own that became channels (rule A12)
        ("suite", "u1"),  # wire.srtp.Suite; 0: plain RTP
        ("opus", "u1"),  # the payload type that was announced for Opus; 0: a tap of G.711
    ],
    align=True,
)

TAP_ASIDE = np.dtype(
    [
        ("turned_ns", "i8", (TURNS,)),  # monotonic; turn n of `turns` lies at n modulo `TURNS`
        ("turned_wall_ns", "i8", (TURNS,)),
        ("pause_frame", "i8", (PAUSES,)),  # what pause n left absent, at n modulo `PAUSES`
        ("pause_end", "i8", (PAUSES,)),  # FAR: it goes on
        ("unknown_types", "u8", (2,)),  # bits of payload types that its source sent and nobody announced
        ("stereo", "i8"),  # Opus packets of two channels
    ],
    align=True,
)
"""More of a tap, off the ordinary path."""
INDEX = np.dtype(
    [
        ("ssrc", "u4"),
        ("heard_ns", "i8"),  # monotonic arrival of the newest packet with a right tag; 0: nobody's place
        ("index", "i8"),  # the highest (RFC 3711, section 3.3.1)
        ("seen", "u8", (SEEN_WORDS,)),  # bit k: the index k below the highest came
        ("source", ADDRESS),
        ("source_ns", "i8"),  # the newest packet from there
    ],
    align=True,
)

CONTEXT = np.dtype([("indices", INDEX, (CONTEXT_SOURCES,))], align=True)
"""What a tap with a key knows of its senders' packet indices. A table of its own: plain taps have it and never touch
it."""

LINE = np.dtype(
    [
        ("sequence", "i8"),  # its first packet
        ("last_sequence", "i8"),  # its highest when the next line began
        ("last_timestamp", "i8"),
        ("offset", "i8"),
        ("end", "i8"),  # no position of it reaches beyond this
        ("next_begin", "i8"),  # no position of the line that followed lies before this
    ],
    align=True,
)
"""A run of a stream's clock that is over: ``position = timestamp + offset`` held from ``sequence`` on."""

HOLE = np.dtype(
    [
        ("low", "i8"),  # sequence number of the speech before
        ("high", "i8"),  # of the speech behind; equal: no hole
        ("begin", "i8"),  # positions
        ("end", "i8"),
        ("solid", "i8"),  # all numbers from low to this one came
        ("noted", "i8"),  # 1: it is told, or never will be
    ],
    align=True,
)
"""Time between two neighbouring packets of speech (rule A7)."""

KEY = np.dtype(
    [
        ("timestamp", "i8"),  # widened, its start
        ("frame", "i8"),
        ("event", "i8"),
        ("duration", "i8"),
        ("state", "i8"),  # 0 none, 1 open, 2 ended, 3 told
        ("born_ns", "i8"),  # arrival of its first packet
        ("heard_ns", "i8"),  # of its last
    ],
    align=True,
)
"""A key that was pressed (rule A8)."""

STREAM = np.dtype(
    [
        ("role", "u1"),
        ("law", "u1"),
        ("opus", "u1"),  # as its tap's: its RTP clock has six ticks in a sample of the ring
        ("laws", "u1"),  # rule A14: bits of all that came, 1 PCMU, 2 PCMA
        ("tap", "i4"),
        ("row", "i4"),
        ("ssrc", "u4"),
        ("source", ADDRESS),
        ("born_ns", "i8"),
        ("born_wall_ns", "i8"),
        ("heard_ns", "i8"),
        ("statistics", STATISTICS),
        ("timestamp", "i8"),  # widened, of the packet with the highest sequence number
        ("arrival_ns", "i8"),  # of the same packet
        ("step", "i8"),  # samples of that packet
        ("watch", "i8"),  # packets with a number below it may part a hole (rule A7)
        ("longest", "i8"),  # samples of the longest packet so far
        ("offset", "i8"),  # position = timestamp + offset on the present line
        ("line_sequence", "i8"),  # first packet of the present line; FAR: no speech came yet, there is no line
        ("line_timestamp", "i8"),
        ("earlier", LINE, (EARLIER_LINES,)),  # the latest first
        ("turns", "i8"),  # how many lines were left behind
        ("begin", "i8"),  # positions below it belong to the stream before
        ("limit", "i8"),  # PAST only: positions from here on belong to the stream that took over
        ("transit", "f8"),  # of the last speech packet, samples; NaN before (zero is not "unset")
        ("envelope", "i8", (ENVELOPE_SECONDS,)),  # least transit of each of the last seconds that had packets
        ("envelope_at", "i8"),
        ("envelope_second", "i8"),
        ("run_packets", "i8"),  # rule A17: packets in a row far above the envelope
        ("run_position", "i8"),
        ("run_first", "i8"),  # position of the first of them to arrive
        ("run_transit", "i8"),
        ("run_arrival_ns", "i8"),
        ("proof_sequence", "i8", (PROBATION_PACKETS,)),
        ("proof_timestamp", "i8", (PROBATION_PACKETS,)),
        ("proof_arrival_ns", "i8", (PROBATION_PACKETS,)),
        ("proofs", "i4"),
        ("seen", "u8", (SEEN_WORDS,)),
        ("pace_window", "i8"),  # rule A15: which ten seconds since its birth are under way
        ("pace_frame", "i8"),  # of the least delayed packet in them
        ("pace_arrival_ns", "i8"),  # 0: none yet
        ("report_wall_ns", "i8"),  # rule A13: what the last sender report said, 0: the sender has no wall clock
        ("report_timestamp", "u4"),
        ("reports", "u4"),
        ("name_crc", "u4"),  # of its canonical name
        ("names", "u1"),  # how often that was another one
        ("gone", "u1"),  # 1: it has said goodbye
    ],
    align=True,
)

STREAM_ASIDE = np.dtype(
    [
        ("held", "i8"),  # 1: behind the newest speech came packets that are none
        ("held_sequence", "i8"),
        ("held_end", "i8"),
        ("held_solid", "i8"),
        ("keys", KEY, (KEYS,)),
        ("key_ns", "i8"),  # arrival of the last packet that tells a key or noise, 0 never
        ("note_ns", "i8"),  # up to when its notes of both are accounted for
        ("withheld", "i8"),  # widened timestamp of the newest key that is none of the recording (a pause)
        ("withheld_ns", "i8"),  # arrival of its last packet, 0 never
        ("noise_known", "i8"),
        ("noise_frame", "i8"),
        ("noise_level", "i8"),  # dBov, of the newest comfort noise
        ("holes", HOLE, (HOLES,)),  # the latest first
    ],
    align=True,
)
"""More of a stream, off the ordinary path: it is read packet by packet where one of these changes."""

ROW = np.dtype(
    [
        ("tap", "i4"),  # -1: free
        ("playout", "i8"),  # next sample to hand on
        ("edge", "i8"),  # one past the newest
        ("low", "i8"),  # the earliest present sample, FAR: none; before the first splice, so it is a frame as well
        ("freed", "i8"),  # what `cleared` was when the last turn ended: a turn that is run again decides by the same
        ("floor", "i8"),  # positions below it have no frame any more
        ("shift", "i8"),  # frame = position + shift, below the first splice
        ("splices", "i4"),
        ("splice_at", "i8", (SPLICES,)),
        ("splice_shift", "i8", (SPLICES,)),
        ("transit", "i8"),  # least transit of the last stream that was retired from it
        ("anchor_ns", "i8"),  # monotonic arrival of the first packet, whose position is the horizon (rule A2)
        ("anchor_wall_ns", "i8"),
        ("further", "i4"),  # rule A12: which channel of its tap it is beside the tap's own row; 0: that, or probation
        ("stream", "i4"),  # of a further one: the latest stream
        ("segment_frame", "i8"),  # of a further one, as the tap's (rule C7)
        ("segment_before", "i8"),
        ("reference", "i8"),  # arrival − frame, samples, of the least delayed packet at the last epoch's beginning
        ("packed", "u1"),  # 1: its octets are those of Opus packets, its samples only marks (`media.packets`)
    ],
    align=True,
)

WORLD = np.dtype(
    [
        ("patches", "i8"),  # records ever put into the patch log
        ("notes", "i8"),
        ("clock_offset_ns", "i8"),  # realtime - monotonic at the last tick (rule A18)
        ("clock_changes", "i8"),
        ("set_aside", "i8"),
        ("given_back", "i8"),  # rule K5: rooms given back at `written` because a commit was late
        ("patch_full", "i8"),
        ("verdicts", "i8", (VERDICTS,)),
        ("opus", "i8"),  # taps of Opus that ever were: while there was none, nobody looks for their packets
    ],
    align=True,
)
_SAMPLES = ("samples", "i2", (LONGEST_PACKET,))
PATCH = np.dtype([("tap", "i4"), ("count", "i4"), ("frame", "i8"), _SAMPLES, ("further", "i4")], align=True)
"""One packet that came after its block was cut off (rule K6)."""

NOTE = np.dtype(
    [
        ("kind", "u1"),
        ("reason", "u1"),
        ("law", "u1"),
        ("trust", "u1"),
        ("value", "i2"),  # the key, or the level of noise in dBov
        ("laws", "u1"),  # its stream's until then: epochs and buried streams
        ("channel", "i4"),
        ("ssrc", "u4"),
        ("frame", "i8"),
        ("frames", "i8"),
        ("timestamp", "i8"),
        ("wall_ns", "i8"),
        ("source", ADDRESS),
        ("statistics", STATISTICS),
        ("arrival_ns", "i8"),  # monotonic, of the packet at ``frame``: epochs and paces
        ("text", "S64"),  # a canonical name, UTF-8
    ],
    align=True,
)

NOTE_SLOT = np.dtype([("tap", "i4"), ("index", "i8"), ("note", NOTE)], align=True)
