"""The ledger itself: one connection, used by one thread at a time, one transaction a verb.

WAL and ``synchronous = NORMAL``: a power cut may take the last rows, never the file; the rebuild brings them back.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from receiver.ledger import schema, tally
from receiver.ledger.outbox import Outbox
from receiver.ledger.rows import Problem, RecordingRow, Seat, Summary, TapRow, read_summary, unix_ns

BUSY_S: Final = 5.0  # somebody looks at it with the sqlite3 shell
COLUMNS: Final = TapRow.__struct_fields__
MILESTONES: Final = {"listening": "listening_ns", "receiving": "receiving_ns"}


class LedgerBroken(Exception):
    """The file is no ledger of ours: damaged, or of another version."""


class Note(NamedTuple):
    """A tap got this far. ``ending`` and ``problem``: why it ends, of one that is finishing."""

    tap_id: str
    state: str
    at_ns: int
    ending: str | None = None
    problem: Problem | None = None


class Where(NamedTuple):
    """Which taps to list; None and empty mean any. ``after`` is the last row of the page before."""

    state: str | None = None
    call_id: str | None = None
    labels: Mapping[str, str] = {}
    since_ns: int | None = None
    after: tuple[int, str] | None = None


class Ledger:
    """Open, or make, the ledger at ``path``. Raises ``LedgerBroken``, or ``sqlite3.OperationalError`` (no space…)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._base = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._base.row_factory = sqlite3.Row
        self.outbox = Outbox(self._base)
        self.fresh = False
        try:
            self._set_up()
            tally.prepare(self._base)
            self.outbox.prepare()
        except sqlite3.OperationalError:
            self._base.close()
            raise
        except (sqlite3.DatabaseError, LedgerBroken) as error:
            self._base.close()
            raise LedgerBroken(str(error)) from error

    def _set_up(self) -> None:
        (version,) = self._base.execute("PRAGMA user_version").fetchone()
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = NORMAL")
        self.fresh = version == 0
        if self.fresh:
            self.path.chmod(0o600)
            self._base.executescript(f"BEGIN; {schema.TABLES} PRAGMA user_version = {schema.VERSION}; COMMIT;")
            return
        (verdict,) = self._base.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise LedgerBroken(str(verdict))
        while version != schema.VERSION:
            if version not in schema.STEPS:
                raise LedgerBroken(f"it is of version {version}, this is version {schema.VERSION}")
            step, version = schema.STEPS[version], version + 1
            self._base.executescript(f"BEGIN; {step} PRAGMA user_version = {version}; COMMIT;")

    def close(self) -> None:
        """Close it; the WAL is folded in."""
        self._base.close()

    # --- taps

    def ask(self, tap: TapRow, known: bool = False) -> bool:
        """Write down that a tap is asked for. With ``known`` one that stands there already is left as it is.

        Returns whether it is new.
        """
        row = msgspec.structs.asdict(tap)
        row["labels"] = _json(tap.labels)
        row |= {name: _json(told) if told else None for name, told in (("problem", tap.problem), ("seat", tap.seat))}
        done = self._base.execute(
            f"INSERT INTO taps ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})"
            + (" ON CONFLICT (id) DO NOTHING" if known else ""),
            row,
        )
        return done.rowcount == 1

    def ask_all(self, taps: Iterable[TapRow]) -> None:
        """Write down the taps of one recording, all or none."""
        with _Transaction(self._base):
            for tap in taps:
                self.ask(tap)

    def note(self, notes: Iterable[Note]) -> None:
        """Write down how far taps got. One that has its outcome is left as it is."""
        with _Transaction(self._base):
            for note in notes:
                stamp = MILESTONES.get(note.state)
                problem = _json(note.problem) if note.problem else None
                self._base.execute(
                    "UPDATE taps SET state = ?, ending = ?, problem = ?"
                    f" {f', {stamp} = coalesce({stamp}, ?)' if stamp else ''} WHERE id = ? AND outcome IS NULL",
                    (note.state, note.ending, problem, *((note.at_ns,) if stamp else ()), note.tap_id),
                )

    def point(self, tap_id: str, source: str, seat: Seat) -> None:
        """Write down from where a tap's sound is to come now."""
        self._base.execute("UPDATE taps SET source = ?, seat = ? WHERE id = ?", (source, _json(seat), tap_id))

    def seat(self, tap_id: str, seat: Seat) -> None:
        """Write down where a tap that lives is, and how it stands."""
        self._base.execute("UPDATE taps SET seat = ? WHERE id = ?", (_json(seat), tap_id))

    def amend(
        self, tap_id: str, call_id: str | None, node_id: str | None, control_id: str | None, labels: Mapping[str, str]
    ) -> None:
        """Write down what is known of a tap now."""
        self._base.execute(
            "UPDATE taps SET call_id = ?, node_id = ?, control_id = ?, labels = ? WHERE id = ?",
            (call_id, node_id, control_id, _json(labels), tap_id),
        )

    def end(self, tap_id: str, outcome: str, ending: str, problem: Problem | None, at_ns: int) -> bool:
        """Give a tap its outcome where there is no sidecar. False if it has one already (that one stands)."""
        return self._end(tap_id, outcome, ending, problem, at_ns)

    def tap(self, tap_id: str) -> TapRow | None:
        """Return one tap."""
        row = self._base.execute("SELECT * FROM taps WHERE id = ?", (tap_id,)).fetchone()
        return _tap(row) if row else None

    def taps(self, where: Where, limit: int) -> list[TapRow]:
        """Return up to ``limit`` taps, newest first."""
        terms: list[str] = ["1"]
        values: list[Any] = []
        for term, value in (("state = ?", where.state), ("call_id = ?", where.call_id)):
            if value is not None:
                terms.append(term)
                values.append(value)
        for label in where.labels.items():
            terms.append("EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)")
            values += label
        if where.since_ns is not None:
            terms.append("requested_ns >= ?")
            values.append(where.since_ns)
        if where.after is not None:
            terms.append("(requested_ns, id) < (?, ?)")
            values += where.after
        found = self._base.execute(
            f"SELECT * FROM taps WHERE {' AND '.join(terms)} ORDER BY requested_ns DESC, id DESC LIMIT ?",
            (*values, limit),
        )
        return [_tap(row) for row in found]

    def open_taps(self) -> list[TapRow]:
        """Return all taps that have no outcome yet."""
        return [_tap(row) for row in self._base.execute("SELECT * FROM taps WHERE outcome IS NULL ORDER BY id")]

    def ports_given_back(self, since_ns: int, longest_ns: int) -> dict[int, int]:
        """Return the ports of taps whose outcome was booked after ``since_ns``, with when (UNIX time).

        Of recordings that ended up to ``longest_ns`` before that, so that only the newest are looked at.
        """
        found = self._base.execute(
            "SELECT port, max(booked_ns) FROM recordings JOIN taps ON recording_id = recordings.id"
            " WHERE newest_ns > ? AND booked_ns > ? AND port IS NOT NULL GROUP BY port",
            (since_ns - longest_ns, since_ns),
        )
        return dict(map(tuple, found))

    # --- recordings

    def book(self, sidecar: bytes, stem: str | None, at_ns: int) -> bool:
        """Book a finished recording and the outcome of its taps, in one transaction.

        Taps that the ledger does not know (it was lost) are written down from the sidecar. False if the recording was
        booked before; nothing changes then. Raises ``msgspec.MsgspecError`` when it is no sidecar.
        """
        summary = read_summary(sidecar)
        ended_ns = unix_ns(summary.ended_at) or at_ns
        with _Transaction(self._base):
            new = self._base.execute(
                "INSERT INTO recordings (id, outcome, stem, newest_ns, booked_ns, summary) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                (summary.recording_id, summary.outcome, stem, ended_ns, at_ns, _json(summary)),
            ).rowcount
            if not new and stem is not None:
                self._base.execute(
                    "UPDATE recordings SET stem = ? WHERE id = ? AND stem IS NULL", (stem, summary.recording_id)
                )
            for tap_id in summary.tap_ids:
                self.ask(_from_summary(tap_id, summary, ended_ns), known=True)
                self._end(tap_id, summary.outcome, summary.ending, summary.problem or None, ended_ns)
        return new == 1

    def recording(self, recording_id: str) -> RecordingRow | None:
        """Return one recording."""
        row = self._base.execute("SELECT * FROM recordings WHERE id = ?", (recording_id,)).fetchone()
        return _recording(row) if row else None

    def recordings(self, limit: int, after: tuple[int, str] | None = None) -> list[tuple[int, RecordingRow]]:
        """Return up to ``limit`` recordings, newest first, each with the number by which it is ordered."""
        found = self._base.execute(
            "SELECT * FROM recordings WHERE (newest_ns, id) < (?, ?) ORDER BY newest_ns DESC, id DESC LIMIT ?",
            (*(after or (2**63 - 1, "")), limit),
        )
        return [(row["newest_ns"], _recording(row)) for row in found]

    def outcomes(self) -> dict[str, int]:
        """Return how many recordings ended how since the ledger began, every outcome named."""
        return tally.read(self._base)

    # --- inside

    def _end(self, tap_id: str, outcome: str, ending: str, problem: object, at_ns: int) -> bool:
        state = "failed" if outcome == "failed" else "finished"
        done = self._base.execute(
            "UPDATE taps SET state = ?, outcome = ?, ending = ?, problem = ?, ended_ns = ?"
            " WHERE id = ? AND outcome IS NULL",
            (state, outcome, ending, _json(problem) if problem else None, at_ns, tap_id),
        )
        return done.rowcount == 1


