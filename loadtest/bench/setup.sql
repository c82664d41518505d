-- What both sides of the benchmark order from and who orders: products and users whose ids can be
-- counted, since pgbench knows numbers only. Names of users, too, for logging in over HTTP; their
-- password is the demo customer's.
INSERT INTO products (id, sku, name, price_minor, currency, stock, stock_received, created_at, updated_at)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'BENCH-' || lpad(n::text, 4, '0'),
       'Bench Oak Lamp', 1250, 'EUR', 1000000000, 1000000000, now(), now()
FROM generate_series(1, 1000) n ON CONFLICT DO NOTHING;

INSERT INTO users (id, email, name, password_hash, created_at, updated_at)
SELECT ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid, 'bench-' || n || '@example.com',
       'Bench Customer', (SELECT password_hash FROM users WHERE email = 'customer@example.com'), now(), now()
FROM generate_series(1, 64) n ON CONFLICT DO NOTHING;
