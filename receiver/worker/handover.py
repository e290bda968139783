"""Rule D7 in a worker: what goes on under a new control process, and where its taps stand for the next one.

Usually the next worker maps this one's memory. For one that cannot (another version, other settings) every tap's place
is written down in spool when a worker leaves: ``positions-<worker>.msgpack``, taken up once, or thrown away as soon as
somebody goes on from the memory itself.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from receiver import link
from receiver.archive import names
from receiver.archive.files import Files
from receiver.media.carry import Carried, Carry
from receiver.media.columns import TapState
from receiver.media.state import MEANING
from receiver.media.taps import Taps
from receiver.net.slab import PlainSlab, Slab
from receiver.worker.memory import Memory

FORM: Final = 1
log = structlog.get_logger("worker")


class Positions(msgspec.Struct, frozen=True):
    """The file. ``form`` is its own, ``meaning`` that of the columns (`receiver.media.state`)."""

    form: int
    meaning: int
    taps: dict[str, dict[str, Any]]


class Handover:
    """Taps come from an earlier process, and go to a later one."""

    def __init__(
        self, worker: int, memory: Memory, taps: Taps, carry: Carry, files: Files, slab: Slab | PlainSlab
    ) -> None:
        self._worker, self._memory, self._taps, self._carry, self._files = worker, memory, taps, carry, files
        self._slab = slab
        self._state = memory.state

    def take(self, living: Mapping[str, int]) -> dict[str, int]:
        """Go on with what lives, drop what does not. Returns what lives and is not known here, with its slot.

        To be called before rule K5's recovery, any number of times.
        """
        for recording, slot in self.held().items():
            if living.get(recording) != slot:
                self._taps.forget(slot)
        self._commit()
        missing = living.keys() - self.held().keys()  # in a memory that is not fresh, too: who took them may have died
        carried = self._read() if missing else {}
        for recording in missing & carried.keys():
            try:
                self._take(living[recording], carried[recording])
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._state.abandon()
                log.error("a tap cannot go on", recording=recording, error=str(error))
        self._files.unlink(names.positions(self._worker))
        held = self.held()
        if living:
            taken = len(missing & carried.keys() & held.keys())
            log.info("taps go on", taps=len(held), from_positions=taken, lost=len(living.keys() - held.keys()))
        return {recording: slot for recording, slot in living.items() if recording not in held}

    def pack(self) -> bytes:
        """Where every tap stands, by the committed columns."""
        taps = {recording: self._carry.pack(slot) for recording, slot in self.held().items()}
        return msgspec.msgpack.encode(Positions(FORM, MEANING, taps))

    def leave(self, positions: bytes) -> None:
        """Write them down, whole or not at all. Blocking, but no sync: sockets do not outlive a power cut either.

        A disk that refuses is only said, because the memory itself is the first choice.
        """
        name = names.positions(self._worker)
        try:
            descriptor = self._files.create(f"{name}.tmp", afresh=True)
            try:
                self._files.pwrite(descriptor, (positions,), 0)
            finally:
                self._files.close_file(descriptor)
            self._files.rename(f"{name}.tmp", name)
        except OSError as error:
            log.error("positions not written", error=str(error), hint="a next version could not go on")

    def held(self) -> dict[str, int]:
        """The taps that the columns know, by `link.tap_name`, with their slots."""
        taps = self._state.live.taps
        slots = np.flatnonzero(taps["state"] != TapState.FREE).tolist()
        return {link.tap_name(taps["recording"][s].decode(), int(taps["channel"][s])): s for s in slots}

    def _take(self, slot: int, carried: Carried) -> None:
        """A turn of its own, so that one that does not fit is abandoned alone."""
        rows: list[int] = []
        for told in carried["rows"]:
            packed = bool(told.get("packed"))
            row = self._taps.free_row(rows, packed=packed)
            if row < 0:  # every slot has one; some of these lay in spare rows before, and may do so again
                row = self._taps.free_row(rows, sparing=False, packed=packed)
            if row < 0:
                raise ValueError("every ring row is in use")
            self._memory.allocate(row, packed)
            rows.append(row)
        self._carry.unpack(slot, carried, rows)
        self._commit()

    def _commit(self) -> None:
        """The slab that a dead worker left is run behind these turns, by rule K5's recovery."""
        self._slab.put_off(self._state.generation)
        self._state.commit()

    def _read(self) -> dict[str, Carried]:
        """What the worker before us wrote, by tap; empty where there is nothing that we understand."""
        try:
            octets = self._files.read(names.positions(self._worker))
            told = msgspec.msgpack.decode(octets, type=Positions)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            log.error("positions cannot be read", error=str(error), hint="these recordings end where they are")
            return {}
        if (told.form, told.meaning) != (FORM, MEANING):
            log.error("positions are of another kind", form=told.form, meaning=told.meaning, hint="see the changelog")
            return {}
        return told.taps
