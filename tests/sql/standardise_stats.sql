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
