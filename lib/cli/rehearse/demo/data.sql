-- Rows for the demo database: `demo.scale` is about the number of megabytes. The same scale gives the same rows.
SELECT setseed(0.42);
SET synchronous_commit = off;
SET session_replication_role = replica; -- foreign keys hold by construction; checking each row would double the time

INSERT INTO customers (email, name, country, profile, tags, created_at, balance)
SELECT 'Customer.' || n || '@example.org',
       (ARRAY['Åsa', 'Bo', 'Çağla', 'Dmitri', '恵子', 'Zoë'])[1 + n % 6] || ' ' || md5(n::text),
       (ARRAY['SE', 'US', 'DE', 'JP', 'BR'])[1 + n % 5],
       jsonb_build_object('newsletter', n % 3 = 0, 'score', (random() * 1000)::int,
                          'address', jsonb_build_object('street', md5((n * 7)::text), 'zip', lpad((n % 99999)::text, 5, '0'))),
       ARRAY['t' || n % 7, 'quote"''\', NULL],
       timestamptz '2024-01-01 00:00:00.123456+00' + n * interval '7 minutes 0.001 second',
       random() * 1e6 - 5e5
FROM generate_series(1, 60 * current_setting('demo.scale')::int) n;

INSERT INTO products (id, sku, details, price, weight, discontinued)
SELECT n, 'SKU-' || lpad(n::text, 8, '0'),
       jsonb_build_object('name', 'Product ' || n, 'colour', (ARRAY['red', 'grün', '青'])[1 + n % 3],
                          'sizes', jsonb_build_array(n % 10, n % 20, n % 30), 'text', repeat(md5(n::text) || ' ', 8)),
       (random() * 900 + 1)::numeric(12, 2), random() * 100, n % 17 = 0
FROM generate_series(1, 10 * current_setting('demo.scale')::int) n;

INSERT INTO orders (customer_id, status, placed_at, note)
SELECT 1 + (n * 31) % (60 * current_setting('demo.scale')::int),
       (enum_range(NULL::order_status))[1 + n % 4],
       timestamptz '2025-06-01 00:00+00' + n * interval '97 seconds',
       CASE WHEN n % 10 = 0 THEN E'line one\nline two\ttab \\N back\\slash ' || md5(n::text) END
FROM generate_series(1, 300 * current_setting('demo.scale')::int) n;

INSERT INTO order_items (order_id, line, product_id, quantity, unit_price)
SELECT n, line, 1 + (n * line * 13) % (10 * current_setting('demo.scale')::int), 1 + n % 5, (random() * 500)::numeric(12, 2)
FROM generate_series(1, 300 * current_setting('demo.scale')::int) n, generate_series(1, 1 + n % 4) line;

INSERT INTO events (at, kind, customer_id, payload)
SELECT timestamptz '2026-01-01 00:00+00' + random() * interval '100 days',
       (ARRAY['view', 'cart', 'pay', 'login'])[1 + n % 4],
       1 + n % (60 * current_setting('demo.scale')::int),
       jsonb_build_object('ip', '10.' || n % 256 || '.' || n % 251 || '.1', 'session', md5(n::text), 'ms', (random() * 900)::int)
FROM generate_series(1, 1500 * current_setting('demo.scale')::int) n;

-- Prose-like text: it compresses, in TOAST and in the backup.
INSERT INTO documents (id, title, body)
SELECT n, 'Document ' || n,
       (SELECT string_agg(CASE WHEN w % 4 = 0 THEN md5((n * w)::text)
                          ELSE (ARRAY['the order', 'was shipped', 'to a customer', 'who asked for', 'an invoice', 'in March', 'and paid',
                                      'within days', 'although', 'its reference', 'was returned'])[1 + (n * w + w / 3) % 11] END, ' ')
        FROM generate_series(1, 1500) w)
FROM generate_series(1, greatest(20, 6 * current_setting('demo.scale')::int)) n;

-- Bytes that do not compress: 20 kB each, made from hashes so that they are the same every time.
INSERT INTO attachments (document_id, content)
SELECT 1 + n % greatest(20, 6 * current_setting('demo.scale')::int), (SELECT string_agg(sha512(int8send(n * 1000 + k)), '') FROM generate_series(1, 320) k)
FROM generate_series(1::bigint, 11 * current_setting('demo.scale')::int) n;

INSERT INTO sales.invoices (order_id, net, vat_percent, period, sent_from)
SELECT n, (random() * 9000)::numeric(12, 2), (ARRAY[25, 12, 6, 0])[1 + n % 4],
       daterange(date '2025-06-01' + n % 300, date '2025-07-01' + n % 300), ('192.0.2.' || n % 255)::inet
FROM generate_series(1, 120 * current_setting('demo.scale')::int) n;

INSERT INTO "Weird ""Name"" ü" VALUES (1, 'naïve', E'a\nb'), (2, '𝄞 clef', ''), (3, NULL, NULL);
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
SELECT nextval('batch_number') FROM generate_series(1, 9);

SET session_replication_role = origin;
UPDATE orders SET status = 'shipped' WHERE id % 1000 = 0; -- through the trigger
REFRESH MATERIALIZED VIEW sales.revenue_by_country;

-- Two large objects that the backup role may read.
DO $$
DECLARE lo oid;
BEGIN
  lo := lo_from_bytea(0, (SELECT string_agg(sha512(int8send(k)), '') FROM generate_series(1::bigint, 2000) k));
  EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO pgdr_backup', lo);
  EXECUTE format('COMMENT ON LARGE OBJECT %s IS %L', lo, 'A scanned contract');
  lo := lo_from_bytea(0, convert_to(repeat('A small one. ', 100), 'UTF8'));
  EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO pgdr_backup', lo);
END $$;
