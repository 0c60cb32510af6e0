-- One of everything that PostgreSQL's own dump carries, for psql with two roles as the variables owner and reader.
\set ON_ERROR_STOP on
SELECT current_setting('server_version_num')::int >= 140000 AS has14, current_setting('server_version_num')::int >= 150000 AS has15 \gset
SET ROLE :"owner";
CREATE SCHEMA app;
CREATE SCHEMA "Mixed Case; schema";
COMMENT ON SCHEMA app IS 'The application''s own; with a ; and a -- in it';
RESET ROLE;

CREATE EXTENSION citext WITH SCHEMA app;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION hstore;
CREATE EXTENSION btree_gist;
CREATE EXTENSION file_fdw;
CREATE EXTENSION postgres_fdw;
COMMENT ON EXTENSION hstore IS 'our words about an extension';

-- Types of every kind.
CREATE TYPE app.mood AS ENUM ('sad', 'so so', 'it''s fine');
CREATE TYPE app.address AS (street text, zip varchar(10), country char(2));
CREATE TYPE app.float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN app.email AS app.citext CHECK (VALUE ~ '^[^@]+@[^@]+$');
CREATE DOMAIN app.percent AS numeric(5, 2) DEFAULT 0 NOT NULL CONSTRAINT in_range CHECK (VALUE BETWEEN 0 AND 100);
COMMENT ON CONSTRAINT in_range ON DOMAIN app.percent IS 'of a hundred';
ALTER DOMAIN app.email ADD CONSTRAINT not_local CHECK (VALUE !~ '@localhost$') NOT VALID;
-- A type of its own, with a shell first; its functions are those of another.
CREATE TYPE app.counter;
CREATE FUNCTION app.counter_in(cstring) RETURNS app.counter LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION app.counter_out(app.counter) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE app.counter (INPUT = app.counter_in, OUTPUT = app.counter_out, LIKE = int4);
CREATE COLLATION app.german (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION app.numeric_sort (provider = icu, locale = 'en-u-kn', deterministic = false);

-- Functions, procedures, aggregates, operators, casts.
CREATE FUNCTION app.shout(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  SET search_path = app, pg_temp AS $body$ SELECT upper($1) || '!;' $body$;
CREATE FUNCTION app.total(VARIADIC parts numeric[]) RETURNS numeric LANGUAGE sql AS 'SELECT sum(p) FROM unnest(parts) p';
\if :has14
CREATE FUNCTION app.parsed(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT x; SELECT x + 1; END;
\endif
CREATE PROCEDURE app.nothing(INOUT x int) LANGUAGE plpgsql AS $$ BEGIN x := x + 1; END $$;
CREATE FUNCTION app.concat_step(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $2';
CREATE AGGREGATE app.concat_all(text) (SFUNC = app.concat_step, STYPE = text, INITCOND = '');
CREATE FUNCTION app.mood_number(app.mood) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT array_position(enum_range(NULL::app.mood), $1) $$;
CREATE CAST (app.mood AS int) WITH FUNCTION app.mood_number(app.mood) AS ASSIGNMENT;
CREATE FUNCTION app.address_before(app.address, app.address) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT $1.zip < $2.zip $$;
CREATE OPERATOR app.<<< (LEFTARG = app.address, RIGHTARG = app.address, FUNCTION = app.address_before);
CREATE FUNCTION app.int_backwards(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($2, $1)';
CREATE OPERATOR FAMILY app.backwards USING btree;
CREATE OPERATOR CLASS app.int_backwards_ops FOR TYPE int USING btree FAMILY app.backwards AS
  OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 app.int_backwards(int, int);
CREATE FUNCTION app.plown_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION app.plown_validator(oid) RETURNS void LANGUAGE c STRICT AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE TRUSTED LANGUAGE plown HANDLER app.plown_handler VALIDATOR app.plown_validator;
CREATE FUNCTION app.in_own_language() RETURNS int LANGUAGE plown AS $$ BEGIN RETURN 1; END $$;
CREATE ACCESS METHOD heap_again TYPE TABLE HANDLER heap_tableam_handler;
CREATE TEXT SEARCH TEMPLATE app.simple_again (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH PARSER app.words_again
  (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline);
CREATE TEXT SEARCH DICTIONARY app.plain (TEMPLATE = simple, accept = false);
CREATE TEXT SEARCH CONFIGURATION app.swedish_plain (COPY = pg_catalog.swedish);
ALTER TEXT SEARCH CONFIGURATION app.swedish_plain ALTER MAPPING FOR asciiword WITH app.plain, simple;
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal));
CREATE CONVERSION app.latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;

-- Tables: identity, serial, generated columns, storage, options, every kind of constraint.
CREATE SEQUENCE app.invoice_number AS integer START 1000 INCREMENT BY 5 MINVALUE 1000 MAXVALUE 2000000 CACHE 3 CYCLE;
CREATE SEQUENCE app.countdown START -1 INCREMENT -1 MAXVALUE -1;
CREATE TABLE app.customers (
  id bigint GENERATED ALWAYS AS IDENTITY (START 7 INCREMENT 3) PRIMARY KEY,
  email app.email UNIQUE,
  name text COLLATE app.german NOT NULL CHECK (name <> ''),
  mood app.mood NOT NULL DEFAULT 'so so',
  home app.address,
  tags text[] DEFAULT '{}',
  extra hstore,
  discount app.percent,
  loud text GENERATED ALWAYS AS (app.shout(name)) STORED
) WITH (fillfactor = 80, autovacuum_enabled = false);
ALTER TABLE app.customers ALTER COLUMN name SET STORAGE EXTERNAL, ALTER COLUMN name SET STATISTICS 200;
ALTER TABLE app.customers ALTER COLUMN tags SET (n_distinct = -0.5);
COMMENT ON TABLE app.customers IS E'Two lines\nand a tab\t';
COMMENT ON COLUMN app.customers.loud IS 'generated';
CREATE TABLE app.invoices (
  number int PRIMARY KEY DEFAULT nextval('app.invoice_number'),
  customer bigint NOT NULL REFERENCES app.customers ON UPDATE CASCADE ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED,
  period daterange NOT NULL,
  amount numeric(12, 2) NOT NULL,
  EXCLUDE USING gist (customer WITH =, period WITH &&)
);
ALTER TABLE app.invoices ADD CONSTRAINT not_free CHECK (amount > 0) NOT VALID;
CREATE INDEX invoices_amount ON app.invoices USING btree (amount DESC NULLS LAST) INCLUDE (customer) WHERE amount > 10;
CREATE INDEX invoices_lower ON app.invoices (app.shout(number::text));
CREATE INDEX invoices_backwards ON app.invoices (number app.int_backwards_ops);
COMMENT ON INDEX app.invoices_amount IS 'large ones';
ALTER TABLE app.invoices CLUSTER ON invoices_pkey;
CREATE STATISTICS app.invoice_stats (ndistinct, dependencies, mcv) ON customer, period FROM app.invoices;
ALTER TABLE app.invoices REPLICA IDENTITY FULL;
ALTER TABLE app.invoices ADD COLUMN replaces int UNIQUE DEFERRABLE,
  ADD CONSTRAINT replaced FOREIGN KEY (replaces) REFERENCES app.invoices ON DELETE SET NULL NOT VALID;
CREATE TABLE app.elsewhere (id int NOT NULL GENERATED BY DEFAULT AS IDENTITY, code text NOT NULL, hits app.counter DEFAULT '0')
  USING heap_again;
CREATE UNIQUE INDEX elsewhere_code ON app.elsewhere (code);
ALTER TABLE app.elsewhere REPLICA IDENTITY USING INDEX elsewhere_code;
\if :has14
ALTER TABLE app.elsewhere ALTER COLUMN code SET COMPRESSION pglz;
CREATE STATISTICS app.of_expressions ON (lower(code)), (length(code)) FROM app.elsewhere;
\endif
\if :has15
ALTER TABLE app.elsewhere ADD COLUMN once int, ADD CONSTRAINT one_null UNIQUE NULLS NOT DISTINCT (once, code);
CREATE VIEW app.as_the_reader WITH (security_invoker) AS SELECT id, code FROM app.elsewhere;
\endif
CREATE TABLE "Mixed Case; schema"."Weird ""Name"" ü" (
  "select" serial PRIMARY KEY, "new
line" text DEFAULT E'a\nb', "Ünï'code" jsonb
);
CREATE UNLOGGED TABLE app.scratch (x int, y xml);
CREATE TABLE app.no_columns ();
CREATE TABLE app.of_type OF app.address (PRIMARY KEY (zip));

-- Inheritance and partitions, three levels deep, with a default and an attached one.
CREATE TABLE app.shapes (id int PRIMARY KEY, area float8);
CREATE TABLE app.circles (radius float8 NOT NULL) INHERITS (app.shapes);
CREATE TABLE app.events (id bigserial, at timestamptz NOT NULL, region text NOT NULL, payload jsonb, PRIMARY KEY (id, at, region))
  PARTITION BY RANGE (at);
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2026-01-01 00:00+00')
  PARTITION BY LIST (region);
CREATE TABLE app.events_2025_eu PARTITION OF app.events_2025 FOR VALUES IN ('eu', 'ch');
CREATE TABLE app.events_2025_rest PARTITION OF app.events_2025 DEFAULT;
CREATE TABLE app.events_rest (LIKE app.events INCLUDING DEFAULTS);
ALTER TABLE app.events ATTACH PARTITION app.events_rest DEFAULT;
CREATE INDEX events_payload ON app.events USING gin (payload jsonb_path_ops);
CREATE TABLE app.hashed (k int PRIMARY KEY) PARTITION BY HASH (k);
CREATE TABLE app.hashed_0 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.hashed_1 PARTITION OF app.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);

-- Views, materialized ones on one another, rules, triggers, event triggers.
CREATE VIEW app.happy WITH (security_barrier) AS SELECT id, name FROM app.customers WHERE mood = 'it''s fine' WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW app.numbers (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 5;
CREATE MATERIALIZED VIEW app.totals AS SELECT customer, sum(amount) AS total FROM app.invoices GROUP BY customer WITH NO DATA;
CREATE UNIQUE INDEX totals_key ON app.totals (customer);
CREATE MATERIALIZED VIEW app.totals_of_totals AS SELECT sum(total) FROM app.totals WITH NO DATA;
CREATE MATERIALIZED VIEW app.never_filled AS SELECT 1 AS one WITH NO DATA;
CREATE RULE no_delete AS ON DELETE TO app.shapes DO INSTEAD NOTHING;
CREATE RULE happy_insert AS ON INSERT TO app.happy DO INSTEAD NOTIFY happy;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF name ON app.customers FOR EACH ROW WHEN (NEW.name IS NOT NULL) EXECUTE FUNCTION app.touch('a', 'b''c');
CREATE CONSTRAINT TRIGGER check_later AFTER INSERT ON app.invoices DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE TRIGGER on_partitions AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.customers DISABLE TRIGGER touch;
CREATE TRIGGER also_replicated AFTER UPDATE ON app.customers REFERENCING OLD TABLE AS before NEW TABLE AS after
  FOR EACH STATEMENT EXECUTE FUNCTION app.touch();
ALTER TABLE app.customers ENABLE ALWAYS TRIGGER also_replicated;
ALTER TABLE app.invoices ENABLE REPLICA TRIGGER check_later;
ALTER TABLE app.shapes ENABLE ALWAYS RULE no_delete;
CREATE TRIGGER through_view INSTEAD OF DELETE ON app.happy FOR EACH ROW EXECUTE FUNCTION app.touch();
COMMENT ON TRIGGER through_view ON app.happy IS 'instead';
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watch_ddl ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE') EXECUTE FUNCTION app.on_ddl();
COMMENT ON EVENT TRIGGER watch_ddl IS 'watches';
ALTER EVENT TRIGGER watch_ddl ENABLE REPLICA;

-- Row security, publications, foreign data.
ALTER TABLE app.invoices ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.invoices FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON app.invoices FOR SELECT TO :"reader" USING (customer = current_setting('app.customer', true)::bigint);
CREATE POLICY no_large ON app.invoices AS RESTRICTIVE FOR INSERT WITH CHECK (amount < 1000000 AND EXISTS (SELECT FROM app.customers));
CREATE PUBLICATION plain FOR TABLE app.hashed, ONLY app.shapes WITH (publish = 'insert, update');
\if :has15
CREATE PUBLICATION chosen FOR TABLE app.customers (id, name), TABLE app.invoices WHERE (amount > 5);
CREATE PUBLICATION whole_schema FOR TABLES IN SCHEMA "Mixed Case; schema";
\endif
-- Only a superuser's dump has it; it comes back disabled.
CREATE SUBSCRIPTION from_afar CONNECTION 'host=db.invalid dbname=x' PUBLICATION theirs WITH (connect = false, slot_name = NONE);
CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (debug 'true');
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'db.invalid', dbname 'it''s');
CREATE USER MAPPING FOR :"reader" SERVER elsewhere OPTIONS (user 'u', password 'p;''');
CREATE FOREIGN TABLE app.remote (id int OPTIONS (column_name 'identifier'), note text) SERVER elsewhere OPTIONS (table_name 't');

-- Owners, privileges, default privileges.
ALTER TABLE app.shapes OWNER TO :"owner";
ALTER FUNCTION app.shout(text) OWNER TO :"owner";
GRANT USAGE ON SCHEMA app TO :"reader";
GRANT SELECT, REFERENCES ON app.customers TO :"reader" WITH GRANT OPTION;
GRANT UPDATE (name, mood) ON app.customers TO PUBLIC;
GRANT USAGE ON SEQUENCE app.invoice_number TO :"reader";
REVOKE EXECUTE ON FUNCTION app.total(numeric[]) FROM PUBLIC;
REVOKE USAGE ON TYPE app.mood FROM PUBLIC;
GRANT USAGE ON FOREIGN SERVER elsewhere TO :"reader";
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA app GRANT SELECT ON TABLES TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE ON SEQUENCES TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" REVOKE USAGE ON TYPES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Rows.
INSERT INTO app.customers (email, name, mood, home, tags, extra, discount)
  SELECT CASE WHEN i % 3 > 0 THEN 'c' || i || '@Example.com' END, 'Ärger ' || i, (enum_range(NULL::app.mood))[1 + i % 3],
         ROW('street; ' || i, i::varchar, 'SE'::char(2))::app.address, ARRAY['a,b', 'c"d', NULL, E'\\'], hstore('k', i::text), i % 100 FROM generate_series(1, 200) i;
INSERT INTO app.invoices (customer, period, amount)
  SELECT 7 + 3 * (i % 200), daterange('2025-01-01'::date + i * 7, '2025-01-01'::date + i * 7 + 7), i + 0.5 FROM generate_series(1, 400) i;
INSERT INTO "Mixed Case; schema"."Weird ""Name"" ü" ("Ünï'code") VALUES ('{"a": [1, null]}'), (NULL);
INSERT INTO app.scratch VALUES (1, '<a>x</a>'), (NULL, NULL);
INSERT INTO app.no_columns SELECT FROM generate_series(1, 3);
INSERT INTO app.of_type VALUES ('s', '1', 'SE');
INSERT INTO app.shapes VALUES (1, 'NaN'), (2, '-Infinity');
INSERT INTO app.circles VALUES (3, 3.14, 1e-300);
INSERT INTO app.events (at, region, payload)
  SELECT '2025-03-01 12:00+00'::timestamptz + i * interval '5 hours', (ARRAY['eu', 'us', 'ch'])[1 + i % 3], jsonb_build_object('i', i) FROM generate_series(1, 3000) i;
INSERT INTO app.elsewhere (code, hits) SELECT 'code ' || i, i::text::app.counter FROM generate_series(1, 30) i;
INSERT INTO app.hashed SELECT generate_series(1, 50);
SELECT setval('app.countdown', -17, false);
REFRESH MATERIALIZED VIEW app.totals;
REFRESH MATERIALIZED VIEW app.totals_of_totals;

-- Large objects, with an owner, a grant and a comment.
SELECT lo_from_bytea(90001, convert_to(repeat('large ', 5000), 'UTF8')), lo_from_bytea(90002, ''), lo_from_bytea(90003, '\x00ff00');
ALTER LARGE OBJECT 90001 OWNER TO :"owner";
GRANT SELECT ON LARGE OBJECT 90001 TO :"reader";
COMMENT ON LARGE OBJECT 90003 IS 'three bytes';
