-- Payments that are still to be made: a queue in the same database, so that an
-- order and the job that will charge for it are committed together.
--
-- Safe to run live: no version before reads the new table. Its foreign key locks orders against writes
-- (SHARE ROW EXCLUSIVE) until the migration commits. The lock is short, since a new table has no rows
-- to check, but it waits for the transactions that have written to orders, and later writes wait behind
-- it: after 1 s it fails instead, nothing has changed, and `orderly migrate` retries it.
--
-- run_at says when a job may next be taken. Taking one (a lease) pushes run_at
-- to the end of the lease and writes a fresh lease_token; if the worker dies,
-- the job is simply due again, and the dead worker's token no longer matches.
-- A job is deleted when it is done; dead_at marks one that was given up on.
--
-- Oldest compatible version: 20261120000001
SET LOCAL lock_timeout = '1s';

CREATE TABLE payment_jobs (
    order_id     uuid        NOT NULL,
    kind         text        NOT NULL,
    amount_minor bigint      NOT NULL,
    currency     text        NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    run_at       timestamptz NOT NULL,
    lease_token  uuid,
    last_error   text,
    dead_at      timestamptz,
    created_at   timestamptz NOT NULL,
    CONSTRAINT payment_jobs_pkey                  PRIMARY KEY (order_id),
    CONSTRAINT payment_jobs_order_fkey            FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT payment_jobs_kind_known            CHECK (kind IN ('charge', 'refund')),
    CONSTRAINT payment_jobs_amount_positive       CHECK (amount_minor > 0),
    CONSTRAINT payment_jobs_attempts_not_negative CHECK (attempts >= 0)
) WITH (fillfactor = 80);

CREATE INDEX payment_jobs_due  ON payment_jobs (run_at)  WHERE dead_at IS NULL;
CREATE INDEX payment_jobs_dead ON payment_jobs (dead_at) WHERE dead_at IS NOT NULL;
