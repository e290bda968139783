"""A Debian 12 of our own in a folder: what tests with a real image or a real service manager stand on.

Made once for each list of packages and kept in the user's cache between runs; a machine that has none makes it (about a
minute). Needs root, ``debootstrap``, and the network on the first run.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUITE = "bookworm"
LEFT_BY_APT = ("var/cache/apt", "var/lib/apt/lists")
"""Folders whose content nobody needs: the packages' files, the lists they were chosen from."""


def root(*packages: str) -> Path:
    """The root of a minimal Debian 12 with these packages beside the base. Others read it too: write to a `copy`."""
    wanted = sorted(set(packages))
    name = hashlib.sha256("\n".join((SUITE, *wanted)).encode()).hexdigest()[:16]
    made = _shelf() / f"{SUITE}-{name}"
    with _alone(made.with_suffix(".lock")):
        if not made.exists():
            _make(made, wanted)
    return made


def copy(to: Path, *packages: str) -> Path:
    """A root of one's own at ``to``, which must not exist yet: owners, modes and all."""
    subprocess.run(["cp", "--archive", "--reflink=auto", str(root(*packages)), str(to)], check=True)
    return to


def _shelf() -> Path:
    """``$XDG_CACHE_HOME/tapdeck-tests/``."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    shelf = cache / "tapdeck-tests"
    shelf.mkdir(parents=True, exist_ok=True)
    return shelf


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One at a time makes a root, also of two test runs."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(made: Path, packages: list[str]) -> None:
    """Under another name until it is whole: one that was broken off is made again."""
    assert os.geteuid() == 0, "a Debian of our own needs root: debootstrap makes device files and changes owners"
    growing = made.with_suffix(".new")
    _remove(growing)
    included = [f"--include={','.join(packages)}"] if packages else []
    command = ["debootstrap", "--variant=minbase", *included, SUITE, str(growing)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        said = done.stdout[-2_000:]
        _remove(growing)
        raise RuntimeError(f"{' '.join(command)} failed with status {done.returncode}:\n{said}")
    for folder in LEFT_BY_APT:
        for left in (growing / folder).glob("*"):
            _remove(left)
    growing.rename(made)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
