SET LOCAL lock_timeout = '1s';
ALTER TABLE outbox       DROP COLUMN trace_context;
ALTER TABLE payment_jobs DROP COLUMN trace_context;
