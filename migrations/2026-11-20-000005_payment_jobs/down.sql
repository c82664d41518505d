DROP TABLE payment_jobs;
