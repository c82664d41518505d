-- The form of a product's name that a search compares, computed by the service: lower() and ILIKE
-- depend on the locale of the database, and in the locale C they know ASCII only, so that LAMPE
-- found Lampe and ЛАМПА did not find Лампа.
--
-- search_key_source is the name that the key was computed from. The version before writes names
-- without a key; then the two differ, a search uses lower(name), and a job of this version fills
-- the key (a migration cannot: SQL does not have the tables of Unicode).
--
-- Safe to run live: adds two nullable columns, which rewrites nothing. The version before does not
-- name them.
--
-- Oldest compatible version: 20261128000008
SET LOCAL lock_timeout = '1s';

ALTER TABLE products
    ADD COLUMN search_key        text,
    ADD COLUMN search_key_source text;
