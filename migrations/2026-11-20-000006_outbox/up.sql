-- Events that are still to be published (transactional outbox): written with
-- the change they tell of, deleted after they were published.
--
-- Safe to run live: a new table, nobody reads it yet.
--
-- Whoever changes an order holds its row lock, so the ids of one order's events
-- grow in the order in which they happened. Ids of different orders may commit
-- out of order, so a reader must take the lowest rows there are and never
-- remember a position.
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
