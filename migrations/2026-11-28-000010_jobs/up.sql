-- Background work of every kind: a queue in the same database, so that a change and the job that
-- follows from it are committed together. Takes over the rows of payment_jobs, which becomes a view.
--
-- run_at is the time at which a job may next be leased. A lease sets run_at to its end and writes a
-- fresh lease_token; if the worker dies, the job is due again, and the token of the dead worker no
-- longer matches. due_at is the time at which the job was first due: its age counts from there. A
-- completed job is deleted; dead_at marks a dead-lettered one.
--
-- key names a job among those of its kind: the order's id for the jobs of an order, or random where any
-- number of jobs may exist. There is no other id: one more index cost each order 6 %.
--
-- No foreign key to orders: a job of another kind has none, and the check costs each order 2 %.
-- "A pending order has a charge and an expiry to come" is an invariant (orderly check-invariants).
--
-- Safe to run live, and this version runs beside the one before. That one leases, settles, cancels and
-- places orders through the view payment_jobs, whose triggers write the same rows of jobs:
-- - The columns have the same types, so a prepared statement is planned again and not rejected.
-- - FOR UPDATE SKIP LOCKED on the view locks the rows of jobs, so no job is leased twice.
-- - A trigger sees the row as of the start of its statement. It changes a row that another
--   transaction has changed since only for a cancellation, which takes back the charge in any case.
-- - The version before knows no expiry: the triggers add it to a new order and delete it when the
--   order leaves pending.
-- A pending order has 24 h from now on until it expires, the default of orders.payment_window.
--
-- The lock on payment_jobs waits for the transactions that use it, and later statements wait behind
-- it: after 1 s it fails instead, nothing has changed, and `orderly migrate` retries it. Then the rows are
-- copied under the lock, about 25,000 a second, and new orders wait. That is acceptable because a queue
-- is short: a payment is a row only until it is made. Run this while the number of rows is small:
--     SELECT count(*) FROM payment_jobs;
-- The release after this one drops the view and the index jobs_payment_order_id (README.md).
--
-- Oldest compatible version: 20261128000008
SET LOCAL lock_timeout = '1s';

CREATE TABLE jobs (
    kind          text        NOT NULL,
    key           text        NOT NULL DEFAULT gen_random_uuid()::text,
    payload       jsonb       NOT NULL,
    attempts      integer     NOT NULL DEFAULT 0,
    run_at        timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,
    lease_token   uuid,
    last_error    text,
    dead_at       timestamptz,
    trace_context text,
    CONSTRAINT jobs_pkey                  PRIMARY KEY (kind, key),
    CONSTRAINT jobs_attempts_not_negative CHECK (attempts >= 0)
) WITH (fillfactor = 80);

CREATE INDEX jobs_due  ON jobs (kind, run_at) WHERE dead_at IS NULL;
CREATE INDEX jobs_dead ON jobs (dead_at)      WHERE dead_at IS NOT NULL;

LOCK TABLE payment_jobs IN ACCESS EXCLUSIVE MODE;

INSERT INTO jobs (kind, key, payload, attempts, run_at, due_at, lease_token, last_error, dead_at,
    trace_context)
SELECT 'payment', order_id::text,
    jsonb_build_object('operation', kind, 'order_id', order_id, 'amount_minor', amount_minor,
        'currency', currency),
    attempts, run_at, created_at, lease_token, last_error, dead_at, trace_context
FROM payment_jobs;

INSERT INTO jobs (kind, key, payload, run_at, due_at, trace_context)
SELECT 'order_expiry', order_id::text, jsonb_build_object('order_id', order_id),
    now() + interval '24 hours', now() + interval '24 hours', trace_context
FROM payment_jobs WHERE kind = 'charge';

-- The rows were copied above.
-- squawk-ignore ban-drop-table
DROP TABLE payment_jobs;

-- For the version before: its statements find a payment by order_id, which the view shows as key::uuid.
CREATE INDEX jobs_payment_order_id ON jobs ((key::uuid)) WHERE kind = 'payment';

CREATE VIEW payment_jobs AS
SELECT key::uuid                            AS order_id,
    payload ->> 'operation'                 AS kind,
    (payload ->> 'amount_minor')::bigint    AS amount_minor,
    payload ->> 'currency'                  AS currency,
    attempts, run_at, lease_token, last_error, dead_at,
    due_at                                  AS created_at,
    trace_context
FROM jobs WHERE jobs.kind = 'payment';

CREATE FUNCTION insert_payment_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO jobs (kind, key, payload, run_at, due_at, trace_context) VALUES
        ('payment', NEW.order_id::text,
            jsonb_build_object('operation', NEW.kind, 'order_id', NEW.order_id,
                'amount_minor', NEW.amount_minor, 'currency', NEW.currency),
            NEW.run_at, NEW.created_at, NEW.trace_context),
        ('order_expiry', NEW.order_id::text, jsonb_build_object('order_id', NEW.order_id),
            NEW.run_at + interval '24 hours', NEW.run_at + interval '24 hours', NEW.trace_context);
    RETURN NEW;
END $$;

CREATE FUNCTION update_payment_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_cancellation CONSTANT boolean := NEW.kind <> OLD.kind;
BEGIN
    UPDATE jobs SET payload = payload || jsonb_build_object('operation', NEW.kind),
        attempts = NEW.attempts, run_at = NEW.run_at, due_at = NEW.created_at,
        lease_token = NEW.lease_token, last_error = NEW.last_error, dead_at = NEW.dead_at,
        trace_context = NEW.trace_context
    WHERE kind = 'payment' AND key = OLD.order_id::text
        AND (is_cancellation OR (run_at = OLD.run_at AND attempts = OLD.attempts
            AND lease_token IS NOT DISTINCT FROM OLD.lease_token
            AND dead_at IS NOT DISTINCT FROM OLD.dead_at));
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF is_cancellation THEN
        DELETE FROM jobs WHERE kind = 'order_expiry' AND key = OLD.order_id::text;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION delete_payment_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM jobs WHERE kind = 'payment' AND key = OLD.order_id::text
        AND attempts = OLD.attempts AND lease_token IS NOT DISTINCT FROM OLD.lease_token;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    DELETE FROM jobs WHERE kind = 'order_expiry' AND key = OLD.order_id::text;
    RETURN OLD;
END $$;

CREATE TRIGGER payment_jobs_insert INSTEAD OF INSERT ON payment_jobs
    FOR EACH ROW EXECUTE FUNCTION insert_payment_job();
CREATE TRIGGER payment_jobs_update INSTEAD OF UPDATE ON payment_jobs
    FOR EACH ROW EXECUTE FUNCTION update_payment_job();
CREATE TRIGGER payment_jobs_delete INSTEAD OF DELETE ON payment_jobs
    FOR EACH ROW EXECUTE FUNCTION delete_payment_job();
