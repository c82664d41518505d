-- Search by a part of the name: the expression is that of the service (storage/products.rs). The
-- version before uses products_name_trgm; a later release drops it.
--
-- Safe to run live: built without a lock on writes.
--
-- Oldest compatible version: 20261128000008
-- No transaction: CREATE INDEX CONCURRENTLY cannot run in one.
DROP INDEX CONCURRENTLY IF EXISTS products_search_text;
CREATE INDEX CONCURRENTLY products_search_text ON products USING gin (
    (CASE WHEN search_key_source = name THEN search_key ELSE lower(name) END) gin_trgm_ops
);
