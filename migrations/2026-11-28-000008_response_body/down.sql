SET LOCAL lock_timeout = '1s';
ALTER TABLE idempotency_keys RENAME COLUMN response_body TO answer;
