-- Before each round: the same tables for both sides, whatever the last one left in them, and no
-- checkpoint or vacuum that belongs to it.
TRUNCATE orders, order_lines, payments, jobs, outbox, idempotency_keys;
VACUUM (ANALYZE) products, users;
CHECKPOINT;
