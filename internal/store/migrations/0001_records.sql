-- Records, each sealed as a whole. What stands beside the seal only serves to
-- find it: nothing is believed that the seal does not say too.
CREATE TABLE mcpo_records (
    hash     text PRIMARY KEY, -- of the record's key
    kind     text NOT NULL,
    seal_key text NOT NULL,    -- the id of the encryption key
    expires  timestamptz,      -- NULL is never
    record   bytea NOT NULL
);
CREATE INDEX mcpo_records_kind ON mcpo_records (kind);
CREATE INDEX mcpo_records_expires ON mcpo_records (expires);

-- Records that did not open, for somebody to look at.
CREATE TABLE mcpo_damaged (
    hash   text NOT NULL,
    kind   text NOT NULL,
    record bytea NOT NULL,
    reason text NOT NULL,
    found  timestamptz NOT NULL DEFAULT now()
);

-- Who may work on a record now: the last who got a fence, until that time.
CREATE TABLE mcpo_locks (
    hash   text PRIMARY KEY, -- of the record's key
    holder text NOT NULL,    -- one process
    fence  bigint NOT NULL,
    until  timestamptz NOT NULL
);
CREATE SEQUENCE mcpo_fences;

-- The ids of the encryption keys that the replicas share.
CREATE TABLE mcpo_keys (
    id text PRIMARY KEY
);
