"""Space that is kept back to finish what is open when the disk is full (rule C6).

One file, ``spool/reserve``, with blocks of its own. The first write that finds no space gives it up and is tried again;
so do the recordings that are being finished. When there is room, it is made anew.
"""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from receiver.archive.files import Files
from receiver.archive.names import RESERVE

ROOM: Final = 2  # so many times the reserve must be free before it is made: else it would be the one to fill the disk


class ReservedFiles(Files):
    """The storage folder with ``octets`` kept back. ``told()`` is called when they are given up, in any thread."""

    def __init__(self, directory: Path, octets: int, told: Callable[[], None] = lambda: None) -> None:
        super().__init__(directory)
        self._reserve, self._told = octets, told

    def keep_reserve(self) -> bool:
        """Make the file where it is missing and there is room; whether it is there now. Blocking."""
        if self._reserve and self.stat(RESERVE) is None and self.free_octets() >= ROOM * self._reserve:
            descriptor = self.create(RESERVE)
            try:
                self.allocate(descriptor, self._reserve)
            except OSError:
                self.unlink(RESERVE)
                return False
            finally:
                self.close_file(descriptor)
        return self.stat(RESERVE) is not None

    def write_some(self, descriptor: int, views: Sequence[memoryview], octet: int) -> int:
        """One system call, or two where the first found no space and there was something to give up."""
        try:
            return super().write_some(descriptor, views, octet)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self._give_up():
                raise
        return super().write_some(descriptor, views, octet)

    def _give_up(self) -> bool:
        if self.stat(RESERVE) is None:
            return False
        self.unlink(RESERVE)
        self._told()
        return True
