-- Which requests were already answered, and how.
--
-- Safe to run live: no version before reads the new table. Its foreign key locks users against writes
-- (SHARE ROW EXCLUSIVE) until the migration commits. The lock is short, since a new table has no rows
-- to check, but it waits for the transactions that have written to users, and later writes wait behind
-- it: after 1 s it fails instead, nothing has changed, and `orderly migrate` retries it.
--
-- The row is written in the transaction that does the work, so the key, the
-- work and the answer are there together or not at all. A second request with
-- the same key waits on the primary key until the first one has ended.
-- answer is null only inside the transaction that claimed the key.
--
-- Oldest compatible version: 20261120000001
SET LOCAL lock_timeout = '1s';

CREATE TABLE idempotency_keys (
    user_id     uuid        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    resource_id uuid,
    answer      text,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey               PRIMARY KEY (user_id, key),
    CONSTRAINT idempotency_keys_user_fkey          FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT idempotency_keys_key_length         CHECK (char_length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_fingerprint_sha256 CHECK (octet_length(fingerprint) = 32)
);

-- For the job that deletes what has expired.
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);
