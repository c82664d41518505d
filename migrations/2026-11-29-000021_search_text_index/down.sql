SET LOCAL lock_timeout = '1s';

DROP INDEX products_search_text;
