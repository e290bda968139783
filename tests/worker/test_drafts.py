"""What is known of a tap may change while it is recorded: one write at a time, the newest last, none after a sweep."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec

from receiver import link
from receiver.archive import names, sidecar
from receiver.archive.files import Files
from receiver.archive.sidecar import Draft
from receiver.worker.drafts import Drafts
from receiver.worker.errands import Errands
from tests.worker.office import until

DRAFT = Draft(recording_id="0b7cdf11-0000-4000-8000-000000000001", name="{recording_id}")


class Slow(Files):
    """A disk that waits for leave before it writes a draft."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.leave = threading.Event()
        self.writes = 0

    def write_durably(self, name: str, octets: bytes, mode: int = 0o600) -> None:
        self.leave.wait(20)
        self.writes += 1
        super().write_durably(name, octets, mode)


def labelled(**labels: str) -> Draft:
    return msgspec.structs.replace(DRAFT, labels=labels)


def on_disk(files: Files) -> Any:
    return sidecar.decode_draft(files.read(names.draft(DRAFT.recording_id)))


async def test_a_change_is_durable_and_the_newest_one_is_the_last(tmp_path: Path) -> None:
    files = Slow(tmp_path)
    drafts = Drafts(Errands(), files)
    drafts.take(DRAFT)
    for number in range(9):
        drafts.change(labelled(number=str(number)))
    assert drafts[DRAFT.recording_id] == labelled(number="8")
    files.leave.set()
    assert await drafts.settled(DRAFT.recording_id) == labelled(number="8")
    assert on_disk(files) == labelled(number="8")
    assert files.writes <= 2  # what came while one was on its way is one more


async def test_settled_waits_for_what_is_on_its_way(tmp_path: Path) -> None:
    files = Slow(tmp_path)
    drafts = Drafts(Errands(), files)
    drafts.take(DRAFT)
    drafts.change(labelled(a="b"))
    settled = asyncio.ensure_future(drafts.settled(DRAFT.recording_id))
    await until(lambda: True)
    assert not settled.done()
    files.leave.set()
    await settled
    assert on_disk(files) == labelled(a="b")


async def test_nothing_is_written_where_nothing_changed(tmp_path: Path) -> None:
    files = Slow(tmp_path)
    drafts = Drafts(Errands(), files)
    drafts.take(DRAFT)
    drafts.change(msgspec.structs.replace(DRAFT))
    assert await drafts.settled(DRAFT.recording_id) == DRAFT
    assert files.writes == 0
    assert DRAFT.recording_id in drafts
    drafts.drop(DRAFT.recording_id)
    assert DRAFT.recording_id not in drafts


def test_amend_says_all_that_may_change() -> None:
    assert set(link.Amend.__struct_fields__) == {"slot", "recording_id", "call_id", "node_id", "control_id", "labels"}
