"""The ledger made anew, or brought up to date, from what lies in ``spool/`` and ``ready/``. Reads JSON files only.

A sidecar (``ready/**/*.json``; ``spool/*.json`` and ``*.done`` are final ones on their way) is a recording and the
outcome of its taps; a draft (``spool/*.draft``) is a tap that was asked for. Everything is done by the verbs that daily
business uses, all of which do nothing the second time, so any number of rebuilds at any time is one.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from receiver.ledger.rows import TapRow, read_draft, unix_ns
from receiver.ledger.store import Ledger, LedgerBroken

LARGEST: Final = 256 << 20  # octets; what is larger is no sidecar


class Found(NamedTuple):
    """What a rebuild met."""

    recordings: int
    taps: int
    unreadable: int


def open_ledger(path: Path) -> tuple[Ledger, str | None]:
    """Open the ledger, or put a broken one aside and make a new one; the second value says so for the log.

    Raises ``sqlite3.OperationalError`` where nothing can be written.
    """
    try:
        return Ledger(path), None
    except LedgerBroken as error:
        aside = _free_name(path)
        for suffix in ("", "-wal", "-shm"):
            whole = path.with_name(path.name + suffix)
            if whole.exists():
                whole.rename(aside.with_name(aside.name + suffix))
        return Ledger(path), f"{error}; put aside as {aside.name}"


def rebuild(ledger: Ledger, directory: Path, now_ns: int) -> Found:
    """Bring in everything that ``directory`` knows and the ledger does not. Sidecars first: they are the outcomes."""
    recordings = taps = unreadable = 0
    ready, spool = directory / "ready", directory / "spool"
    for file in (*_json_files(ready, (".json",)), *_json_files(spool, (".json", ".done"))):
        stem = file.relative_to(ready).with_suffix("").as_posix() if file.is_relative_to(ready) else None
        try:
            recordings += ledger.book(_read(file), stem, now_ns)
        except FileNotFoundError:  # a job was quick, or the recording moved on: it is met again in ready/
            continue
        except (OSError, ValueError, sqlite3.IntegrityError):
            unreadable += 1
    for file in _json_files(spool, (".draft",)):
        try:
            draft = read_draft(_read(file))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            unreadable += 1
            continue
        for tap_id, party in draft.parties.items():
            row = TapRow(
                id=tap_id,
                recording_id=draft.recording_id,
                state="listening",
                call_id=draft.call_id or None,
                node_id=draft.node_id or None,
                labels=draft.labels,
                direction=party,
                layout=draft.layout or None,
                requested_ns=unix_ns(draft.requested_at) or now_ns,
            )
            taps += ledger.ask(row, known=True)
    return Found(recordings, taps, unreadable)


def _json_files(room: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Names in a room and its folders, in order; never through a link."""
    for folder, folders, names in os.walk(room):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(suffixes))


def _read(file: Path) -> bytes:
    """All of a plain file. In ``ready/`` jobs may write too, so nothing about it is taken for granted."""
    number = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(number, "rb") as opened:
        seen = os.fstat(number)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > LARGEST:
            raise ValueError("no sidecar")
        return opened.read()


def _free_name(path: Path) -> Path:
    """``ledger.sqlite3.broken-1``, or the first number that is free."""
    number = 1
    while (aside := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    return aside
