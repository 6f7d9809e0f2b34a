-- The kmeans aggregate, its value, and the functions that use it.
SET search_path = public;
CREATE TABLE flower (id int PRIMARY KEY, species text, petal_length float8, petal_width numeric, sepal_length int);
INSERT INTO flower VALUES
    (1, 'a', 1.4, 0.2, 51), (2, 'a', 1.3, 0.2, 49), (3, 'a', 1.5, 0.3, 47), (4, 'a', 1.4, 0.2, 46),
    (5, 'b', 4.7, 1.4, 70), (6, 'b', 4.5, 1.5, 64), (7, 'b', 4.9, 1.5, 69),
    (8, 'c', 6.0, 2.5, 63), (9, 'c', 5.9, 2.1, 71);

-- Arrays and records.
SELECT * FROM persona.centroids((SELECT persona.kmeans(ARRAY[petal_length, petal_width]::float8[], 3) FROM flower))
ORDER BY segment, feature;
SELECT * FROM persona.centroids((SELECT persona.kmeans(v, 3) FROM (SELECT petal_width, petal_length FROM flower) v))
ORDER BY segment, feature;
WITH m AS MATERIALIZED (SELECT persona.kmeans(ARRAY[petal_length, petal_width]::float8[], 3) AS k FROM flower)
SELECT id, persona.segment(k, ARRAY[petal_length, petal_width]::float8[]) AS segment,
       round(persona.distance(k, ARRAY[petal_length, petal_width]::float8[])::numeric, 4) AS distance
FROM flower, m ORDER BY id;
-- By name: order does not matter, more columns are ignored.
WITH m AS MATERIALIZED (SELECT persona.kmeans(v, 3) AS k FROM (SELECT petal_width, petal_length FROM flower) v)
SELECT id, persona.segment(k, f) AS segment, round(persona.distance(k, f)::numeric, 4) AS distance
FROM flower f, m ORDER BY id;
-- An array column is one feature per element.
SELECT * FROM persona.centroids((SELECT persona.kmeans(v, 2) FROM (SELECT ARRAY[petal_length, sepal_length] AS p FROM flower) v))
ORDER BY segment, feature;
WITH m AS MATERIALIZED (SELECT persona.kmeans(v, 2) AS k FROM (SELECT ARRAY[petal_length, sepal_length] AS p FROM flower) v)
SELECT array_agg(persona.segment(k, v) ORDER BY id) FROM (SELECT id, ARRAY[petal_length, sepal_length] AS p FROM flower) v, m;

-- Options.
SELECT (persona.kmeans(ARRAY[petal_length, sepal_length], 3, '{"scaling": "standard", "n_init": 3, "seed": 7, "max_iterations": 20}')::text::json)
    ->> 'scaling' AS scaling FROM flower;
SELECT persona.kmeans(ARRAY[petal_length], 2, '{"sclaing": "none"}') FROM flower;
SELECT persona.kmeans(ARRAY[petal_length], 2, '{"scaling": "quantile"}') FROM flower;
SELECT persona.kmeans(ARRAY[petal_length], 2, '{"n_init": 0}') FROM flower;
SELECT persona.kmeans(ARRAY[petal_length], 2, '{"seed": 1.5}') FROM flower;
SELECT persona.kmeans(ARRAY[petal_length], 2, '[1]') FROM flower;
SELECT persona.kmeans(ARRAY[petal_length], 2, jsonb_build_object('seed', id)) FROM flower;
SELECT persona.segment(persona.kmeans(ARRAY[petal_length], 2, NULL), ARRAY[1.0]) FROM flower;

-- Groups and partitions.
SELECT species, persona.segment(persona.kmeans(ARRAY[petal_length], 2), ARRAY[5.0]) AS segment,
       round(((persona.kmeans(ARRAY[petal_length], 2)::text::json) ->> 'inertia')::numeric, 6) AS inertia
FROM flower GROUP BY species ORDER BY species;
SELECT id, persona.segment(persona.kmeans(ARRAY[petal_length, sepal_length], 2) OVER (PARTITION BY species),
                           ARRAY[petal_length, sepal_length]) AS segment
FROM flower ORDER BY id;
SELECT count(*), min(c.size), max(c.size) FROM (
    SELECT persona.kmeans(ARRAY[v::float8], 2) AS k FROM generate_series(1, 10000) AS v GROUP BY v % 2000) g,
    persona.centroids(k) c;
SELECT persona.kmeans(ARRAY[petal_length], 2) OVER (PARTITION BY species ORDER BY id) FROM flower;
SELECT persona.kmeans(ARRAY[petal_length], 2) OVER (ROWS UNBOUNDED PRECEDING) FROM flower;
SELECT persona.kmeans(ARRAY[petal_length], 2) OVER (ROWS BETWEEN 2 PRECEDING AND UNBOUNDED FOLLOWING) FROM flower;
SELECT count(DISTINCT k::text) FROM (
    SELECT persona.kmeans(ARRAY[petal_length], 2)
           OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS k FROM flower) w;

