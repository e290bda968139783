"""Notes that a version with other columns wrote, brought up to what this one reads (rules C5, D7).

``spool/notes.msgpack`` says how the notes in spool are laid out; a worker looks at it before it reads any. All that is
new lies beside the old first (``<id>.notes.tmp``), then that file tells which of the two holds, then names move. So a
death at any point is gone on with, and twice is once.
"""

from typing import Any, Final

import msgspec
import numpy as np
import structlog

from receiver.archive import names
from receiver.archive.files import Files
from receiver.media.columns import NOTE
from receiver.media.state import Records

NEW: Final = ".tmp"
log = structlog.get_logger("worker")


def bring_up(files: Files, ours: "np.dtype[Any]" = NOTE) -> int:
    """Make all notes in spool of our layout; return how many files were not. To be called before any is opened.

    A folder in which nobody told the layout is taken for one of ours. Raises ``OSError`` where the disk refuses.
    """
    own = msgspec.msgpack.encode(np.lib.format.dtype_to_descr(ours))
    try:
        told = files.read(names.NOTES)
    except FileNotFoundError:
        files.write_durably(names.NOTES, own)
        return 0
    spool = files.listing("spool")
    begun = [name for name in spool if name.endswith(f".notes{NEW}")]
    if told != own:
        for name in begun:
            files.unlink(name)
        begun = _write_anew(files, [name for name in spool if name.endswith(".notes")], _dtype(told), ours)
        files.write_durably(names.NOTES, own)
        log.info("notes of another version are brought up", files=len(begun))
    for name in begun:
        files.rename(name, name.removesuffix(NEW))
    return len(begun)


def _write_anew(files: Files, old: list[str], theirs: "np.dtype[Any]", ours: "np.dtype[Any]") -> list[str]:
    written = []
    for name in old:
        octets = files.read(name)
        records = np.frombuffer(octets[: len(octets) // theirs.itemsize * theirs.itemsize], theirs)
        anew = np.zeros(records.size, ours)
        _assign(anew, records)
        descriptor = files.create(f"{name}{NEW}", afresh=True)
        try:
            files.pwrite(descriptor, (anew.tobytes(),), 0)
        finally:
            files.close_file(descriptor)
        written.append(f"{name}{NEW}")
    files.sync_all()
    return written


def _assign(into: Records, given: Records) -> None:
    """Field by field, by their names; what the other does not have stays 0."""
    for field in into.dtype.names or ():
        if field in (given.dtype.names or ()):
            if into.dtype[field].names:
                _assign(into[field], given[field])
            else:
                into[field] = given[field]


def _dtype(told: bytes) -> "np.dtype[Any]":
    return np.dtype(np.lib.format.descr_to_dtype(_descr(msgspec.msgpack.decode(told))))


def _descr(told: Any) -> Any:
    """As numpy wants it: fields are tuples."""
    return [tuple(map(_descr, field)) for field in told] if isinstance(told, list) else told
