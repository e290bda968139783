"""All state of the media path on one buffer: what a worker leaves behind when it is killed, the next one takes up.

The columns exist twice (rule K3). ``now`` is the copy that may be written; it equals the live copy when a turn begins.
``commit`` raises one 8-byte generation number, and with that the written copy is the live one; then the other copy is
brought up to date with what this turn touched. A worker that dies in a turn has changed nothing but ``now``, the ring
(where placing twice is placing once) and logs beyond their committed heads.

The four cursors of a row (rule K4), ``cleared <= committed <= written <= playout``: ``playout`` is in the generation,
the others are single numbers with one writer each. A turn decides by the column ``freed``, which is ``cleared`` as it
was when the last turn ended: so it decides the same when it is run again. Nothing here opens, maps or allocates: the
buffer is an argument.
"""

import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receiver.media import columns
from receiver.media.columns import LONGEST_PACKET

MAGIC = b"TAPDECK\0"
MEANING = 1  # to be raised when a column comes to mean something else; where it lies is told by the types themselves
PAGE = 4_096

_TABLES = (
    columns.TAP, columns.STREAM, columns.ROW, columns.WORLD, columns.PATCH, columns.NOTE_SLOT, columns.TAP_ASIDE,
    columns.STREAM_ASIDE, columns.CONTEXT,
)  # fmt: skip
LAYOUT = MEANING << 32 | zlib.crc32(repr([table.descr for table in _TABLES]).encode())
"""Which memory this version understands: a change of any column's name, type or place makes another number."""
ASIDES = {"taps": "taps_aside", "streams": "streams_aside"}
"""What lies beside the records of a table, row by row."""

_HEADER = np.dtype([("magic", "S8"), ("layout", "i8"), ("shape", "i8", (8,)), ("generation", "i8")], align=True)
_CURSORS = ("cleared", "committed", "written", "allocated")
_LOG_CURSORS = ("patched", "patches_freed", "noted", "notes_freed")

SOUND, PACKED = 1, 2
"""``allocated``: the memory of a row's samples is there; that of its packets, too. 0: neither."""

Records = NDArray[Any]


class LayoutError(Exception):
    """The memory was laid out by another version, or for other sizes; it must not be mapped."""