class _Transaction:
    """All of it or nothing; may be entered within another one."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        self._inner = base.in_transaction

    def __enter__(self) -> None:
        if not self._inner:
            self._base.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if not self._inner and self._base.in_transaction:
            self._base.execute("COMMIT" if kind is None else "ROLLBACK")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _tap(row: Mapping[str, Any] | sqlite3.Row) -> TapRow:
    fields = {name: row[name] for name in COLUMNS}
    fields["labels"] = msgspec.json.decode(fields["labels"])
    if fields["problem"]:
        fields["problem"] = msgspec.json.decode(fields["problem"], type=Problem)
    if fields["seat"]:
        fields["seat"] = msgspec.json.decode(fields["seat"], type=Seat)
    return TapRow(**fields)


def _recording(row: sqlite3.Row) -> RecordingRow:
    return RecordingRow(summary=read_summary(row["summary"].encode()), stem=row["stem"], booked_ns=row["booked_ns"])


def _from_summary(tap_id: str, summary: Summary, ended_ns: int) -> TapRow:
    mine: Sequence[Any] = [each for each in summary.channels if each.get("tap_id", tap_id) == tap_id]
    party = mine[0].get("party") if mine and len(summary.tap_ids) > 1 else summary.direction
    return TapRow(
        id=tap_id,
        recording_id=summary.recording_id,
        state="finishing",
        call_id=summary.call_id or None,
        node_id=summary.node_id or None,
        labels=summary.labels,
        direction=party or None,
        layout=summary.layout or None,
        codec=mine[0].get("codec") if mine else None,
        requested_ns=unix_ns(summary.requested_at) or ended_ns,
        receiving_ns=unix_ns(summary.first_packet_at),
    )
