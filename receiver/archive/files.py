"""Every file call of the archive. Whoever wants another disk, a failing or a forgetful one, puts it behind this class.

Names are relative: ``spool/…``, ``ready/…``, ``quarantine/…``. Each folder on the way is opened by itself and never
through a symbolic link, so no name, wherever it came from, leads out of the storage folder.
"""

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from numpy.typing import NDArray

Piece = bytes | bytearray | memoryview | NDArray[Any]
"""What can be written: anything with C-contiguous memory."""

ROOMS = {"spool": 0o700, "ready": 0o2770, "quarantine": 0o700}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PLAIN = os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_PIECES = 1024  # IOV_MAX of Linux


class StorageError(Exception):
    """The storage folder cannot be used at all (exit 73). ``message`` says what is wrong, ``hint`` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")
        self.message = message
        self.hint = hint


class Stat(NamedTuple):
    """What ``Files.stat`` tells of a name, links not followed."""

    inode: tuple[int, int]  # device and number: equal means the same file
    octets: int
    links: int
    modified_ns: int  # UNIX time
    regular: bool


class Files:
    """The storage folder, open. Stateless beyond its folders' descriptors: any thread may call anything.

    With ``make`` the three rooms are made where they are missing (the folder itself never is: it may be a mount that
    did not come up) and tried out; raises ``StorageError``. Without, nothing is touched, and a folder without ``ready``
    is taken for a ``ready`` itself (``plain``).
    """

    def __init__(self, directory: Path, make: bool = True) -> None:
        self.directory = directory
        self.plain = False
        """Whether this is no storage folder, but one of recordings that jobs have moved."""
        self._rooms: dict[str, int] = {}
        try:
            root = os.open(directory, _FOLDER)
            try:
                self._open_rooms(root, make)
            finally:
                os.close(root)
            if make:
                self._try_out()
        except OSError as error:
            self.close()
            raise _explain(directory, error) from error
        except StorageError:
            self.close()
            raise

    def _open_rooms(self, root: int, make: bool) -> None:
        for room, mode in ROOMS.items():
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(room, mode & 0o777, dir_fd=root)
                    os.chmod(room, mode, dir_fd=root)  # only at birth: the operator may have chosen otherwise since
            with contextlib.ExitStack() as missing:
                if not make:
                    missing.enter_context(contextlib.suppress(FileNotFoundError))
                self._rooms[room] = os.open(room, _FOLDER | os.O_NOFOLLOW, dir_fd=root)
        if make:
            self._sync_to_disk(root)
        elif "ready" not in self._rooms:
            self.plain = True
            self._rooms["ready"] = os.dup(root)

    def _try_out(self) -> None:
        """A recording goes from spool to ready by ``link``: better to learn at start that it cannot."""
        if len({os.fstat(folder).st_dev for folder in self._rooms.values()}) > 1:
            raise StorageError(
                f"spool, ready and quarantine in {self.directory} lie on different file systems",
                "put the whole folder on one; a finished recording is linked, not copied",
            )
        first, second = "spool/probe-1.tmp", "spool/probe-2.tmp"
        try:
            self.close_file(self.create(first, afresh=True))
            self.unlink(second)
            self.link(first, second)
        except (FileExistsError, FileNotFoundError):
            pass  # another worker tries the same at this very moment: one of us will know
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            raise StorageError(
                f"the file system of {self.directory} knows no hard links", "use ext4, xfs, btrfs or zfs"
            ) from error
        finally:
            self.unlink(second)
            self.unlink(first)

    def close(self) -> None:
        """Let go of the folders."""
        while self._rooms:
            os.close(self._rooms.popitem()[1])

    # ---- one file

    def create(self, name: str, mode: int = 0o600, afresh: bool = False) -> int:
        """Make a new file and return its descriptor, for reading and writing. ``FileExistsError`` if there is one.

        ``afresh`` throws an old one away first: also after a failed sync, when the same file must not be tried again.
        """
        if afresh:
            self.unlink(name)
        with self._parent(name) as (folder, base):
            descriptor = os.open(base, os.O_RDWR | os.O_CREAT | os.O_EXCL | _PLAIN, 0o600, dir_fd=folder)
        os.fchmod(descriptor, mode)  # whatever the umask says
        return descriptor

    def open(self, name: str, write: bool = False) -> int:
        """Open what is there; never through a link."""
        with self._parent(name) as (folder, base):
            return os.open(base, (os.O_RDWR if write else os.O_RDONLY) | _PLAIN | os.O_NONBLOCK, dir_fd=folder)

    def close_file(self, descriptor: int) -> None:
        """Close one descriptor."""
        os.close(descriptor)

    def pwrite(self, descriptor: int, pieces: Sequence[Piece], octet: int) -> int:
        """Write all pieces, one behind the other from ``octet`` on, however often the kernel takes only a part.

        Returns the octet behind the last one.
        """
        views = [_octets(piece) for piece in pieces if len(piece)]
        while views:
            taken = self.write_some(descriptor, views[:_MOST_PIECES], octet)
            if taken <= 0:
                raise OSError(errno.EIO, "the disk took nothing and gave no reason")
            octet += taken
            while views and taken >= len(views[0]):
                taken -= len(views.pop(0))
            if taken:
                views[0] = views[0][taken:]
        return octet

    def write_some(self, descriptor: int, views: Sequence[memoryview], octet: int) -> int:
        """One system call; returns how many octets it took."""
        if len(views) == 1:
            return os.pwrite(descriptor, views[0], octet)
        return os.pwritev(descriptor, views, octet)

    def pread(self, descriptor: int, into: Piece, octet: int) -> int:
        """Fill ``into`` from ``octet`` on; returns the octets that were there, fewer only at the file's end."""
        view = _octets(into)
        filled = 0
        while filled < len(view):
            taken = os.preadv(descriptor, [view[filled:]], octet + filled)
            if taken == 0:
                break
            filled += taken
        return filled

    def allocate(self, descriptor: int, octets: int) -> None:
        """Give a file so many octets of its own, now; ``OSError`` (ENOSPC) where there are none."""
        os.posix_fallocate(descriptor, 0, octets)

    def size(self, descriptor: int) -> int:
        """Octets of an open file."""
        return os.fstat(descriptor).st_size

    def read(self, name: str) -> bytes:
        """All of a (small) file. ``FileNotFoundError`` if there is none."""
        descriptor = self.open(name)
        try:
            octets = bytearray(self.size(descriptor))
            return bytes(octets[: self.pread(descriptor, octets, 0)])
        finally:
            self.close_file(descriptor)

    def write_durably(self, name: str, octets: bytes, mode: int = 0o600) -> None:
        """Put this content under this name, whole or not at all, and have it on the disk when this returns."""
        temporary = f"{name}.tmp"
        descriptor = self.create(temporary, mode, afresh=True)
        try:
            self.pwrite(descriptor, (octets,), 0)
            self.fsync(descriptor)
        finally:
            self.close_file(descriptor)
        self.rename(temporary, name)
        self.sync_folder(name)

    # ---- syncing

    def sync_all(self) -> None:
        """Make everything on this file system durable: files, names, folders."""
        _sync_file_system(self._rooms["spool"])

    def fsync(self, descriptor: int) -> None:
        """Make one file durable."""
        self._sync_to_disk(descriptor)

    def _sync_to_disk(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def fdatasync(self, descriptor: int) -> None:
        """Make one file's content and length durable."""
        os.fdatasync(descriptor)

    def sync_folder(self, name: str) -> None:
        """Make the names in the folder that ``name`` lies in durable."""
        with self._parent(name) as (folder, _):
            self._sync_to_disk(folder)

    def drop_pages(self, descriptor: int) -> None:
        """Ask that the next read of this (synced) file comes from the disk, not from memory. A wish, not an order."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    # ---- names

    def link(self, source: str, target: str) -> None:
        """Give a file a second name. ``FileExistsError`` if it is taken, by whatever."""
        with self._parent(source) as (here, old), self._parent(target) as (there, new):
            os.link(old, new, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)

    def rename(self, source: str, target: str) -> None:
        """Give a file another name; an old file of that name is gone, at once."""
        with self._parent(source) as (here, old), self._parent(target) as (there, new):
            os.rename(old, new, src_dir_fd=here, dst_dir_fd=there)

    def unlink(self, name: str) -> None:
        """Take a name away; none there is fine."""
        with contextlib.suppress(FileNotFoundError), self._parent(name) as (folder, base):
            os.unlink(base, dir_fd=folder)

    def make_folders(self, name: str) -> None:
        """Make the folders on the way to ``name``, each durable before the next."""
        *folders, _ = _split(name)
        for depth in range(2, len(folders) + 1):
            path = "/".join(folders[:depth])
            with self._parent(path) as (folder, base), contextlib.suppress(FileExistsError):
                os.mkdir(base, ROOMS[folders[0]] & 0o777, dir_fd=folder)
                os.chmod(base, ROOMS[folders[0]], dir_fd=folder)
            self.sync_folder(path)  # also one that was there: whoever made it may have died before this line

    def stat(self, name: str) -> Stat | None:
        """What lies under this name, itself and not what it points to; None if nothing does."""
        try:
            with self._parent(name) as (folder, base):
                seen = os.stat(base, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return Stat(
            (seen.st_dev, seen.st_ino), seen.st_size, seen.st_nlink, seen.st_mtime_ns, stat.S_ISREG(seen.st_mode)
        )

    def listing(self, room: str) -> list[str]:
        """Every name in a room and in its folders, sorted; folders themselves are not named. Empty if there is none."""
        names: list[str] = []
        if room in self._rooms:
            # Opened anew: a duplicate would share its place in the folder with whoever lists at the same time.
            self._list(os.open(".", _FOLDER, dir_fd=self._rooms[room]), room, names)
        return sorted(names)

    def _list(self, folder: int, path: str, names: list[str]) -> None:
        try:
            with os.scandir(folder) as entries:
                found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
            for base, is_folder in found:
                if not is_folder:
                    names.append(f"{path}/{base}")
                    continue
                with contextlib.suppress(FileNotFoundError):  # a job may have taken it away just now
                    below = os.open(base, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                    self._list(below, f"{path}/{base}", names)
        finally:
            os.close(folder)

    def free_octets(self) -> int:
        """What the service may still write (rule C6)."""
        space = os.fstatvfs(self._rooms["spool"])
        return space.f_bavail * space.f_frsize

    @contextlib.contextmanager
    def _parent(self, name: str) -> Iterator[tuple[int, str]]:
        """The folder that a name lies in, and the last word of the name."""
        room, *folders, base = _split(name)
        if room not in self._rooms:
            raise FileNotFoundError(errno.ENOENT, "no such room", room)
        with contextlib.ExitStack() as opened:
            folder = self._rooms[room]
            for below in folders:
                folder = os.open(below, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
                opened.callback(os.close, folder)
            yield folder, base


def _split(name: str) -> list[str]:
    """Take a name apart, or raise ``ValueError`` when it is none of ours."""
    parts = name.split("/")
    if parts[0] not in ROOMS or len(parts) < 2 or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError(f"not a name in the storage folder: {name!r}")
    return parts


def _explain(directory: Path, error: OSError) -> StorageError:
    if isinstance(error, FileNotFoundError):
        return StorageError(f"the storage folder {directory} does not exist", "is the volume mounted? else make it")
    if isinstance(error, NotADirectoryError):
        place = directory / str(error.filename or "")
        return StorageError(f"{place} is not a folder", "[storage].directory is one, with its rooms in it; no links")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return StorageError(
            f"the storage folder {directory} is not ours to use: {error.strerror}",
            "give it to the user of the service, and mount it for writing",
        )
    return StorageError(f"the storage folder {directory} cannot be used: {error}", "see the message of the system")


def _octets(piece: Piece) -> memoryview:
    return memoryview(cast(bytes, piece)).cast("B")


def _sync_file_system(descriptor: int) -> None:
    if _syncfs is None:
        os.sync()  # everything on every file system: slower, not weaker
    elif _syncfs(ctypes.c_int(descriptor)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


# CDLL, not PyDLL: a sync takes long, and the interpreter lock must be free meanwhile. Only Linux has it.
_syncfs: Any = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
