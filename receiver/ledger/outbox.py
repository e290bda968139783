"""What hooks are owed: kept until it is delivered, over any number of restarts.

A tap's end and a recording in ``ready/`` are put in here by the transaction that books them (a trigger), so no crash
comes between; what such a call will say is read from the ledger when it goes out. All other events come with their
document, and are kept as well as a posted verb is. A hook is known by a name that follows from what it calls.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

MOST_WAITING: Final = 50_000  # calls for one hook, up to 1 kB each; the oldest are left out then

_MADE: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'outbox'"
_NEW: Final = """
BEGIN IMMEDIATE;
CREATE TABLE hooks (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    hook      TEXT NOT NULL,
    event     TEXT NOT NULL,
    tap_id    TEXT,                        -- of a booked outcome
    document  BLOB,                        -- of everything else
    made_ns   INTEGER NOT NULL,            -- UNIX time
    tries     INTEGER NOT NULL DEFAULT 0,
    due_ns    INTEGER NOT NULL DEFAULT 0,  -- UNIX time
    CHECK ((tap_id IS NULL) <> (document IS NULL))
) STRICT;
CREATE INDEX outbox_due ON outbox (hook, due_ns);
CREATE TRIGGER outbox_takes_outcomes AFTER UPDATE OF outcome ON taps
WHEN OLD.outcome IS NULL AND NEW.outcome IS NOT NULL
BEGIN
    INSERT INTO outbox (hook, event, tap_id, made_ns)
        SELECT name, 'tap.finished', NEW.id, coalesce(NEW.ended_ns, 0) FROM hooks;
    -- Two taps may be one recording: it is told with the first of them that ends.
    INSERT INTO outbox (hook, event, tap_id, made_ns)
        SELECT name, 'recording.ready', NEW.id, coalesce(NEW.ended_ns, 0) FROM hooks
        WHERE EXISTS (SELECT 1 FROM recordings WHERE id = NEW.recording_id) AND NOT EXISTS (
            SELECT 1 FROM taps WHERE recording_id = NEW.recording_id AND id <> NEW.id AND outcome IS NOT NULL);
END;
COMMIT;
"""


class Owed(NamedTuple):
    """One call that a hook is owed: ``tap_id`` of a booked outcome, else the ``document`` itself."""

    number: int
    event: str
    tap_id: str | None
    document: bytes | None
    made_ns: int
    tries: int


class Outbox:
    """The part of the ledger behind ``base`` that is about hooks."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def prepare(self) -> None:
        """Make it where it is missing. Nothing is put into it before a hook is registered."""
        if self._base.execute(_MADE).fetchone() is None:
            self._base.executescript(_NEW)

    def register(self, names: Sequence[str]) -> int:
        """Say which hooks there are; return how many calls are dropped of those that there are no more."""
        self._base.execute("BEGIN IMMEDIATE")
        self._base.execute("DELETE FROM hooks")
        self._base.executemany("INSERT INTO hooks VALUES (?)", [(name,) for name in names])
        dropped = self._base.execute("DELETE FROM outbox WHERE hook NOT IN (SELECT name FROM hooks)").rowcount
        self._base.execute("COMMIT")
        return dropped

    def put(self, event: str, document: bytes, at_ns: int) -> None:
        """Owe every hook this event."""
        self._base.execute(
            "INSERT INTO outbox (hook, event, document, made_ns) SELECT name, ?, ?, ? FROM hooks",
            (event, document, at_ns),
        )

    def due(self, hook: str, now_ns: int, limit: int) -> list[Owed]:
        """Return up to ``limit`` calls whose time has come, oldest first."""
        found = self._base.execute(
            "SELECT number, event, tap_id, document, made_ns, tries FROM outbox WHERE hook = ? AND due_ns <= ?"
            " ORDER BY number LIMIT ?",
            (hook, now_ns, limit),
        )
        return [Owed(*row) for row in found]

    def next_due_ns(self, hook: str) -> int | None:
        """When the next call of a hook's is due; None: it is owed nothing."""
        (when,) = self._base.execute("SELECT min(due_ns) FROM outbox WHERE hook = ?", (hook,)).fetchone()
        return None if when is None else int(when)

    def delivered(self, number: int) -> None:
        """Owe this call no more."""
        self._base.execute("DELETE FROM outbox WHERE number = ?", (number,))

    def failed(self, number: int, due_ns: int) -> None:
        """Try this call again at ``due_ns``."""
        self._base.execute("UPDATE outbox SET tries = tries + 1, due_ns = ? WHERE number = ?", (due_ns, number))

    def drop(self, hook: str, before_ns: int) -> int:
        """Give up what was made before ``before_ns`` and was tried, and the oldest beyond `MOST_WAITING`; how many."""
        old = self._base.execute(
            "DELETE FROM outbox WHERE hook = ? AND made_ns < ? AND tries > 0", (hook, before_ns)
        ).rowcount
        many = self._base.execute(
            "DELETE FROM outbox WHERE hook = ? AND number <= (SELECT number FROM outbox WHERE hook = ?"
            " ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (hook, hook, MOST_WAITING),
        ).rowcount
        return old + many
