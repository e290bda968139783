"""What is known of each open tap, in memory and durable in spool: more may be learned of it while it is recorded."""

import asyncio

from receiver.archive import names, sidecar
from receiver.archive.files import Files
from receiver.archive.sidecar import Draft
from receiver.worker.errands import Errands


class Drafts:
    """By slot. The first one of a recording is made durable by rule C1; later ones are written here, one at a time."""

    def __init__(self, errands: Errands, files: Files) -> None:
        self._errands, self._files = errands, files
        self._known: dict[int, Draft] = {}
        self._writing: dict[int, asyncio.Task[None]] = {}

    def __getitem__(self, slot: int) -> Draft:
        return self._known[slot]

    def __contains__(self, slot: int) -> bool:
        return slot in self._known

    def take(self, slot: int, draft: Draft) -> None:
        """One that is durable already."""
        self._known[slot] = draft

    def change(self, slot: int, draft: Draft) -> None:
        """One of which more is known now; it is durable soon."""
        if draft == self._known[slot]:
            return
        self._known[slot] = draft
        if slot not in self._writing:
            self._writing[slot] = self._errands.start(self._write(slot))

    async def settled(self, slot: int) -> Draft:
        """The draft, when nothing of it is on its way to the disk: before its recording is finished and swept."""
        while slot in self._writing:
            await self._writing[slot]
        return self._known[slot]

    def drop(self, slot: int) -> None:
        """The slot is free."""
        self._known.pop(slot, None)

    async def _write(self, slot: int) -> None:
        written = None
        while (draft := self._known.get(slot)) is not None and draft is not written:
            octets = sidecar.encode(draft)
            await self._errands.insist("draft", self._files.write_durably, names.draft(draft.recording_id), octets)
            written = draft
        del self._writing[slot]
