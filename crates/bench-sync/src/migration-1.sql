CREATE TABLE shape (
    hash  bytea PRIMARY KEY,
    steps jsonb NOT NULL
);
CREATE TABLE run (
    digest      bytea   NOT NULL, -- the journal's seal; the same run has the same one wherever it comes from
    day         date    NOT NULL, -- of the station's calendar; 1970-01-01 when a run has no date
    run_id      text    NOT NULL,
    serial      text    NOT NULL,
    model       text    NOT NULL,
    plan        text    NOT NULL,
    station     text,
    nest        text,
    lot         text,
    started_us  bigint,
    duration_us bigint  NOT NULL,
    verdict     text    NOT NULL CHECK (verdict IN ('pass', 'fail', 'error', 'skipped', 'aborted')),
    first_pass  boolean NOT NULL,
    shape       bytea   NOT NULL REFERENCES shape (hash),
    steps       text[]  NOT NULL, -- attempts, verdict of the first, verdict of the last; in the shape's order
    readings    double precision[] NOT NULL, -- in the shape's order; NaN where there is none
    PRIMARY KEY (digest, day)
) PARTITION BY RANGE (day);
CREATE INDEX run_by_serial ON run (serial, started_us);
CREATE INDEX run_by_model ON run (model, day);
CREATE TABLE fault (
    digest  bytea   NOT NULL,
    day     date    NOT NULL,
    step    integer NOT NULL,
    counts  boolean NOT NULL,
    defect  text    NOT NULL,
    contact smallint,
    text    text    NOT NULL,
    FOREIGN KEY (digest, day) REFERENCES run (digest, day) ON DELETE CASCADE
);
CREATE INDEX fault_by_run ON fault (digest, day);

-- The partition of a day's month. Stations may ask for the same one at once: the lock lets one of them make it.
CREATE FUNCTION bench_partition(wanted date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first date := date_trunc('month', wanted)::date;
    name  text := 'run_' || to_char(wanted, 'YYYY_MM');
BEGIN
    IF to_regclass(quote_ident(name)) IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('bench_partition'));
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF run FOR VALUES FROM (%L) TO (%L)',
                       name, first, (first + interval '1 month')::date);
    END IF;
END $$;
