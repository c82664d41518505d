DROP TABLE products;
DROP EXTENSION pg_trgm;