-- The same rows in any order, on any number of threads, make the same value.
CREATE TABLE spread AS
SELECT i, sin(i * 1.7) * 10 + i % 5 AS a, cos(i * 0.3) * 3 + i % 3 AS b FROM generate_series(1, 20000) AS i;
CREATE TABLE digest (way text, sha text);
SET persona.threads = 1;
INSERT INTO digest SELECT 'one thread', sha256(persona.kmeans(ARRAY[a, b], 6)::text::bytea)::text FROM spread;
SET persona.threads = 2;
INSERT INTO digest SELECT 'two threads', sha256(persona.kmeans(ARRAY[a, b], 6)::text::bytea)::text FROM spread;
INSERT INTO digest SELECT 'shuffled', sha256(persona.kmeans(ARRAY[a, b], 6)::text::bytea)::text
FROM (SELECT a, b FROM spread ORDER BY md5(i::text)) s;
RESET persona.threads;
SELECT count(*), count(DISTINCT sha) FROM digest;
-- Text in and out loses nothing.
SELECT k::text = k::text::persona.kmeans::text AS same FROM (SELECT persona.kmeans(ARRAY[a, b], 6) AS k FROM spread) s;

-- Edges.
SELECT persona.kmeans(ARRAY[1.0], 1) FROM flower WHERE false;
SELECT persona.kmeans(NULL::float8[], 1) FROM flower;
SELECT persona.centroids(persona.kmeans(ARRAY[x], 1)) FROM (VALUES (1.0), (2.0), (6.0)) v (x);
SELECT persona.centroids(persona.kmeans(ARRAY[x], 3)) FROM (VALUES (1.0), (2.0), (6.0)) v (x);
SELECT persona.centroids(persona.kmeans(ARRAY[x], 2)) FROM (VALUES (5.0), (5.0), (5.0), (7.0)) v (x);
SELECT persona.centroids(persona.kmeans(x, 1)) FROM (VALUES (ARRAY[1.0]), (NULL), (ARRAY[3.0])) v (x);
SELECT persona.segment(persona.kmeans(ARRAY[x], 2), NULL::float8[]), persona.segment(persona.kmeans(ARRAY[x], 2), ARRAY[NULL]::float8[]),
       persona.distance(persona.kmeans(ARRAY[x], 2), ARRAY[NULL]::float8[])
FROM (VALUES (1.0), (2.0)) v (x);

-- What cannot be fitted says why.
SELECT persona.kmeans(ARRAY[x], 4) FROM (VALUES (1.0), (2.0), (6.0)) v (x);
SELECT persona.kmeans(ARRAY[x], 2) FROM (VALUES (1.0), (1.0)) v (x);
SELECT persona.kmeans(ARRAY[x], 0) FROM (VALUES (1.0), (2.0)) v (x);
SELECT persona.kmeans(ARRAY[x], 70000) FROM (VALUES (1.0), (2.0)) v (x);
SELECT persona.kmeans(ARRAY[x], NULL) FROM (VALUES (1.0), (2.0)) v (x);
SELECT persona.kmeans(ARRAY[x], x::int) FROM (VALUES (1.0), (2.0)) v (x);
SELECT persona.kmeans(ARRAY[1.0, x], 1) FROM (VALUES (1.0), (NULL)) v (x);
SELECT persona.kmeans(v, 1) FROM (VALUES (1.0, 2.0), (1.0, NULL)) v (a, b);
SELECT persona.kmeans(v, 1) FROM (VALUES (1.0, 'x')) v (a, b);
SELECT persona.kmeans(ARRAY[x], 1) FROM (VALUES (1.0), ('NaN'::float8)) v (x);
SELECT persona.kmeans(v, 1) FROM (VALUES (1.0, 'infinity'::float8)) v (a, b);
SELECT persona.kmeans(ARRAY[1e300], 1);
SELECT persona.kmeans(x, 1) FROM (VALUES (ARRAY[1.0]), (ARRAY[1.0, 2.0])) v (x);
SELECT persona.kmeans('{}'::float8[], 1);
SELECT persona.kmeans('{{1,2},{3,4}}'::float8[], 1);
SELECT persona.kmeans(ROW(1, 2), 1);
SELECT persona.segment(persona.kmeans(ARRAY[x], 1), ARRAY[1.0, 2.0]) FROM (VALUES (1.0), (2.0)) v (x);
SELECT persona.segment(persona.kmeans(ARRAY[a], 1), f) FROM (VALUES (1.0)) f (a) GROUP BY f;
SELECT persona.segment(k, f) FROM (SELECT persona.kmeans(v, 1) AS k FROM (VALUES (1.0)) v (a)) m, (VALUES (1.0)) f (b);
SELECT persona.segment(k, ROW(1)) FROM (SELECT persona.kmeans(v, 1) AS k FROM (VALUES (1.0)) v (a)) m;
SELECT '{}'::persona.kmeans;
SELECT replace(persona.kmeans(ARRAY[x], 1)::text, '"n_rows":2', '"n_rows":3')::persona.kmeans FROM (VALUES (1.0), (2.0)) v (x);
SET persona.max_fit_memory = '1MB';
SELECT persona.kmeans(ARRAY[a, b], 2) FROM spread, generate_series(1, 10);