class Shape(NamedTuple):
    """How much of everything. ``window`` in samples; ``slab_octets`` is room kept for the door, which lays it out.

    ``density``: octets of packets for each sample of a row (`media.packets`), 0 where there will be no Opus.
    """

    taps: int
    streams: int
    rows: int
    window: int
    patches: int
    notes: int
    slab_octets: int
    density: int = 0

    @classmethod
    def of(cls, taps: int, window: int, slab_octets: int) -> "Shape":
        """A shape for so many taps: spare rows and streams for probation, logs for a second of a bad network."""
        spare = max(64, taps // 8)
        return cls(taps, 2 * taps + spare, taps + spare, window, max(512, taps // 2), 1_024 + 2 * taps, slab_octets)

    @property
    def row_octets(self) -> int:
        """A ring row with a guard band at both ends, in whole pages."""
        return _pages(2 * (LONGEST_PACKET + self.window + LONGEST_PACKET))

    @property
    def packed_octets(self) -> int:
        """A row of packets: they are never split, so the last one may stick out."""
        return _pages(self.density * self.window + LONGEST_PACKET) if self.density else 0


class Columns(NamedTuple):
    """One of the two copies."""

    taps: Records
    streams: Records
    rows: Records
    world: Records
    taps_aside: Records
    streams_aside: Records
    contexts: Records


class State:
    """Views of one buffer. ``fresh`` buffers (all zero) are laid out; others must carry this layout and this shape."""

    def __init__(self, buffer: Any, shape: Shape) -> None:
        whole = np.frombuffer(buffer, np.uint8)
        sections, self.octets = _plan(shape)
        if whole.size < self.octets:
            raise LayoutError(f"the memory holds {whole.size} octets, {self.octets} are needed")
        self.shape = shape
        self._header = whole[: _HEADER.itemsize].view(_HEADER)

        def view(name: str) -> Records:
            at, kind, count = sections[name]
            return whole[at : at + kind.itemsize * count].view(kind)

        copies = [Columns(*(view(f"{table}{side}") for table in Columns._fields)) for side in (0, 1)]
        self._copies: tuple[Columns, Columns] = (copies[0], copies[1])
        self.live, self.now = self._sides()  # the committed copy, what a successor would see; that of the present turn
        # the same as opaque records: numpy copies those whole, a record with fields it copies field by field
        self._opaque = [{t: getattr(c, t).view(f"V{getattr(c, t).itemsize}") for t in Columns._fields} for c in copies]
        self.cleared, self.committed, self.written, self.allocated = (view(name) for name in _CURSORS)
        self.patched, self.patches_freed, self.noted, self.notes_freed = (view(name) for name in _LOG_CURSORS)
        self.patch_log, self.note_log, self.slab = view("patch_log"), view("note_log"), view("slab")
        samples = view("ring").view(np.int16).reshape(shape.rows, -1)
        self.ring: NDArray[np.int16] = samples
        self.packets: NDArray[np.uint8] = view("packets").reshape(shape.rows, -1)
        self._extents = {name: (sections[name][0], size) for name, size in
                         (("ring", shape.row_octets), ("packets", shape.packed_octets))}  # fmt: skip
        self._touched: dict[str, list[NDArray[np.intp]]] = {t: [] for t in Columns._fields if t != "world"}
        self._touched_one: dict[str, list[int]] = {t: [] for t in Columns._fields if t != "world"}
        self.turn = 0  # grows with every turn, committed or not: what was derived for one turn holds no longer
        self.fresh = bytes(self._header["magic"][0]) == b""
        if self.fresh:
            self._lay_out()
        self._check()
        self._mirror()

    @property
    def generation(self) -> int:
        """How many turns were committed."""
        return int(self._header["generation"][0])

    def touch(self, table: str, which: NDArray[Any] | list[int] | int) -> None:
        """Say that rows of a table, by its name in `Columns`, were, or will be, written in this turn."""
        if isinstance(which, int):
            self._touched_one[table].append(which)
        else:
            self._touched[table].append(np.atleast_1d(np.asarray(which, np.intp)))

    def wipe(self, table: str, which: int) -> None:
        """Make one record of the present turn all zero, with its aside, and touch it."""
        for each in (table, ASIDES.get(table)):
            if each is not None:
                self.touch(each, which)
                self._opaque[(self.generation + 1) & 1][each][which : which + 1].view(np.uint8)[:] = 0

    def commit(self) -> None:
        """End the turn: from the store of the generation on, it has happened (rule K3)."""
        freed = self.now.rows["freed"]
        risen = np.flatnonzero(freed != self.cleared)
        if risen.size:
            freed[risen] = self.cleared[risen]
            self.touch("rows", risen)
        self._header["generation"][0] += 1
        self._echo()
        self.turn += 1

    def abandon(self) -> None:
        """Forget the turn: ``now`` equals the live copy again."""
        self._mirror()
        self.turn += 1

    def ring_extent(self, row: int) -> tuple[int, int]:
        """Offset and length of a ring row in the buffer, in octets: what must be allocated before it is handed out."""
        at, octets = self._extents["ring"]
        return at + row * octets, octets

    def packed_extent(self, row: int) -> tuple[int, int]:
        """The same for its packets: only rows of Opus taps need it."""
        at, octets = self._extents["packets"]
        return at + row * octets, octets

    @staticmethod
    def needed(shape: Shape) -> tuple[int, int]:
        """Octets of the whole buffer, and of its part before the ring."""
        sections, octets = _plan(shape)
        return octets, sections["ring"][0]

    def _sides(self) -> tuple[Columns, Columns]:
        return self._copies[self.generation & 1], self._copies[(self.generation + 1) & 1]

    def _echo(self) -> None:
        self.live, self.now = self._sides()
        live, now = self._opaque[self.generation & 1], self._opaque[(self.generation + 1) & 1]
        for table, lists in self._touched.items():
            if self._touched_one[table]:
                lists.append(np.array(self._touched_one[table], np.intp))
                self._touched_one[table].clear()
            if lists:
                which = np.concatenate(lists) if len(lists) > 1 else lists[0]
                now[table][which] = live[table][which]
                lists.clear()
        now["world"][0] = live["world"][0]

    def _mirror(self) -> None:
        for table in self._touched:
            self._touched[table].clear()
            self._touched_one[table].clear()
        live, now = self._opaque[self.generation & 1], self._opaque[(self.generation + 1) & 1]
        for table in Columns._fields:
            now[table][:] = live[table]

    def _lay_out(self) -> None:
        for copy in self._copies:
            for table in copy:
                table[:] = np.zeros((), table.dtype)
            copy.taps["stream"] = copy.taps["row"] = copy.streams["tap"] = copy.rows["tap"] = -1
        self._header["layout"], self._header["shape"] = LAYOUT, self.shape
        self._header["magic"] = MAGIC  # last: a worker killed before this line lays out again

    def _check(self) -> None:
        head = self._header[0]
        magic = bytes(head["magic"]).ljust(8, b"\0")
        found, wanted = (head["layout"], *head["shape"]), (LAYOUT, *self.shape)
        if magic != MAGIC or found != wanted:
            raise LayoutError(f"layout {magic!r} {found}, not {MAGIC!r} {wanted}")


def _pages(octets: int) -> int:
    return -(-octets // PAGE) * PAGE


def _plan(shape: Shape) -> tuple[dict[str, tuple[int, np.dtype[Any], int]], int]:
    """Where each section lies: name -> (offset, type, count); each begins on a page of its own."""
    word = np.dtype("i8")
    wanted: list[tuple[str, np.dtype[Any], int]] = []
    for side in (0, 1):
        wanted += [
            (f"taps{side}", columns.TAP, shape.taps),
            (f"streams{side}", columns.STREAM, shape.streams),
            (f"rows{side}", columns.ROW, shape.rows),
            (f"world{side}", columns.WORLD, 1),
            (f"taps_aside{side}", columns.TAP_ASIDE, shape.taps),
            (f"streams_aside{side}", columns.STREAM_ASIDE, shape.streams),
            (f"contexts{side}", columns.CONTEXT, shape.taps),
        ]
    wanted += [(name, word, shape.rows) for name in _CURSORS] + [(name, word, 1) for name in _LOG_CURSORS]
    wanted += [
        ("patch_log", columns.PATCH, shape.patches),
        ("note_log", columns.NOTE_SLOT, shape.notes),
        ("slab", np.dtype("u1"), shape.slab_octets),
        ("ring", np.dtype("u1"), shape.rows * shape.row_octets),
        ("packets", np.dtype("u1"), shape.rows * shape.packed_octets),
    ]
    sections: dict[str, tuple[int, np.dtype[Any], int]] = {}
    at = _pages(_HEADER.itemsize)
    for name, kind, count in wanted:
        sections[name] = (at, kind, count)
        at += _pages(kind.itemsize * count)
    return sections, at
