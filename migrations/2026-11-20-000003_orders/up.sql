-- What was ordered, line by line, and what was paid.
--
-- Safe to run live: no version before reads the new tables. A foreign key also locks the referenced
-- table against writes (SHARE ROW EXCLUSIVE), here users and products, until the migration commits.
-- The lock is short, since a new table has no rows to check, but it waits for the transactions that
-- have written to the referenced table, and later writes wait behind it: after 1 s it fails instead,
-- nothing has changed, and `orderly migrate` retries it.
--
-- Ids are UUIDv7, which sort by time: (user_id, id) serves "my orders, newest
-- first" with the cursor, and no index on created_at is needed.
--
-- Oldest compatible version: 20261120000001
SET LOCAL lock_timeout = '1s';

CREATE TABLE orders (
    id          uuid        NOT NULL,
    user_id     uuid        NOT NULL,
    status      text        NOT NULL,
    total_minor bigint      NOT NULL,
    currency    text        NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT orders_pkey           PRIMARY KEY (id),
    CONSTRAINT orders_user_fkey      FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT orders_status_known   CHECK (status IN ('pending', 'paid', 'shipped', 'cancelled', 'payment_failed')),
    CONSTRAINT orders_total_positive CHECK (total_minor > 0),
    CONSTRAINT orders_currency_shape CHECK (currency ~ '^[A-Z]{3}$')
) WITH (fillfactor = 80);

CREATE INDEX orders_user_newest ON orders (user_id, id DESC);

CREATE TABLE order_lines (
    order_id         uuid     NOT NULL,
    line_no          smallint NOT NULL,
    product_id       uuid     NOT NULL,
    quantity         integer  NOT NULL,
    unit_price_minor bigint   NOT NULL,
    line_total_minor bigint   NOT NULL,
    CONSTRAINT order_lines_pkey             PRIMARY KEY (order_id, line_no),
    CONSTRAINT order_lines_product_once     UNIQUE (order_id, product_id),
    CONSTRAINT order_lines_order_fkey       FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT order_lines_product_fkey     FOREIGN KEY (product_id) REFERENCES products (id),
    CONSTRAINT order_lines_line_no_range    CHECK (line_no BETWEEN 1 AND 100),
    CONSTRAINT order_lines_quantity_range   CHECK (quantity BETWEEN 1 AND 1000),
    CONSTRAINT order_lines_price_positive   CHECK (unit_price_minor > 0),
    CONSTRAINT order_lines_total_is_product CHECK (line_total_minor = unit_price_minor * quantity)
);

-- One row for each order that was charged: the proof of payment. The key makes
-- "paid twice" impossible to write down.
CREATE TABLE payments (
    order_id     uuid        NOT NULL,
    charge_id    text        NOT NULL,
    amount_minor bigint      NOT NULL,
    currency     text        NOT NULL,
    paid_at      timestamptz NOT NULL,
    CONSTRAINT payments_pkey            PRIMARY KEY (order_id),
    CONSTRAINT payments_charge_key      UNIQUE (charge_id),
    CONSTRAINT payments_order_fkey      FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT payments_amount_positive CHECK (amount_minor > 0)
);
