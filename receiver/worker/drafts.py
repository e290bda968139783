"""What is known of each open recording, in memory and durable in spool: more may be learned of it while it goes on."""

import asyncio

from receiver.archive import names, sidecar
from receiver.archive.files import Files
from receiver.archive.sidecar import Draft
from receiver.worker.errands import Errands


class Drafts:
    """By recording. The first one of each is made durable by rule C1; later ones are written here, one at a time."""

    def __init__(self, errands: Errands, files: Files) -> None:
        self._errands, self._files = errands, files
        self._known: dict[str, Draft] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}

    def __getitem__(self, recording_id: str) -> Draft:
        return self._known[recording_id]

    def __contains__(self, recording_id: str) -> bool:
        return recording_id in self._known

    def take(self, draft: Draft) -> None:
        """One that is durable already."""
        self._known[draft.recording_id] = draft

    def change(self, draft: Draft) -> None:
        """One of which more is known now; it is durable soon."""
        recording_id = draft.recording_id
        if draft == self._known[recording_id]:
            return
        self._known[recording_id] = draft
        if recording_id not in self._writing:
            self._writing[recording_id] = self._errands.start(self._write(recording_id))

    async def settled(self, recording_id: str) -> Draft:
        """The draft, when nothing of it is on its way to the disk: before its recording is finished and swept."""
        while recording_id in self._writing:
            await self._writing[recording_id]
        return self._known[recording_id]

    def drop(self, recording_id: str) -> None:
        """It is over."""
        self._known.pop(recording_id, None)

    async def _write(self, recording_id: str) -> None:
        written = None
        while (draft := self._known.get(recording_id)) is not None and draft is not written:
            octets = sidecar.encode(draft)
            await self._errands.insist("draft", self._files.write_durably, names.draft(draft.recording_id), octets)
            written = draft
        del self._writing[recording_id]
