"""The storage folder as the control process sees it: there, writable, and nobody else's."""

import fcntl
import os
from pathlib import Path
from typing import Final

LOCK: Final = "lock"
LEDGER: Final = "ledger.sqlite3"


class FolderError(Exception):
    """The storage folder cannot be used (exit 73). ``message`` says what is wrong, ``hint`` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint


class Folder:
    """``[storage].directory``, held by a lock until ``release`` or the end of the process. Raises ``FolderError``.

    The folder itself is never made: it may be a mount that did not come up.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _explained(path, error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            holder = os.pread(self._lock, 20, 0).decode(errors="replace").strip()
            os.close(self._lock)
            raise FolderError(
                f"{path} is in use by another daemon (process {holder or 'unknown'})", "a folder has one daemon"
            ) from None
        except OSError as error:
            os.close(self._lock)
            raise _explained(path, error) from error

    @property
    def ledger(self) -> Path:
        """Where the ledger lies."""
        return self.path / LEDGER

    def release(self) -> None:
        """Let somebody else have the folder."""
        os.close(self._lock)


def _explained(path: Path, error: OSError) -> FolderError:
    match error:
        case FileNotFoundError():
            return FolderError(f"the storage folder {path} does not exist", "is the volume mounted? else make it")
        case NotADirectoryError():
            return FolderError(f"{path} is not a folder", "name a folder in [storage].directory")
    reason = f"the storage folder {path} cannot be written to: {error.strerror}"
    return FolderError(reason, "give it to the user of the service, and look at its mount and its free space")
