SET LOCAL lock_timeout = '1s';
DROP TABLE idempotency_keys;
