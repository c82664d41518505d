-- Why the payment of an order failed: its charge was declined, or it was not paid in time.
--
-- Safe to run live: a nullable column without a default changes the catalogue alone and rewrites no
-- row, and NOT VALID keeps the constraint from reading the table (000011 validates it). The version
-- before this one does not see the column and writes null; this version reads null as 'declined', the
-- only reason that the version before knew. The lock is short, but it waits for the transactions that
-- use the table, and later statements wait behind it: after 1 s it fails instead, nothing has changed,
-- and `orderly migrate` retries it.
--
-- The foreign key of payment_jobs is dropped here and not with its table in the next migration. DROP
-- TABLE also locks the referenced table, orders. Requests lock orders first and payment_jobs second;
-- a migration that locks them in the other order deadlocks with a request. This one locks orders first.
--
-- Oldest compatible version: 20261128000008
SET LOCAL lock_timeout = '1s';

ALTER TABLE orders ADD COLUMN failure_reason text;
ALTER TABLE orders ADD CONSTRAINT orders_failure_reason_known
    CHECK (failure_reason IN ('declined', 'expired')) NOT VALID;
-- squawk-ignore ban-drop-constraint
ALTER TABLE payment_jobs DROP CONSTRAINT payment_jobs_order_fkey;
