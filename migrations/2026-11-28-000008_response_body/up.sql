-- Renames idempotency_keys.answer to response_body, the name in the code.
--
-- NOT safe while replicas of the version before run: they name the column answer in every claim and
-- every order, so each order fails with an error until the last of them is replaced; a replica of
-- this version rejects a schema without the migration when it starts. Nothing is released yet, so
-- one step is acceptable: stop the service, migrate, start the new version.
--
-- A live system would expand and contract, with a release between the steps:
-- 1. Add response_body as a nullable column; the release writes both columns and reads
--    coalesce(response_body, answer).
-- 2. When no older replica runs, copy answer to response_body in batches.
-- 3. The next release reads and writes response_body alone.
-- 4. When no replica of step 1 runs, drop answer.
--
-- The rename changes the catalogue alone. Its lock is short, but it waits for the transactions that
-- use the table, and later statements wait behind it: after 1 s it fails instead, nothing has
-- changed, and `orderly migrate` retries it.
--
-- Oldest compatible version: 20261128000008
SET LOCAL lock_timeout = '1s';

-- squawk-ignore renaming-column
ALTER TABLE idempotency_keys RENAME COLUMN answer TO response_body;
