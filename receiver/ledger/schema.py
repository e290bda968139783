"""The tables. What must hold is held here, so that no caller can break it."""

from typing import Final

VERSION: Final = 3
"""In ``PRAGMA user_version``. A ledger of an older version is brought up step by step, because an upgrade goes on with
the taps that live in it; one of a newer version is put aside and rebuilt."""

STEPS: Final = {2: "ALTER TABLE taps ADD COLUMN seat TEXT CHECK (seat IS NULL OR json_valid(seat));"}
"""From which version, what brings it to the next."""

TABLES: Final = """
CREATE TABLE taps (
    id            TEXT PRIMARY KEY,
    recording_id  TEXT NOT NULL,
    state         TEXT NOT NULL
                  CHECK (state IN ('requested', 'listening', 'receiving', 'finishing', 'finished', 'failed')),
    call_id       TEXT,
    node_id       TEXT,
    labels        TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(labels)),
    direction     TEXT,
    layout        TEXT,
    codec         TEXT,
    ptime         INTEGER,
    control_id    TEXT,
    device        TEXT CHECK (device IN ('rtp', 'ws')),
    source        TEXT,
    address       TEXT,
    port          INTEGER,
    requested_ns  INTEGER NOT NULL,
    listening_ns  INTEGER,
    receiving_ns  INTEGER,
    ended_ns      INTEGER,
    ending        TEXT,
    outcome       TEXT CHECK (outcome IN ('complete', 'degraded', 'empty', 'failed')),
    problem       TEXT CHECK (problem IS NULL OR json_valid(problem)),
    seat          TEXT CHECK (seat IS NULL OR json_valid(seat)),
    -- An outcome and an end are the same thing, and state `failed` is outcome `failed` (rules D).
    CHECK ((outcome IS NOT NULL) = (state IN ('finished', 'failed'))),
    CHECK ((outcome IS 'failed') = (state = 'failed'))
) STRICT, WITHOUT ROWID;

CREATE INDEX taps_newest ON taps (requested_ns DESC, id DESC);
CREATE INDEX taps_of_recording ON taps (recording_id);
CREATE INDEX taps_open ON taps (id) WHERE outcome IS NULL;

-- Promise P6: exactly one outcome. The first stands.
CREATE TRIGGER one_outcome BEFORE UPDATE ON taps
WHEN OLD.outcome IS NOT NULL AND (NEW.outcome IS NOT OLD.outcome OR NEW.state IS NOT OLD.state)
BEGIN SELECT RAISE(ABORT, 'this tap has its outcome'); END;

CREATE TRIGGER no_tap_is_forgotten BEFORE DELETE ON taps
WHEN OLD.outcome IS NULL
BEGIN SELECT RAISE(ABORT, 'this tap has no outcome yet'); END;

CREATE TABLE recordings (
    id         TEXT PRIMARY KEY,
    outcome    TEXT NOT NULL CHECK (outcome IN ('complete', 'degraded', 'empty', 'failed')),
    stem       TEXT,                   -- path below ready/, without suffix
    newest_ns  INTEGER NOT NULL,       -- when it ended, else when it was booked: the order of listings
    booked_ns  INTEGER NOT NULL,
    summary    TEXT NOT NULL CHECK (json_valid(summary))
) STRICT, WITHOUT ROWID;

CREATE INDEX recordings_newest ON recordings (newest_ns DESC, id DESC);
"""
