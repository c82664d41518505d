SET LOCAL lock_timeout = '1s';
DROP TABLE products;
DROP EXTENSION pg_trgm;
