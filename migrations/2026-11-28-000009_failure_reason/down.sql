-- Locks orders before payment_jobs, as requests do. The foreign key is checked for every row of
-- payment_jobs: run it while the queue is short.
SET LOCAL lock_timeout = '1s';
ALTER TABLE orders DROP COLUMN failure_reason;
ALTER TABLE payment_jobs ADD CONSTRAINT payment_jobs_order_fkey
    FOREIGN KEY (order_id) REFERENCES orders (id);
