-- What is for sale.
--
-- Safe to run live: no version before reads the new table, and no other table is locked.
--
-- stock is what is left, stock_received is all that ever came in, so that
-- "stock + sold = received" can be checked at any moment, by anybody, with SQL.
-- version counts every change of what a client can see; it is the ETag.
--
-- Every order updates the stock of its products. A fillfactor below 100 leaves
-- room on each page, so that such an update stays on its page and touches no
-- index (a heap-only tuple, PostgreSQL manual 73.7). The checks on it keep the
-- last word when the code is wrong: nothing can be sold that is not there.
--
-- Oldest compatible version: 20261120000001
SET LOCAL lock_timeout = '1s';

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE TABLE products (
    id             uuid        NOT NULL,
    sku            text        NOT NULL,
    name           text        NOT NULL,
    price_minor    bigint      NOT NULL,
    currency       text        NOT NULL,
    stock          integer     NOT NULL,
    stock_received bigint      NOT NULL,
    version        bigint      NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT products_pkey               PRIMARY KEY (id),
    CONSTRAINT products_sku_key            UNIQUE (sku),
    CONSTRAINT products_sku_length         CHECK (char_length(sku) BETWEEN 1 AND 64),
    CONSTRAINT products_name_length        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT products_price_positive     CHECK (price_minor > 0),
    CONSTRAINT products_currency_shape     CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT products_stock_not_negative CHECK (stock >= 0),
    CONSTRAINT products_stock_was_received CHECK (stock <= stock_received),
    -- An admin may fill up to 1000000000; the rest is room for what cancelled
    -- orders put back, far from the end of an integer.
    CONSTRAINT products_stock_bounded      CHECK (stock <= 2000000000),
    CONSTRAINT products_version_positive   CHECK (version > 0)
) WITH (fillfactor = 80);

-- Search by a part of the name; a trigram index serves ILIKE '%part%'.
CREATE INDEX products_name_trgm ON products USING gin (name gin_trgm_ops);
