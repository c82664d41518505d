SET LOCAL lock_timeout = '1s';
DROP TABLE payment_jobs;
