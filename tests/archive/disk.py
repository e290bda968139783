"""Other disks to put behind ``Files``: one that takes notes, one on which the process dies at its n-th call."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from receiver.archive.files import Files

CALLS = (
    "create", "open", "write_some", "pread", "fsync", "fdatasync", "sync_all", "sync_folder", "drop_pages", "link",
    "rename", "unlink", "make_folders", "stat", "listing",
)  # fmt: skip
SYNCS = {"fsync", "fdatasync", "sync_all", "sync_folder"}


class Killed(BaseException):
    """Nobody may catch it, as nobody catches SIGKILL."""


class Watched(Files):
    """Notes each call as (verb, name). At call number ``kill_at`` the process is dead: half of a write lies there, and
    nothing that stands in a ``finally`` happens either. ``sync=False`` leaves out what only takes time.
    """

    def __init__(self, directory: Path, kill_at: int | None = None, sync: bool = True) -> None:
        self.calls: list[tuple[str, str]] = []
        self.kill_at: int | None = None
        self.sync = sync
        self.dead = False
        self.name_of: dict[int, str] = {}
        super().__init__(directory)
        self.calls.clear()
        self.kill_at = kill_at

    def _step(self, verb: str, subject: Any) -> None:
        if self.dead:
            raise Killed
        name = self.name_of.get(subject, "") if isinstance(subject, int) else str(subject)
        self.calls.append((verb, name))
        if self.kill_at is not None and len(self.calls) >= self.kill_at:
            self.dead = True
            raise Killed

    def close_file(self, descriptor: int) -> None:
        self.name_of.pop(descriptor, None)
        super().close_file(descriptor)

    def _sync_to_disk(self, descriptor: int) -> None:
        if self.sync:
            super()._sync_to_disk(descriptor)


def _watched(verb: str) -> Callable[..., Any]:
    original = getattr(Files, verb)

    def call(self: Watched, *arguments: Any, **options: Any) -> Any:
        try:
            self._step(verb, arguments[0] if arguments else "")
        except Killed:
            if verb == "write_some" and len(self.calls) == self.kill_at:
                descriptor, views, octet = arguments
                original(self, descriptor, [views[0][: len(views[0]) // 2]], octet)
            raise
        if verb in SYNCS and not self.sync:
            return None
        answer = original(self, *arguments, **options)
        if verb in ("create", "open"):
            self.name_of[answer] = arguments[0]
        return answer

    return call


for _verb in CALLS:
    setattr(Watched, _verb, _watched(_verb))


def kill_everywhere(tmp_path: Path, template: Path, act: Callable[[Files], object]) -> Iterator[tuple[int, Path]]:
    """For every n: a copy of ``template`` on which ``act`` was killed at its n-th call; until n is never reached."""
    for n in itertools.count(1):
        copy = tmp_path / f"killed-{n}"
        copy_folder(template, copy)
        files = Watched(copy, kill_at=n, sync=False)
        try:
            act(files)
        except Killed:
            yield n, copy
        else:
            assert n > 1, "nothing was killed"
            return
        finally:
            files.close()
            shutil.rmtree(copy)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a storage folder: two names of one file are two names of one copy."""
    seen: dict[int, str] = {}

    def copy(old: str, new: str) -> str:
        inode = os.stat(old).st_ino
        if inode in seen:
            os.link(seen[inode], new)
        else:
            seen[inode] = shutil.copy2(old, new)
        return new

    shutil.copytree(source, target, copy_function=copy)
