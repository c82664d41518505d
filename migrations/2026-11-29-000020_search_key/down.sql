SET LOCAL lock_timeout = '1s';

ALTER TABLE products
    DROP COLUMN search_key,
    DROP COLUMN search_key_source;
