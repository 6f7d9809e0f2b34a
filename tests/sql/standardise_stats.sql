-- Summaries: what they hold, how they merge, what they refuse.
SET search_path = public;
CREATE TABLE t (day int, a float8, b int, c numeric);
INSERT INTO t VALUES (1, 1, 10, 0.5), (1, 2, 20, 0.5), (2, 3, NULL, 0.5), (2, 6, 40, 0.5);

-- an array has features without names, a record keeps its columns' names
SELECT persona.feature_stats(ARRAY[a, b]) FROM t;
SELECT * FROM persona.feature_stats_rows((SELECT persona.feature_stats(r) FROM (SELECT a, b, c FROM t) r));

-- merged days are the whole
SELECT (SELECT persona.rollup(s)::text FROM (SELECT persona.feature_stats(ARRAY[a, b, c]) s FROM t GROUP BY day ORDER BY day) d)
     = (SELECT persona.feature_stats(ARRAY[a, b, c])::text FROM t) AS equal;

-- text goes out and in
SELECT persona.feature_stats(r)::text::persona.feature_stats::text = persona.feature_stats(r)::text AS equal FROM t r;

-- stored, grouped, windowed
CREATE TABLE days AS SELECT day, persona.feature_stats(ARRAY[a]) AS s FROM t GROUP BY day;
SELECT day, s FROM days ORDER BY day;
SELECT a, (persona.feature_stats_rows(persona.feature_stats(ARRAY[a]) OVER (ORDER BY a))).mean FROM t ORDER BY a;
SELECT persona.rollup(s) FROM days WHERE false;

-- no rows, NULL rows, NULL elements, an array column of a record
SELECT persona.feature_stats(ARRAY[a]) FROM t WHERE false;
SELECT persona.feature_stats(NULL::float8[]) FROM t;
SELECT persona.feature_stats(ARRAY[NULL, a]) FROM t WHERE a = 1;
SELECT * FROM persona.feature_stats_rows((SELECT persona.feature_stats(r) FROM (SELECT ARRAY[a, c] AS v, b FROM t) r));

-- every numeric type is a number
SELECT (persona.feature_stats_rows(persona.feature_stats(r))).feature, (persona.feature_stats_rows(persona.feature_stats(r))).max
FROM (SELECT 1::int2 AS i2, 2::int4 AS i4, 3::int8 AS i8, 4::float4 AS f4, 5::float8 AS f8, 6::numeric AS n, true AS yes,
             DATE '1970-01-02' AS d, TIMESTAMP '1970-01-01 00:00:07' AS ts, TIMESTAMPTZ '1970-01-01 00:00:08+00' AS tz) r;

-- what is refused
SELECT persona.feature_stats(ARRAY[a, 'NaN']) FROM t;
SELECT persona.feature_stats(r) FROM (SELECT a, 'Infinity'::float8 AS b FROM t) r;
SELECT persona.feature_stats(CASE WHEN a < 3 THEN ARRAY[a] ELSE ARRAY[a, a] END) FROM t;
SELECT persona.feature_stats('{{1,2},{3,4}}'::float8[]);
SELECT persona.feature_stats('{}'::float8[]);
SELECT persona.feature_stats(ROW(a, b)) FROM t;
SELECT persona.feature_stats(r) FROM (SELECT a, a FROM t) r;
SELECT persona.feature_stats(r) FROM (SELECT a, 'x'::text AS city FROM t) r;
SELECT persona.rollup(s) FROM (SELECT persona.feature_stats(ARRAY[1::float8]) s UNION ALL SELECT persona.feature_stats(ARRAY[1::float8, 2])) u;
SELECT '{"n":[1]}'::persona.feature_stats;
SELECT '{"features":null,"n":[2],"nulls":[0],"mean":[null],"m2":[0],"m3":[0],"m4":[0],"min":[1],"max":[1]}'::persona.feature_stats;

-- extremes keep mean and range; a moment beyond the range of floats is unknown
SELECT mean, stddev_pop, min, max FROM persona.feature_stats_rows((SELECT persona.feature_stats(ARRAY[x]) FROM (VALUES (1e300), (-1e300)) v (x)));
SELECT stddev_pop FROM persona.feature_stats_rows((SELECT persona.feature_stats(ARRAY[x]) FROM (VALUES (9223372036854775807), (9223372036854775807)) v (x)));
SELECT n, mean FROM persona.feature_stats_rows((SELECT persona.feature_stats(ARRAY[5e-324::float8])));

-- columns in another order are the same features; other columns and arrays are not
CREATE TABLE orders AS SELECT persona.feature_stats(r) AS s, persona.feature_quantiles(r) AS q FROM (SELECT a, b FROM t WHERE day = 1) r
UNION ALL SELECT persona.feature_stats(r), persona.feature_quantiles(r) FROM (SELECT b, a FROM t WHERE day = 2) r;
SELECT persona.rollup(s)::text = (SELECT persona.feature_stats(r)::text FROM (SELECT a, b FROM t) r) AS equal FROM orders;
SELECT persona.median(persona.rollup(q)) AS medians FROM orders;
SELECT persona.rollup(s) FROM (SELECT s FROM orders UNION ALL SELECT persona.feature_stats(r) FROM (SELECT a, c FROM t) r) u;
SELECT persona.rollup(q) FROM (SELECT q FROM orders UNION ALL SELECT persona.feature_quantiles(r) FROM (SELECT a, c FROM t) r) u;
SELECT persona.rollup(s) FROM (SELECT s FROM orders UNION ALL SELECT persona.feature_stats(ARRAY[a, b]) FROM t) u;
SELECT persona.rollup(q) FROM (SELECT persona.feature_quantiles(ARRAY[a, b]) AS q FROM t UNION ALL SELECT q FROM orders) u;

-- the greatest floats have a mean, and a deviation beyond the floats is unknown; text brings them back
SELECT s, persona.mean(s::text::persona.feature_stats) AS mean, persona.stddev_pop(s) AS sd
FROM (SELECT persona.feature_stats(ARRAY[x]) AS s FROM (VALUES (1e308), (-1e308)) v (x)) s;
SELECT persona.mean(s::text::persona.feature_stats) AS mean, s::text::persona.feature_stats::text = s::text AS same
FROM (SELECT persona.feature_stats(ARRAY[x]) AS s FROM (VALUES (1e308), (-1e308), (1e308), (1e308)) v (x)) s;

-- deviations keep their digits far from zero, also merged, from text, and in a window
SELECT persona.stddev_pop(persona.feature_stats(ARRAY[1.7e12 + x, x])) AS sd FROM (VALUES (0), (1), (3), (4)) v (x);
SELECT persona.stddev_pop(persona.rollup(s::text::persona.feature_stats)) AS sd
FROM (SELECT persona.feature_stats(ARRAY[1.7e12 + x, x]) AS s FROM (VALUES (0), (1), (3), (4)) v (x) GROUP BY x) p;
SELECT x, persona.zscore(1.7e12 + x) OVER (ORDER BY x ROWS 2 PRECEDING) = persona.zscore(x) OVER (ORDER BY x ROWS 2 PRECEDING) AS same FROM (VALUES (0), (1), (3), (4.25)) v (x);
SELECT DISTINCT abs(sd - 1.678580867926427754) < 1e-9 AS sd FROM persona.describe('SELECT 1.7e12 + (ARRAY[0, 1, 3, 4.3])[1 + i % 4]::float8 FROM generate_series(0, 3999) AS i');
