-- Events that are still to be published (transactional outbox): written with
-- the change they tell of, deleted after they were published.
--
-- Safe to run live: no version before reads the new table. Its foreign key locks orders against writes
-- (SHARE ROW EXCLUSIVE) until the migration commits. The lock is short, since a new table has no rows
-- to check, but it waits for the transactions that have written to orders, and later writes wait behind
-- it: after 1 s it fails instead, nothing has changed, and `orderly migrate` retries it.
--
-- Whoever changes an order holds its row lock, so the ids of one order's events
-- grow in the order in which they happened. Ids of different orders may commit
-- out of order, so a reader must take the lowest rows there are and never
-- remember a position.
--
-- Oldest compatible version: 20261120000001
SET LOCAL lock_timeout = '1s';

CREATE TABLE outbox (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    event_id    uuid        NOT NULL,
    order_id    uuid        NOT NULL,
    kind        text        NOT NULL,
    data        text        NOT NULL,
    occurred_at timestamptz NOT NULL,
    CONSTRAINT outbox_pkey       PRIMARY KEY (id),
    CONSTRAINT outbox_order_fkey FOREIGN KEY (order_id) REFERENCES orders (id)
);
