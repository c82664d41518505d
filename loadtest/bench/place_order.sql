-- The transaction that places an order, for `pgbench -M prepared`: the statements of
-- service/src/usecases/place_order.rs, word for word. Where those have a bind, this has an
-- expression of pgbench's variables that ends with a cast, so that the server sees the same types.
-- `benchmark_runs_same_statements_as_service` in service/tests/api/storage/round_trips.rs compares the two.
--
-- pgbench counts, it can't make UUIDs or hashes; so ids are written from numbers. They grow, as
-- UUIDv7 do: from :stamp, the time, and from :n and :client_id. :response_body and :event are what
-- the service wrote for such an order.
\set n :n + 1
\set product random(1, 1000)
\set user 1 + :client_id % 64
BEGIN;
WITH local_settings AS (SELECT current_setting('lock_timeout') AS previous_lock_timeout,
  set_config('lock_timeout', :wait::text, true),
  set_config('plan_cache_mode', 'force_generic_plan', true))
INSERT INTO idempotency_keys AS used (user_id, key, fingerprint, created_at, expires_at)
SELECT ('00000000-0000-7000-9000-' || lpad(:user::text, 12, '0'))::uuid,
  (:stamp || '-bench-' || lpad(:n::text, 8, '0') || lpad(:client_id::text, 4, '0'))::text,
  :fingerprint::bytea, :now::timestamptz, :expires::timestamptz
FROM local_settings
ON CONFLICT (user_id, key) DO UPDATE SET fingerprint = excluded.fingerprint,
resource_id = NULL, response_body = NULL, created_at = excluded.created_at,
expires_at = excluded.expires_at
WHERE used.expires_at <= excluded.created_at OR used.resource_id IS NULL
RETURNING set_config('lock_timeout', (SELECT previous_lock_timeout FROM local_settings), true);
SELECT "products"."id", "products"."price_minor", "products"."currency", "products"."stock"
FROM "products"
WHERE (("products"."id" = ANY(
  ARRAY[('00000000-0000-7000-8000-' || lpad(:product::text, 12, '0'))::uuid]::uuid[]))
  AND EXISTS (SELECT "idempotency_keys"."user_id" FROM "idempotency_keys"
  WHERE ((("idempotency_keys"."user_id" =
  ('00000000-0000-7000-9000-' || lpad(:user::text, 12, '0'))::uuid)
  AND ("idempotency_keys"."key" =
  (:stamp || '-bench-' || lpad(:n::text, 8, '0') || lpad(:client_id::text, 4, '0'))::text))
  AND ("idempotency_keys"."resource_id" IS NULL))))
ORDER BY "products"."id" FOR NO KEY UPDATE;
WITH line AS (SELECT * FROM unnest(
    ARRAY[('00000000-0000-7000-8000-' || lpad(:product::text, 12, '0'))::uuid]::uuid[],
    :quantities::int4[], :prices::int8[], :prices::int8[])
  WITH ORDINALITY AS line (product_id, quantity, unit_price, line_total, line_no)),
placed AS (INSERT INTO orders (id, user_id, status, total_minor, currency, created_at, updated_at)
  VALUES ((:stamp || lpad(:n::text, 10, '0') || lpad(:client_id::text, 6, '0'))::uuid,
    ('00000000-0000-7000-9000-' || lpad(:user::text, 12, '0'))::uuid, :status::text,
    :total::int8, :currency::text, :now::timestamptz, :now::timestamptz)
  RETURNING id, user_id, total_minor, currency, created_at),
reserved AS (UPDATE products SET stock = products.stock - line.quantity,
  version = products.version + 1, updated_at = placed.created_at
  FROM line, placed WHERE products.id = line.product_id),
lines AS (INSERT INTO order_lines
  (order_id, line_no, product_id, quantity, unit_price_minor, line_total_minor)
  SELECT placed.id, line_no, product_id, quantity, unit_price, line_total FROM line, placed),
event AS (INSERT INTO outbox (event_id, order_id, kind, data, occurred_at, trace_context)
  SELECT (:stamp || lpad(:n::text, 10, '0') || lpad(:client_id::text, 6, '0'))::uuid,
    id, :kind::text, :event::text, created_at, :trace::text FROM placed),
job AS (INSERT INTO jobs (kind, key, payload, run_at, due_at, trace_context) VALUES
  ('payment', (:stamp || lpad(:n::text, 10, '0') || lpad(:client_id::text, 6, '0'))::uuid::text,
    :charge::jsonb, now(), now(), :trace::text),
  ('order_expiry', (:stamp || lpad(:n::text, 10, '0') || lpad(:client_id::text, 6, '0'))::uuid::text,
    :expiry::jsonb, now() + :payment_window_ms::int8 * interval '1 millisecond',
    now() + :payment_window_ms::int8 * interval '1 millisecond', :trace::text))
UPDATE idempotency_keys SET resource_id = placed.id, response_body = :response_body::text
  FROM placed WHERE idempotency_keys.user_id = placed.user_id
  AND idempotency_keys.key =
  (:stamp || '-bench-' || lpad(:n::text, 8, '0') || lpad(:client_id::text, 4, '0'))::text;
COMMIT;
