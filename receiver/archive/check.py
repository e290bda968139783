"""The audit of a recordings folder: ``tapdeck check`` and ``receiver.check``. It only reads, beside a daemon too."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from receiver.archive import flac, names, wav
from receiver.archive.files import Files
from receiver.archive.publish import digest
from receiver.archive.sidecar import FLAC, G711, PCM16, File, Outcome, Sidecar, decode


class Finding(NamedTuple):
    """One thing that is not as it should be: where (relative to the folder), a word for programs, a sentence."""

    path: str
    code: str
    message: str


def check(directory: Path) -> list[Finding]:
    """Return what is wrong with a storage folder, or with a folder of recordings that jobs moved elsewhere.

    Headers, hashes, sidecars, strays. Raises ``StorageError`` if there is no such folder.
    """
    files = Files(directory, make=False)
    try:
        return _Audit(files).findings()
    finally:
        files.close()


_WRITTEN: dict[str, set[tuple[int | None, int]]] = {  # what a header says where the encoding is true: tag, bits
    PCM16: {(wav.PCM, 16)},
    G711: {(wav.ULAW, 8), (wav.ALAW, 8)},
    FLAC: {(None, 16)},
}
_HOLDERS = (names.draft, names.final, names.done)  # one of them lies in spool as long as a recording is at work


class _Audit:
    def __init__(self, files: Files) -> None:
        self._files = files
        self._prefix = "ready/" if files.plain else ""
        self._found: list[Finding] = []
        self._claimed: dict[str, str] = {}

    def findings(self) -> list[Finding]:
        spool = self._files.listing("spool")  # first: what is published meanwhile has left a draft here
        ready = self._files.listing("ready")
        for name in ready:
            if name.endswith(".json"):
                self._sidecar(name)
        at_work = {spooled.recording_id for name in spool if (spooled := names.parse(name))}
        for name in ready:
            if name.endswith(names.SOUND_SUFFIXES):
                self._sound(name, at_work)
            elif not name.endswith(".json"):
                self._say(name, "stray", "It is not a recording and not a sidecar.")
        self._spool(spool)
        return sorted(self._found)

    def _say(self, name: str, code: str, message: str) -> None:
        if self._files.stat(name) is not None:  # else it was moved, or finished, while we looked
            self._found.append(Finding(name.removeprefix(self._prefix), code, message))

    # ---- sidecars

    def _sidecar(self, name: str) -> None:
        try:
            sidecar = decode(self._files.read(name))
        except FileNotFoundError:
            return
        except OSError as error:
            self._say(name, "unreadable", f"It cannot be read: {error.strerror}.")
            return
        except msgspec.MsgspecError as error:
            self._say(name, "sidecar", f"It does not obey the schema: {error}.")
            return
        folder = name.rpartition("/")[0]
        listed = list(sidecar.parts)
        if sidecar.file is not None:
            if not isinstance(sidecar.bytes, int) or not isinstance(sidecar.sha256, str):
                self._say(name, "sidecar", "It names a file without its size and hash.")
                return
            listed.append(
                File(file=sidecar.file, frame=0, frames=sidecar.frames, bytes=sidecar.bytes, sha256=sidecar.sha256)
            )
        for contradiction in _contradictions(sidecar):
            self._say(name, "sidecar", contradiction)
        for file in listed:
            if "/" in file.file or file.file.startswith("."):
                self._say(name, "sidecar", f"It names a file elsewhere: {file.file!r}.")
                continue
            self._named(name, f"{folder}/{file.file}", file, sidecar)

    def _named(self, sidecar_name: str, name: str, file: File, sidecar: Sidecar) -> None:
        """A file that a sidecar names: is it there, is it the one?"""
        if name in self._claimed:
            self._say(sidecar_name, "claimed_twice", f"{file.file} belongs to {self._claimed[name]} already.")
        self._claimed[name] = sidecar_name
        there = self._files.stat(name)
        if there is None:
            self._say(sidecar_name, "missing", f"Its file {file.file} is not here; a job moves both or none.")
        elif not there.regular:
            return  # ``_sound`` tells
        elif there.octets != file.bytes:
            self._say(name, "size", f"It has {there.octets} octets, its sidecar says {file.bytes}.")
        elif self._same(name, file):
            self._shape(name, file, sidecar)

    def _same(self, name: str, file: File) -> bool:
        try:
            if digest(self._files, name) == file.sha256:
                return True
            self._say(name, "hash", "Its content is not what its sidecar says (SHA-256).")
        except OSError as error:
            self._say(name, "unreadable", f"It cannot be read: {error.strerror}.")
        return False

    def _shape(self, name: str, file: File, sidecar: Sidecar) -> None:
        """The header against the sidecar; that it is true in itself, ``_sound`` looks at."""
        shape = self._header(name)
        if shape is None:
            return
        said, encoding = (file.frames, sidecar.sample_rate), file.encoding or sidecar.encoding
        written = shape.tag if isinstance(shape, wav.Format) else None, shape.bits
        if (shape.frames, shape.rate) != said:
            self._say(name, "shape", f"It has {shape.frames} frames at {shape.rate} Hz, its sidecar says {said}.")
        elif written not in _WRITTEN.get(encoding, set()):
            self._say(name, "shape", f"Its sidecar says {encoding}, and it is not.")
        elif sidecar.channels and not _fits(shape.channels, sidecar):
            self._say(name, "shape", f"It has {shape.channels} channels, its sidecar {len(sidecar.channels)}.")

    # ---- sound

    def _sound(self, name: str, at_work: set[str]) -> None:
        there = self._files.stat(name)
        if there is None:
            return
        if not there.regular:
            self._say(name, "stray", "It is not a plain file.")
            return
        self._header(name, say=True)
        if name not in self._claimed and names.recording_of(name) not in at_work:
            self._say(name, "no_sidecar", "No sidecar names it: it is half of something.")

    def _header(self, name: str, say: bool = False) -> wav.Format | flac.Shape | None:
        try:
            descriptor = self._files.open(name)
        except OSError as error:
            if say:
                self._say(name, "unreadable", f"It cannot be read: {error.strerror}.")
            return None
        try:

            def read(at: int, count: int) -> bytes:
                octets = bytearray(count)
                return bytes(octets[: self._files.pread(descriptor, octets, at)])

            inspect = flac.inspect if name.endswith(".flac") else wav.inspect
            return inspect(read, self._files.size(descriptor))
        except (wav.NotWav, flac.NotFlac, OSError) as error:
            if say:
                kind = "FLAC" if name.endswith(".flac") else "WAV"
                self._say(name, "header", f"Not a true {kind}: {error}.")
            return None
        finally:
            self._files.close_file(descriptor)

    # ---- spool

    def _spool(self, spool: list[str]) -> None:
        for name in spool:
            spooled = names.parse(name)
            if name.endswith(".tmp"):
                self._say(name, "leftover", "Something was interrupted while it wrote this.")
            elif spooled is None:
                if not names.is_of_a_worker(name):
                    self._say(name, "foreign", "It is not a file of tapdeck's.")
            elif not any(self._files.stat(holder(spooled.recording_id)) for holder in _HOLDERS):
                self._say(name, "orphan", "Its recording has no draft; the next start makes of it what it can.")


def _fits(channels: int, sidecar: Sidecar) -> bool:
    """One of several files has the channels that there were by then: others may have come later (rule A12)."""
    return channels == len(sidecar.channels) or (bool(sidecar.parts) and channels < len(sidecar.channels))


def _contradictions(sidecar: Sidecar) -> list[str]:
    """What the schema cannot say."""
    found = []
    if sidecar.file is not None and sidecar.parts:
        found.append("It names one file and several.")
    silent = sidecar.file is None and not sidecar.parts
    if sidecar.outcome in (Outcome.EMPTY, Outcome.FAILED) and not silent:
        found.append(f"Its outcome is {sidecar.outcome}, but it names sound.")
    if sidecar.outcome is Outcome.COMPLETE and silent:
        found.append("Its outcome is complete, but it names no sound.")
    if sum(gap.frames for gap in sidecar.gaps) != sidecar.absent_frames:
        found.append("Its gaps do not add up to its absent_frames.")
    if any(gap.frame + gap.frames > sidecar.frames for gap in sidecar.gaps):
        found.append("A gap reaches behind its end.")
    at = 0
    for part in sidecar.parts:
        if part.frame != at:
            found.append(f"Its file {part.file} does not follow the one before.")
        at = part.frame + part.frames
    if sidecar.parts and at != sidecar.frames:
        found.append("Its files do not add up to its frames.")
    return found
