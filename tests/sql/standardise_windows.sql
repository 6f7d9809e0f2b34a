-- Window functions: each row's value among those of its frame, beside the built-in aggregates over the same frame.
SET search_path = public;
SET extra_float_digits = 0;
\set VERBOSITY terse
CREATE TABLE v AS SELECT i AS id, i % 3 AS g, CASE WHEN i % 7 > 0 THEN (i * 37 % 101)::float8 + 1000 END AS x FROM generate_series(1, 300) AS i;
-- the whole table, and each group
SELECT max(abs(z - (x - m) / sd)) < 1e-9 AS zscore, max(abs(mm - (x - lo) / (hi - lo))) < 1e-9 AS minmax, count(z), count(mm) FROM (
  SELECT x, persona.zscore(x) OVER w AS z, persona.minmax(x) OVER w AS mm, avg(x) OVER w AS m, stddev_pop(x) OVER w AS sd, min(x) OVER w AS lo, max(x) OVER w AS hi
  FROM v WINDOW w AS ()) AS s;
SELECT max(abs(z - (x - m) / sd)) < 1e-9 AS zscore, count(z) FROM (
  SELECT x, persona.zscore(x) OVER w AS z, avg(x) OVER w AS m, stddev_pop(x) OVER w AS sd FROM v WINDOW w AS (PARTITION BY g ORDER BY id RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) AS s;
SELECT max(abs(r - (x - q[2]) / (q[3] - q[1]))) < 1e-9 AS robust, max(abs(w - least(greatest(x, q[1]), q[3]))) < 1e-9 AS winsorize FROM
  (SELECT g, x, persona.robust(x) OVER (PARTITION BY g) AS r, persona.winsorize(x, 0.25, 0.75) OVER (PARTITION BY g) AS w FROM v) AS s
  JOIN (SELECT g, percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY x) AS q FROM v GROUP BY g) AS p USING (g);
-- rolling frames of every mode, growing ones, frames ahead and behind, exclusions
\set same 'SELECT max(abs(z - (x - m) / coalesce(nullif(sd, 0), 1))) < 1e-6 AS zscore, max(abs(mm - (x - lo) / coalesce(nullif(hi - lo, 0), 1))) < 1e-9 AS minmax, count(*) FILTER (WHERE (z IS NULL) <> (x IS NULL OR m IS NULL)) AS wrong_nulls FROM (SELECT x, persona.zscore(x) OVER w AS z, persona.minmax(x) OVER w AS mm, avg(x) OVER w AS m, stddev_pop(x) OVER w AS sd, min(x) OVER w AS lo, max(x) OVER w AS hi FROM v WINDOW w AS '
:same (ORDER BY id ROWS BETWEEN 9 PRECEDING AND CURRENT ROW)) AS s;
:same (PARTITION BY g ORDER BY id ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING)) AS s;
:same (ORDER BY id)) AS s;
:same (ORDER BY g)) AS s;
:same (ORDER BY id RANGE BETWEEN 20 PRECEDING AND 5 FOLLOWING)) AS s;
:same (ORDER BY g GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW)) AS s;
:same (ORDER BY id ROWS BETWEEN 4 FOLLOWING AND 8 FOLLOWING)) AS s;
:same (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 3 PRECEDING)) AS s;
:same (ORDER BY id ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING EXCLUDE CURRENT ROW)) AS s;
:same (ORDER BY g RANGE UNBOUNDED PRECEDING EXCLUDE TIES)) AS s;
:same (ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE GROUP)) AS s;
SELECT id, persona.robust(x) OVER w AS robust, persona.winsorize(x, 0, 0.5) OVER w AS winsorized FROM (VALUES (1, 1.0::float8), (2, 5), (3, NULL), (4, 3), (5, 100)) AS t (id, x) WINDOW w AS (ORDER BY id ROWS 2 PRECEDING) ORDER BY id;
-- many rows, more than are kept at once
SET work_mem = '64kB';
SELECT round(sum(z)::numeric, 6) AS sum, round(sum(z * z)::numeric, 3) AS squares FROM (SELECT persona.zscore(x) OVER () AS z FROM generate_series(1, 50000) AS x) AS s;
RESET work_mem;
SELECT id, persona.zscore(x) OVER () FROM v ORDER BY id LIMIT 2;
-- one row, none, constant, all NULL, huge
SELECT persona.zscore(x) OVER (), persona.minmax(x) OVER (), persona.robust(x) OVER (), persona.winsorize(x, 0, 1) OVER () FROM (VALUES (7.0)) AS t (x);
SELECT persona.zscore(x) OVER () FROM v WHERE false;
SELECT DISTINCT persona.zscore(4.2) OVER (), persona.minmax(4.2) OVER (), persona.robust(4.2) OVER () FROM v;
SELECT DISTINCT persona.zscore(NULL) OVER (), persona.robust(NULL) OVER () FROM v;
SELECT persona.minmax(x) OVER (), persona.robust(x) OVER () FROM (VALUES (-1e308), (0), (1e308)) AS t (x);
SELECT persona.zscore(x) OVER () FROM (VALUES (-1e308), (0), (1e308)) AS t (x);
SELECT persona.zscore(x) OVER () FROM (VALUES ('NaN'::float8), (0)) AS t (x);
SELECT persona.minmax(x) OVER (ORDER BY x) FROM (VALUES ('Infinity'::float8), (0)) AS t (x);
SELECT persona.winsorize(x, 0.9, 0.1) OVER () FROM (VALUES (1), (0)) AS t (x);
SELECT persona.winsorize(x, NULL, 0.1) OVER () FROM (VALUES (1), (0)) AS t (x);
SELECT persona.zscore(1);
