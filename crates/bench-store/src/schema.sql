-- Everything here is read from journals; `bench store rebuild` rebuilds it.
CREATE TABLE shape (
    id    INTEGER PRIMARY KEY,
    hash  BLOB NOT NULL UNIQUE,
    steps TEXT NOT NULL            -- JSON, as in run-started
);
CREATE TABLE run (
    id          INTEGER PRIMARY KEY,
    digest      BLOB NOT NULL UNIQUE, -- the journal's seal, or the hash of one that has none
    sealed      INTEGER NOT NULL,
    path        TEXT NOT NULL UNIQUE, -- from the folder of reports
    size        INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    run_id      TEXT NOT NULL,
    serial      TEXT NOT NULL,
    model       TEXT NOT NULL,
    plan        TEXT NOT NULL,
    fixture     TEXT NOT NULL,
    station     TEXT,
    nest        TEXT,
    lot         TEXT,
    started_at  TEXT,                 -- as recorded
    started_us  INTEGER,              -- since 1970, UTC; NULL: the date cannot be trusted
    day         TEXT,                 -- of the station's calendar; NULL: the date cannot be trusted
    series      TEXT,                 -- of the station's runs
    number      INTEGER,              -- in the series; it only grows
    place       INTEGER NOT NULL DEFAULT 0, -- in the true order of all runs
    duration_us INTEGER NOT NULL,
    finished    INTEGER NOT NULL,
    verdict     TEXT NOT NULL,
    first_pass  INTEGER NOT NULL,
    reason      TEXT,
    shape       INTEGER NOT NULL REFERENCES shape (id),
    late_us     INTEGER,              -- the most that the controller was late in a step; NULL: it was not
    late_cause  TEXT,
    voids       INTEGER NOT NULL,     -- attempts that did not count because of that
    steps       BLOB NOT NULL         -- two bytes a step: verdicts of first and last attempt, number of attempts
);
CREATE INDEX run_by_serial ON run (serial, place);
CREATE INDEX run_by_place ON run (place);
CREATE TABLE reading (
    run      INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
    readings BLOB NOT NULL            -- 64-bit little-endian numbers in the shape's order; NaN where there is none
);
CREATE TABLE fault (
    run     INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    step    INTEGER NOT NULL,         -- in the shape
    counts  INTEGER NOT NULL,         -- 0: of an attempt that was repeated
    defect  TEXT NOT NULL,
    contact INTEGER,
    text    TEXT NOT NULL
);
CREATE INDEX fault_by_run ON fault (run);
