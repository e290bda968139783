"""Opening what lies in ``ready/``: jobs may write there too, so nothing about a name is taken for granted."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

NOT_OURS: Final = frozenset({errno.ELOOP, errno.ENOTDIR})  # a link, or something else where a folder was


def open_below(ready: Path, path: str) -> BinaryIO:
    """Open a plain file below ``ready`` for reading, through no link. Blocking.

    Raises FileNotFoundError where there is none: moved on, or replaced by a link, a folder or a pipe; other OSErrors
    where the disk refuses.
    """
    *folders, name = path.split("/")
    if not {"", ".", ".."}.isdisjoint((*folders, name)) or "\0" in path:
        raise FileNotFoundError(path)
    at = os.open(ready, os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            above, at = at, os.open(folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(above)
        # Without O_NONBLOCK the opening of a pipe would wait for somebody who writes.
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except OSError as error:
        if error.errno in NOT_OURS:
            raise FileNotFoundError(path) from error
        raise
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError(path)
    return open(found, "rb")
