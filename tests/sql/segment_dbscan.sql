-- dbscan: dense regions of any outline, over a window.
SET search_path = public;
\set VERBOSITY terse
CREATE TABLE spot AS
SELECT i AS id, i % 2 AS shop, CASE WHEN i <= 200 THEN cos(i * 0.1) * 5 WHEN i <= 280 THEN cos(i) * 0.8 ELSE 20 + i END AS x,
       CASE WHEN i <= 200 THEN sin(i * 0.1) * 5 WHEN i <= 280 THEN sin(i) * 0.8 ELSE -i END AS y
FROM generate_series(1, 284) AS i;
-- A ring, what it surrounds, and noise: as array and as record.
SELECT segment, count(*), min(id), max(id) FROM (SELECT id, persona.dbscan(ARRAY[x, y], 0.6, 4) OVER () AS segment FROM spot) AS s
GROUP BY segment ORDER BY segment;
SELECT count(*) FILTER (WHERE a IS DISTINCT FROM r) AS differ, count(*) FROM (
  SELECT persona.dbscan(ARRAY[s.x, s.y], 0.6, 4) OVER () AS a, persona.dbscan(v, 0.6, 4) OVER () AS r FROM spot AS s, LATERAL (SELECT s.x, s.y) AS v) AS both_forms;
SELECT persona.dbscan(v, 1, 2) OVER () FROM (VALUES (1, ARRAY[1.0, 2]), (1, ARRAY[1.5, 2]), (9, ARRAY[0.0, 0])) AS v (a, b);
-- Beside scikit-learn's own example: DBSCAN(eps=3, min_samples=2) gives 0 0 0 1 1 -1.
SELECT persona.dbscan(p, 3, 2) OVER () FROM (VALUES (1, '{1,2}'::float8[]), (2, '{2,2}'), (3, '{2,3}'), (4, '{8,7}'), (5, '{8,8}'), (6, '{25,80}')) AS t (id, p);
-- Partitions, each by itself, and with its own eps.
SELECT shop, segment, count(*) FROM (SELECT shop, persona.dbscan(ARRAY[x, y], 0.6, 4) OVER (PARTITION BY shop) AS segment FROM spot) AS s
GROUP BY shop, segment ORDER BY shop, segment;
SELECT shop, count(segment), count(DISTINCT segment) FROM (
  SELECT shop, persona.dbscan(ARRAY[x, y], 0.3 + shop, 4) OVER (PARTITION BY shop) AS segment FROM spot) AS s GROUP BY shop ORDER BY shop;
SELECT count(*), count(segment), max(segment) FROM (
  SELECT persona.dbscan(ARRAY[i], 1, 1) OVER (PARTITION BY i % 1000) AS segment FROM generate_series(1, 3000) AS i) AS s;
