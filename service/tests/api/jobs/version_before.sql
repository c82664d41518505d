-- The statements of the version before the general queue that name payment_jobs, word for word.
PREPARE record_order (uuid, uuid, uuid, text) AS
WITH line AS (SELECT * FROM unnest(ARRAY[$3], ARRAY[1], ARRAY[250::int8], ARRAY[250::int8])
        WITH ORDINALITY AS line (product_id, quantity, unit_price, line_total, line_no)),
    placed AS (INSERT INTO orders (id, user_id, status, total_minor, currency, created_at, updated_at)
        VALUES ($1, $2, 'pending', 250, 'EUR', now(), now())
        RETURNING id, user_id, total_minor, currency, created_at),
    reserved AS (UPDATE products SET stock = products.stock - line.quantity,
        version = products.version + 1, updated_at = placed.created_at
        FROM line, placed WHERE products.id = line.product_id),
    lines AS (INSERT INTO order_lines
        (order_id, line_no, product_id, quantity, unit_price_minor, line_total_minor)
        SELECT placed.id, line_no, product_id, quantity, unit_price, line_total FROM line, placed),
    event AS (INSERT INTO outbox (event_id, order_id, kind, data, occurred_at, trace_context)
        SELECT gen_random_uuid(), id, 'order.placed', '{}', created_at, $4 FROM placed),
    job AS (INSERT INTO payment_jobs
        (order_id, kind, amount_minor, currency, run_at, created_at, trace_context)
        SELECT id, 'charge', total_minor, currency, now(), created_at, $4 FROM placed)
    UPDATE idempotency_keys SET resource_id = placed.id
        FROM placed WHERE idempotency_keys.user_id = placed.user_id
        AND idempotency_keys.key = 'no such key';
PREPARE lease (uuid, int8, int8) AS
UPDATE payment_jobs SET lease_token = $1, attempts = attempts + 1,
    run_at = now() + $2 * interval '1 millisecond'
    WHERE order_id = ANY (ARRAY(SELECT order_id FROM payment_jobs
    WHERE dead_at IS NULL AND run_at <= now() ORDER BY run_at LIMIT $3
    FOR UPDATE SKIP LOCKED))
    RETURNING order_id, kind, amount_minor, currency, attempts,
    (extract(epoch FROM now() - created_at) * 1000)::bigint AS age_ms, trace_context;
PREPARE complete (uuid, uuid) AS
DELETE FROM "payment_jobs" WHERE ("payment_jobs"."order_id" = $1) AND ("payment_jobs"."lease_token" = $2);
PREPARE reschedule (uuid, interval, text, uuid) AS
UPDATE "payment_jobs" SET "lease_token" = NULL, "run_at" = (CURRENT_TIMESTAMP + $2), "last_error" = $3
    WHERE ("payment_jobs"."order_id" = $1) AND ("payment_jobs"."lease_token" = $4);
PREPARE release (uuid, interval, uuid) AS
UPDATE "payment_jobs" SET "lease_token" = NULL, "attempts" = ("payment_jobs"."attempts" - 1),
    "run_at" = (CURRENT_TIMESTAMP + $2)
    WHERE ("payment_jobs"."order_id" = $1) AND ("payment_jobs"."lease_token" = $3);
PREPARE dead_letter (uuid, text, uuid) AS
UPDATE "payment_jobs" SET "lease_token" = NULL, "dead_at" = CURRENT_TIMESTAMP, "last_error" = $2
    WHERE ("payment_jobs"."order_id" = $1) AND ("payment_jobs"."lease_token" = $3);
PREPARE cancel (uuid) AS
DELETE FROM "payment_jobs" WHERE ("payment_jobs"."order_id" = $1) AND ("payment_jobs"."attempts" = 0);
PREPARE refund (uuid, text) AS
UPDATE "payment_jobs" SET "kind" = 'refund', "attempts" = 0, "created_at" = CURRENT_TIMESTAMP,
    "run_at" = CURRENT_TIMESTAMP, "lease_token" = NULL, "dead_at" = NULL, "trace_context" = $2
    WHERE ("payment_jobs"."order_id" = $1);
PREPARE list_dead (int8) AS
SELECT "payment_jobs"."order_id", "payment_jobs"."kind", "payment_jobs"."amount_minor",
    "payment_jobs"."currency", "payment_jobs"."attempts", "payment_jobs"."last_error",
    "payment_jobs"."dead_at"
    FROM "payment_jobs" WHERE ("payment_jobs"."dead_at" IS NOT NULL)
    ORDER BY "payment_jobs"."dead_at" LIMIT $1;
PREPARE requeue (uuid) AS
UPDATE "payment_jobs" SET "attempts" = 1, "created_at" = CURRENT_TIMESTAMP, "run_at" = CURRENT_TIMESTAMP,
    "dead_at" = NULL
    WHERE ("payment_jobs"."dead_at" IS NOT NULL) AND ("payment_jobs"."order_id" = $1);
PREPARE depth AS
SELECT count(*) AS value, min("payment_jobs"."created_at")
    FROM "payment_jobs" WHERE ("payment_jobs"."dead_at" IS NULL);
