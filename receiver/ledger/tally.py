"""How many recordings ended how, since the ledger began: for metrics, which ask every few seconds.

Counting rows would take longer with every recording (a million: four seconds of the clerk's thread), so the tables
count along: a trigger, in the transaction that gives a tap its outcome. History that is deleted stays counted.
"""

import sqlite3
from typing import Final

OUTCOMES: Final = ("complete", "degraded", "empty", "failed")

_MADE: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'tally'"
_NEW: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE tally (outcome TEXT PRIMARY KEY, recordings INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO tally VALUES {", ".join(f"('{outcome}', 0)" for outcome in OUTCOMES)};
UPDATE tally SET recordings = (SELECT count(DISTINCT recording_id) FROM taps WHERE taps.outcome = tally.outcome);
-- Two taps may be one recording (stereo): it counts with the first of them that ends. No tap is born with an outcome.
CREATE TRIGGER tally_counts_along AFTER UPDATE OF outcome ON taps
WHEN OLD.outcome IS NULL AND NEW.outcome IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM taps WHERE recording_id = NEW.recording_id AND id <> NEW.id AND outcome IS NOT NULL)
BEGIN UPDATE tally SET recordings = recordings + 1 WHERE outcome = NEW.outcome; END;
COMMIT;
"""


def prepare(base: sqlite3.Connection) -> None:
    """Have the ledger count along; one that did not until now is counted once."""
    if base.execute(_MADE).fetchone() is None:
        base.executescript(_NEW)


def read(base: sqlite3.Connection) -> dict[str, int]:
    """Return recordings by outcome, the zeros as well."""
    return dict(base.execute("SELECT outcome, recordings FROM tally").fetchall())
