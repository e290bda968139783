"""The storage folder as the control process sees it: there, writable, and nobody else's."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

LEFTOVERS_S: Final = 30.0  # for the workers of a daemon that was killed: they drain, commit and leave
LOOK_AGAIN_S: Final = 0.05
LOCK: Final = "lock"
LEDGER: Final = "ledger.sqlite3"
ID: Final = "id"


class FolderError(Exception):
    """The storage folder cannot be used (exit 73). ``message`` says what is wrong, ``hint`` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint


class Folder:
    """``[storage].directory``, held by a lock. Raises ``FolderError``; blocks while a dead daemon's workers leave.

    The lock belongs to whoever has inherited its descriptor: the daemon hands it to its workers, too, so that after its
    death nobody repairs files that an old worker still writes. The folder itself is never made: it may be a mount that
    did not come up. ``state`` is where the service may keep what it knows: if that lies on another file system, the
    folder's id is kept there too, and the empty place where a volume is not mounted is not taken for the folder.
    """

    def __init__(
        self, path: Path, pause: Callable[[float], None] = time.sleep, state: Path | None = None
    ) -> None:
        self.path = path
        known = _known(path, state)
        if known is not None and _read(path / ID) != _read(known) is not None:
            raise FolderError(
                f"{path} is not the folder that was used before",
                f"is the volume mounted? If another one is meant, remove {known}",
            )
        try:
            self.lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _explained(path, error) from error
        try:
            self._claim(pause)
            os.ftruncate(self.lock, 0)
            os.pwrite(self.lock, b"%d\n" % os.getpid(), 0)
            if known is not None:
                self._remember(known)
        except FolderError:
            os.close(self.lock)
            raise
        except OSError as error:
            os.close(self.lock)
            raise _explained(path, error) from error

    def _claim(self, pause: Callable[[float], None]) -> None:
        """Take the lock; wait for it as long as those who hold it are only leaving."""
        waited_s = 0.0
        while True:
            try:
                return fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(self.lock, 20, 0).decode(errors="replace").strip()
            if holder.isdecimal() and not _is_alive(int(holder)) and waited_s < LEFTOVERS_S:
                pause(LOOK_AGAIN_S)
                waited_s += LOOK_AGAIN_S
                continue
            raise FolderError(
                f"{self.path} is in use by another daemon (process {holder or 'unknown'}) or by what it left running",
                "a folder has one daemon",
            )

    def _remember(self, known: Path) -> None:
        if _read(self.path / ID) is None:
            (self.path / ID).write_text(f"{uuid4()}\n")
        if _read(known) is None:
            known.write_bytes((self.path / ID).read_bytes())

    @property
    def ledger(self) -> Path:
        """Where the ledger lies."""
        return self.path / LEDGER

    def release(self) -> None:
        """Let somebody else have the folder."""
        os.close(self.lock)


def _known(path: Path, state: Path | None) -> Path | None:
    """Where the folder's id is kept beside the folder; None where that would be of no use."""
    try:
        if state is None or state.stat().st_dev == path.stat().st_dev:
            return None
    except OSError:  # what is not there is said by whoever opens it
        return None
    return state / "storage-id"


def _read(file: Path) -> str | None:
    """An id; None where there is none."""
    try:
        return file.read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise FolderError(f"{file} cannot be read: {error}", "give it to the user of the service") from error


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _explained(path: Path, error: OSError) -> FolderError:
    match error:
        case FileNotFoundError():
            return FolderError(f"the storage folder {path} does not exist", "is the volume mounted? else make it")
        case NotADirectoryError():
            return FolderError(f"{path} is not a folder", "name a folder in [storage].directory")
    reason = f"the storage folder {path} cannot be written to: {error.strerror}"
    return FolderError(reason, "give it to the user of the service, and look at its mount and its free space")