-- Of equal sizes the segment with the first row by content is first; a row within reach of two goes to the nearer one.
SELECT id, persona.dbscan(ARRAY[x], 2, 4) OVER () FROM (VALUES (1, 4.0), (2, 0), (3, 1), (4, 2), (5, 5.9), (6, 6.9), (7, 7.9), (8, 8.9)) AS t (id, x) ORDER BY id;
SELECT id, persona.dbscan(ARRAY[x], 1, 1) OVER () FROM (VALUES (1, 9.0), (2, 1.0), (3, 5.0), (4, 5.5)) AS t (id, x) ORDER BY id;
-- Rows with a NULL take no part.
SELECT id, persona.dbscan(p, 1, 2) OVER () FROM (VALUES (1, '{1}'::float8[]), (2, NULL), (3, '{NULL}'), (4, '{2}'), (5, '{3.5}')) AS t (id, p) ORDER BY id;
SELECT id, persona.dbscan(v, 1, 1) OVER () FROM (VALUES (1, 1.0, 2), (2, NULL, 2), (3, 5.0, NULL), (4, 5.0, 7)) AS t (id, a, b), LATERAL (SELECT a, b) AS v ORDER BY id;
SELECT persona.dbscan(v, 1, 1) OVER () FROM (VALUES (NULL::float8[]), ('{1,2}'), ('{1,NULL}')) AS v (p);
SELECT persona.dbscan(NULL::float8[], 1, 1) OVER () FROM generate_series(1, 2);
SELECT persona.dbscan(ARRAY[x], 1, 1) OVER () FROM spot WHERE false;
-- Frames that are the whole partition, in any order; any other is refused.
SELECT count(DISTINCT (a, b, c)) FROM (
  SELECT persona.dbscan(ARRAY[1.0], 1, 1) OVER (PARTITION BY shop) AS a,
         persona.dbscan(ARRAY[1.0], 1, 1) OVER (PARTITION BY shop ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS b,
         persona.dbscan(ARRAY[1.0], 1, 1) OVER (PARTITION BY shop ORDER BY x RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS c FROM spot) AS s;
\set VERBOSITY default
SELECT persona.dbscan(ARRAY[x], 1, 1) OVER (ORDER BY id) FROM spot;
\set VERBOSITY terse
SELECT persona.dbscan(ARRAY[x], 1, 1) OVER (ROWS 5 PRECEDING) FROM spot;
SELECT persona.dbscan(ARRAY[x], 1, 1) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE CURRENT ROW) FROM spot;
-- What cannot be says why.
SELECT persona.dbscan(ARRAY[x], 0, 1) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x], -1, 1) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x], 'NaN', 1) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x], 'Infinity', 1) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x], NULL, 1) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x], 1, 0) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x], 1, NULL) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x], id, 1) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x], 1, id) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x], CASE WHEN id < 9 THEN 1 END, 1) OVER () FROM spot;
SELECT persona.dbscan(ARRAY[x, 'NaN'], 1, 1) OVER () FROM spot;
SELECT persona.dbscan(ARRAY['-Infinity', x], 1, 1) OVER () FROM spot;
SELECT persona.dbscan(v, 1, 1) OVER () FROM (VALUES (1, 'Infinity'::float8)) AS v (a, b);
SELECT persona.dbscan(p, 1, 1) OVER () FROM (VALUES ('{1,2}'::float8[]), ('{1}')) AS t (p);
SELECT persona.dbscan(v, 1, 1) OVER () FROM (VALUES ('{1,2}'::float8[]), ('{1}')) AS v (p);
SELECT persona.dbscan('{}'::float8[], 1, 1) OVER ();
SELECT persona.dbscan('{{1,2},{3,4}}'::float8[], 1, 1) OVER ();
SELECT persona.dbscan(array_fill(1.0, ARRAY[4097]), 1, 1) OVER ();
SELECT persona.dbscan(v, 1, 1) OVER () FROM (VALUES (1, 'x')) AS v (a, b);
SELECT persona.dbscan(ROW(1, 2), 1, 1) OVER ();
SELECT persona.dbscan(ARRAY[1.0], 1, 1);
-- Any order of rows and any number of threads.
CREATE TABLE many AS SELECT i AS id, sin(i * 1.7) * 10 + i % 5 AS a, cos(i * 0.3) * 3 + i % 3 AS b FROM generate_series(1, 20000) AS i;
SELECT count(segment), count(DISTINCT segment) FROM (SELECT persona.dbscan(ARRAY[a, b], 0.12, 12) OVER () AS segment FROM many) AS s;
CREATE TABLE digest (sha text);
SET persona.threads = 1;
INSERT INTO digest SELECT md5(string_agg(coalesce(s::text, '-'), ',' ORDER BY id)) FROM (SELECT id, persona.dbscan(ARRAY[a, b], 0.12, 12) OVER () AS s FROM many) AS t;
SET persona.threads = 2;
INSERT INTO digest SELECT md5(string_agg(coalesce(s::text, '-'), ',' ORDER BY id)) FROM (SELECT id, persona.dbscan(ARRAY[a, b], 0.12, 12) OVER () AS s FROM (SELECT * FROM many ORDER BY md5(id::text)) AS r) AS t;
RESET persona.threads;
SELECT count(*), count(DISTINCT sha) FROM digest;
SET persona.max_fit_memory = '1MB';
SELECT persona.dbscan(ARRAY[a, b], 0.12, 12) OVER () FROM many;
