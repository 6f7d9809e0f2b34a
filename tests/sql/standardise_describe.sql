-- What the columns of a query hold.
SET search_path = public;
SET timezone = 'UTC';
CREATE TABLE visitor AS
SELECT i AS id, i % 7 AS visits, CASE WHEN i % 10 > 0 THEN (i % 100)::float8 / 4 END AS spend, i % 4 = 0 AS is_member,
       date '2024-01-01' + i % 31 AS since, timestamptz '2024-01-01' + i * interval '1 hour' AS seen,
       CASE WHEN i % 3 = 0 THEN 'Delft' WHEN i % 3 = 1 THEN 'Kyoto' ELSE 'Oslo' END AS city, (i % 5)::numeric(8, 2) AS price,
       ARRAY[i, 2] AS tags, i * interval '1 day' AS wait
FROM generate_series(1, 1000) AS i;

SELECT column_name, data_type, n, nulls, not_finite, n_distinct FROM persona.describe('visitor');
SELECT column_name, mean, sd, min, q25, median, q75, max, round(skew::numeric, 6) AS skew FROM persona.describe('visitor') WHERE mean IS NOT NULL;
SELECT column_name, min_text, q25_text, median_text, q75_text, max_text, mean_text FROM persona.describe('visitor');
SELECT column_name, top_values, top_counts FROM persona.describe('visitor', top => 3);
SELECT column_name, outliers_z, outliers_iqr, histogram, sparkline FROM persona.describe('visitor', bins => 5);

-- as PostgreSQL's own aggregates say
SELECT d.mean = a.mean AS mean, abs(d.sd - a.sd) < 1e-12 AS sd, ARRAY[d.q25, d.median, d.q75] = a.quartiles AS quartiles
FROM persona.describe('visitor') AS d,
     (SELECT avg(spend) AS mean, stddev_samp(spend) AS sd, percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY spend) AS quartiles FROM visitor) AS a
WHERE d.column_name = 'spend';

-- outliers, and values that are no numbers
SELECT n, not_finite, n_distinct, mean, max, outliers_z, outliers_iqr
FROM persona.describe('SELECT x FROM unnest(array_fill(1::float8, ARRAY[50]) || array_fill(2::float8, ARRAY[50]) || ''{100, NaN, Infinity, -Infinity}''::float8[]) AS x');

-- beyond 8192 distinct values: the order of rows changes nothing but frequent values
CREATE TABLE many AS SELECT i AS id, CASE WHEN i % 20 = 0 THEN 0 ELSE ln(i) * 1000 END AS x, CASE WHEN i % 20 = 0 THEN 'often' ELSE 'text ' || i END AS t
FROM generate_series(1, 100000) AS i;
SELECT column_name, abs(n_distinct - 95001) < 3000 AS distinct_is_near, top_values[1] AS top, abs(top_counts[1] - 5000) < 200 AS count_is_near,
       abs(median - (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM many)) < 1 AS median_is_near,
       abs(outliers_iqr - (SELECT count(*) FROM many, (SELECT percentile_cont(0.25) WITHIN GROUP (ORDER BY x) AS a, percentile_cont(0.75) WITHIN GROUP (ORDER BY x) AS b FROM many) q
                           WHERE x < a - 1.5 * (b - a) OR x > b + 1.5 * (b - a))) < 20 AS outliers_are_near
FROM persona.describe('SELECT x, t FROM many');
SELECT d = e AS equal
FROM (SELECT ARRAY[n_distinct, q25, median, q75, outliers_z, outliers_iqr] || histogram::float8[] AS d FROM persona.describe('SELECT x FROM many ORDER BY id')) AS one,
     (SELECT ARRAY[n_distinct, q25, median, q75, outliers_z, outliers_iqr] || histogram::float8[] AS e FROM persona.describe('SELECT x FROM many ORDER BY id DESC')) AS other;

SELECT column_name, is_exact FROM persona.describe('SELECT x, t, id % 9 AS few, ARRAY[id] AS tags FROM many');

-- a value on an edge counts in the bin that begins there; of equally frequent values the least come first
SELECT histogram, top_values, top_counts FROM persona.describe('SELECT i FROM generate_series(1, 6) AS i');
SELECT histogram FROM persona.describe('SELECT i / 10.0::float8 AS i FROM generate_series(0, 10) AS i');

-- values that a double cannot tell apart: bigint, numeric, and times far from now
SELECT column_name, n_distinct, min_text, max_text, top_values, top_counts, is_exact
FROM persona.describe('SELECT 9007199254740993 + i % 1000 AS id, (9007199254740993 + i % 1000) / 10.0 AS price, 0.1 + i % 2 * 0.00000000000000000001 AS share,
                              timestamp ''9999-12-31 23:59:59.999999'' - i % 3 * interval ''1 microsecond'' AS until FROM generate_series(1, 3000) AS i', top => 2);
SELECT n_distinct, min_text, max_text FROM persona.describe('SELECT * FROM (VALUES (9223372036854775807), (9223372036854775806), (-9223372036854775808), (5), (NULL)) AS v (id)');
SELECT abs(n_distinct - 20000) < 600 AS near, max_text, is_exact FROM persona.describe('SELECT 1700000000000000000 + i AS id FROM generate_series(1, 20000) AS i');
SELECT n_distinct, not_finite, min_text, max_text FROM persona.describe('SELECT * FROM (VALUES (''NaN''::numeric), (1e400), (5.00), (5), (1e-30), (12345678901234567890.10), (12345678901234567890.1)) AS v (x)');

-- no rows, no values, two columns of one name, no columns
SELECT column_name, n, nulls, n_distinct, mean, median, min_text, top_values, histogram, sparkline FROM persona.describe('SELECT 1.5 AS a, ''x''::text AS b, NULL::int AS c WHERE false');
SELECT column_name, n, nulls, n_distinct, mean, median, min_text, top_values, histogram, sparkline FROM persona.describe('SELECT NULL::int AS a, NULL::text AS a, NULL::int[] AS c');
SELECT count(*) FROM persona.describe('SELECT FROM visitor');
SELECT min_text, max_text, mean FROM persona.describe('SELECT * FROM (VALUES (date ''infinity''), (date ''2024-02-29'')) AS v (d)');

-- what is refused
SELECT * FROM persona.describe('none such');
SELECT * FROM persona.describe('DELETE FROM visitor');
SELECT * FROM persona.describe(NULL);
SELECT * FROM persona.describe('visitor', bins => 0);
SELECT * FROM persona.describe('visitor', top => -1);
