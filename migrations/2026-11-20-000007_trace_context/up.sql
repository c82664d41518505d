-- Which span caused a payment job or an event (W3C traceparent), so that the
-- trace of the work that follows can be linked to it. Null: nobody's request.
--
-- Safe to run live: a nullable column without a default changes the catalogue
-- alone and rewrites no row, and the version before this one does not see it.
-- The lock on each table is short, but it waits for the transactions that use
-- the table, and everybody else waits behind it: after 1 s it fails instead,
-- nothing has changed, and `orderly migrate` retries it.
--
-- Oldest compatible version: 20261120000001
SET LOCAL lock_timeout = '1s';

ALTER TABLE payment_jobs ADD COLUMN trace_context text;
ALTER TABLE outbox       ADD COLUMN trace_context text;
