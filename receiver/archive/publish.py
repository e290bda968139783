"""From spool to ``ready/``: the sound's name, then the sidecar's, each once and for good (rule C4).

Every step leaves a trace that the next attempt reads, so that doing it again after a kill is doing it once:

1. ``<id>.json`` in spool: what is to be published, and under which name (``file``). Nothing is woven any more.
2. It has a second name: it was linked, the signal is out. Nothing is linked any more, even if a job was quick and has
   taken both files away.
3. It is called ``<id>.done``: the folder is durable. Only sweeping is left.
"""

import errno
import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from receiver.archive import names
from receiver.archive.encoding import READY_MODE
from receiver.archive.files import Files
from receiver.archive.sidecar import Problem, Sidecar, encode

MOST_NAMES = 99
_CHUNK_OCTETS = 1 << 20


class Content(NamedTuple):
    """By what a file that has our name is told to be our own, where it is not the very same file."""

    octets: int
    sha256: str


def place(files: Files, source: str, target: str, content: Content, taken: Callable[[str], None]) -> str:
    """Link ``source`` as ``target``, or as -2, -3, …; return the name it has then.

    A file that is there already and is the same file or has the same content is our own twin. Else ``taken(next)`` is
    called, which makes the next name durable *before* it is used.
    """
    for _ in range(MOST_NAMES):
        try:
            files.link(source, target)
            return target
        except FileExistsError:
            if _is_twin(files, source, target, content):
                return target
        target = _next_name(target)
        taken(target)
    raise FileExistsError(errno.EEXIST, "all names up to -99 are taken", target)


def put_final(files: Files, sidecar: Sidecar) -> Sidecar:
    """Make the final sidecar durable in spool: step 1."""
    files.write_durably(names.final(sidecar.recording_id), encode(sidecar), READY_MODE)
    return sidecar


def publish(files: Files, stem: str, sidecar: Sidecar) -> Sidecar:
    """Steps 2 and 3, for a final sidecar that lies in spool. Returns it as it was published.

    ``stem`` is the name under ``ready/`` without suffix. Where a stranger has our name, ours gets a number, and the
    sidecar says so in ``problem``.
    """
    source = names.final(sidecar.recording_id)
    there = files.stat(source)
    if there is None:
        raise FileNotFoundError(errno.ENOENT, "the final sidecar is gone from spool", source)
    target = f"ready/{stem}.json"
    if there.links == 1:
        files.make_folders(target)
        sidecar = _place_both(files, target, sidecar)
    try:
        files.sync_folder(target)
    except FileNotFoundError:  # linked in an earlier life, and a job took the whole folder away
        if there.links == 1:
            raise
    files.rename(source, names.done(sidecar.recording_id))
    return sidecar


def _place_both(files: Files, target: str, sidecar: Sidecar) -> Sidecar:
    source = names.final(sidecar.recording_id)
    folder = target.rpartition("/")[0]

    def file_taken(name: str) -> None:
        nonlocal sidecar
        sidecar = put_final(files, _renamed(sidecar, file=name.rpartition("/")[2]))

    def sidecar_taken(name: str) -> None:
        nonlocal sidecar
        sidecar = put_final(files, _renamed(sidecar, file=sidecar.file))

    if sidecar.file is not None:
        assert isinstance(sidecar.bytes, int)
        assert isinstance(sidecar.sha256, str)
        content = Content(sidecar.bytes, sidecar.sha256)
        sound = place(files, names.woven(sidecar.recording_id, 0), f"{folder}/{sidecar.file}", content, file_taken)
        target = names.without_suffix(sound) + ".json"
    octets = encode(sidecar)
    place(files, source, target, Content(len(octets), hashlib.sha256(octets).hexdigest()), sidecar_taken)
    return sidecar


def _renamed(sidecar: Sidecar, file: str | None) -> Sidecar:
    """The fault is one of somebody else's, and nothing of the sound was lost: it is said, the outcome stays."""
    problem = sidecar.problem
    if not isinstance(problem, Problem):
        problem = name_taken(sidecar.recording_id)
    return msgspec.structs.replace(sidecar, file=file, problem=problem)


def name_taken(recording_id: str) -> Problem:
    """What is said of a stranger's file under our name."""
    return Problem(
        "name_taken",
        f"A file that is not ours had the name of recording {recording_id} in ready/; ours has a number behind it.",
        "Find out who else writes into ready/; only tapdeck may.",
    )


def _next_name(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    numbered = re.fullmatch(r"(.*)-(\d{1,2})", stem)
    if numbered is None:
        return f"{stem}-2{dot}{suffix}"
    return f"{numbered[1]}-{int(numbered[2]) + 1}{dot}{suffix}"


def _is_twin(files: Files, source: str, target: str, content: Content) -> bool:
    ours, theirs = files.stat(source), files.stat(target)
    if theirs is None or not theirs.regular:
        return False
    if ours is not None and ours.inode == theirs.inode:
        return True
    return theirs.octets == content.octets and digest(files, target) == content.sha256


def digest(files: Files, name: str) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    descriptor = files.open(name)
    try:
        found, octet, buffer = hashlib.sha256(), 0, bytearray(_CHUNK_OCTETS)
        while count := files.pread(descriptor, buffer, octet):
            found.update(memoryview(buffer)[:count])
            octet += count
        return found.hexdigest()
    finally:
        files.close_file(descriptor)
