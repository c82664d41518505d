-- Deletes the jobs of other kinds. A payment job without a readable payload stops it: requeue or delete
-- that one first. Locks the view before its table, as the version before does, and does not lock orders:
-- the migration before this one restores the foreign key.
SET LOCAL lock_timeout = '1s';
LOCK TABLE payment_jobs IN ACCESS EXCLUSIVE MODE;
ALTER VIEW payment_jobs RENAME TO payment_jobs_view;

CREATE TABLE payment_jobs (
    order_id      uuid        NOT NULL,
    kind          text        NOT NULL,
    amount_minor  bigint      NOT NULL,
    currency      text        NOT NULL,
    attempts      integer     NOT NULL DEFAULT 0,
    run_at        timestamptz NOT NULL,
    lease_token   uuid,
    last_error    text,
    dead_at       timestamptz,
    created_at    timestamptz NOT NULL,
    trace_context text,
    CONSTRAINT payment_jobs_pkey                  PRIMARY KEY (order_id),
    CONSTRAINT payment_jobs_kind_known            CHECK (kind IN ('charge', 'refund')),
    CONSTRAINT payment_jobs_amount_positive       CHECK (amount_minor > 0),
    CONSTRAINT payment_jobs_attempts_not_negative CHECK (attempts >= 0)
) WITH (fillfactor = 80);

INSERT INTO payment_jobs (order_id, kind, amount_minor, currency, attempts, run_at, lease_token, last_error,
    dead_at, created_at, trace_context)
SELECT order_id, kind, amount_minor, currency, attempts, run_at, lease_token, last_error, dead_at,
    created_at, trace_context
FROM payment_jobs_view;

CREATE INDEX payment_jobs_due  ON payment_jobs (run_at)  WHERE dead_at IS NULL;
CREATE INDEX payment_jobs_dead ON payment_jobs (dead_at) WHERE dead_at IS NOT NULL;

DROP VIEW payment_jobs_view;
DROP FUNCTION insert_payment_job();
DROP FUNCTION update_payment_job();
DROP FUNCTION delete_payment_job();
DROP TABLE jobs;
