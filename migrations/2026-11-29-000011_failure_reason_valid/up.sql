-- Validates the constraint that 000009 added as NOT VALID, so that old rows are checked as well.
--
-- Safe to run live: VALIDATE CONSTRAINT reads the whole table, but its lock (SHARE UPDATE EXCLUSIVE)
-- blocks neither reads nor writes. It waits only for another schema change or a vacuum of the table.
--
-- Oldest compatible version: 20261128000008
SET LOCAL lock_timeout = '1s';

ALTER TABLE orders VALIDATE CONSTRAINT orders_failure_reason_known;
