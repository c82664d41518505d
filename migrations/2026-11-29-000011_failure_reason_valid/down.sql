SET LOCAL lock_timeout = '1s';
ALTER TABLE orders DROP CONSTRAINT orders_failure_reason_known;
ALTER TABLE orders ADD CONSTRAINT orders_failure_reason_known
    CHECK (failure_reason IN ('declined', 'expired')) NOT VALID;
