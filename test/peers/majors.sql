-- What newer majors have beside test/local/restore-rich.sql, for psql with a role as the variable reader.
\set ON_ERROR_STOP on
SELECT current_setting('server_version_num')::int >= 170000 AS has17, current_setting('server_version_num')::int >= 180000 AS has18 \gset
CREATE SCHEMA newer;

-- Everywhere, and told differently by each major: columns and domains that are not null, with and without a key.
CREATE DOMAIN newer.filled AS text NOT NULL;
CREATE TABLE newer.parent (id int NOT NULL, note text NOT NULL, later text);
CREATE TABLE newer.child (extra newer.filled) INHERITS (newer.parent);
ALTER TABLE newer.parent ADD PRIMARY KEY (id);
ALTER TABLE newer.child ALTER COLUMN later SET NOT NULL;
CREATE TABLE newer.parted (k int PRIMARY KEY, v text NOT NULL) PARTITION BY LIST (k);
CREATE TABLE newer.parted_1 PARTITION OF newer.parted FOR VALUES IN (1);
CREATE TABLE newer.refers (k int REFERENCES newer.parted);
INSERT INTO newer.parent VALUES (1, 'a', NULL);
INSERT INTO newer.child VALUES (2, 'b', 'c', 'd');
INSERT INTO newer.parted VALUES (1, 'one');
INSERT INTO newer.refers VALUES (1), (NULL);

-- What the rehearsal's assertions ask for.
CREATE TABLE customers AS SELECT 1 AS id;
CREATE TABLE products AS SELECT 1 AS price, '{"name": "n"}'::jsonb AS details;

\if :has17
GRANT MAINTAIN ON newer.parent TO :"reader";
CREATE TABLE newer.counted (id int GENERATED ALWAYS AS IDENTITY, k int) PARTITION BY LIST (k);
CREATE TABLE newer.counted_1 PARTITION OF newer.counted FOR VALUES IN (1);
INSERT INTO newer.counted (k) VALUES (1), (1);
CREATE COLLATION newer.plain (provider = builtin, locale = 'C.UTF-8');
\endif

\if :has18
CREATE TABLE newer.computed (a int, twice int GENERATED ALWAYS AS (a * 2), thrice int GENERATED ALWAYS AS (a * 3) STORED);
CREATE TABLE newer.rooms (id int, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS));
CREATE TABLE newer.bookings (id int, room int, during daterange,
  FOREIGN KEY (room, PERIOD during) REFERENCES newer.rooms (id, PERIOD during));
CREATE TABLE newer.lenient (a int CONSTRAINT wished CHECK (a > 0) NOT ENFORCED, b int, parent int REFERENCES newer.parent NOT ENFORCED);
INSERT INTO newer.computed (a) VALUES (1), (NULL);
INSERT INTO newer.rooms VALUES (1, '[2026-01-01,2026-02-01)'), (1, '[2026-02-01,2026-03-01)');
INSERT INTO newer.bookings VALUES (1, 1, '[2026-01-20,2026-02-10)');
INSERT INTO newer.lenient VALUES (-1, NULL, 99);
ALTER TABLE newer.lenient ADD CONSTRAINT b_filled NOT NULL b NOT VALID;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON LARGE OBJECTS TO :"reader";
\endif
