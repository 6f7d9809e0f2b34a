-- Quantiles: exact while few, mergeable, and the scalers that are read off them.
SET search_path = public;
SET extra_float_digits = 0;
\set VERBOSITY terse
CREATE TABLE customer AS
SELECT i AS id, (i * 37 % 101)::float8 AS spend, CASE WHEN i % 5 > 0 THEN (i % 7)::float8 END AS visits FROM generate_series(1, 200) AS i;
SELECT persona.quantile(q, 0.25) AS q25, persona.median(q) AS median, persona.quantile(q, 1) AS max
FROM (SELECT persona.feature_quantiles(ARRAY[spend, visits]) AS q FROM customer) AS s;
SELECT percentile_cont(ARRAY[0.25, 0.5, 1]) WITHIN GROUP (ORDER BY spend) AS spend, percentile_cont(ARRAY[0.25, 0.5, 1]) WITHIN GROUP (ORDER BY visits) AS visits FROM customer;
SELECT feature, edges FROM persona.quantile_bins((SELECT persona.feature_quantiles(c) FROM (SELECT spend, visits FROM customer) AS c), 4);
SELECT width_bucket(spend, edges) AS bin, count(*) FROM customer, persona.quantile_bins((SELECT persona.feature_quantiles(ARRAY[spend]) FROM customer), 4) GROUP BY 1 ORDER BY 1;

-- many rows: the ranks are nearly right, merged and in parallel alike
CREATE TABLE big AS SELECT ((i::bigint * 7919) % 100003)::float8 AS x, (i % 9)::float8 AS y FROM generate_series(1, 200000) AS i;
ANALYZE big;
SELECT max(abs((persona.quantile(s, q))[1] / 100003 - q)) < 0.002 AS near FROM (SELECT persona.feature_quantiles(ARRAY[x, y]) AS s FROM big) AS s, generate_series(0, 1, 0.05) AS q;
SELECT max(abs((persona.quantile(s, q))[1] / 100003 - q)) < 0.002 AS near
FROM (SELECT persona.rollup(part) AS s FROM (SELECT persona.feature_quantiles(ARRAY[x, y]) AS part FROM big GROUP BY floor(x / 10000)) AS p) AS s, generate_series(0, 1, 0.05) AS q;
BEGIN;
SET LOCAL max_parallel_workers_per_gather = 2; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT persona.feature_quantiles(ARRAY[x, y]) FROM big;
SELECT max(abs((persona.quantile(s, q))[1] / 100003 - q)) < 0.002 AS near FROM (SELECT persona.feature_quantiles(ARRAY[x, y]) AS s FROM big) AS s, generate_series(0, 1, 0.05) AS q;
COMMIT;
SELECT count(*), sum((persona.median(q))[1]) FROM (SELECT persona.feature_quantiles(ARRAY[x]) AS q FROM big GROUP BY x) AS groups;
SELECT x, persona.median(persona.feature_quantiles(ARRAY[x]) OVER (ORDER BY x ROWS 2 PRECEDING)) AS rolling FROM (SELECT x FROM big ORDER BY x LIMIT 4) AS few;

-- few distinct values have exact quantiles whatever the number of rows, also merged and in parallel; so have scalers
CREATE TABLE ties AS SELECT i % 3 + 1 AS stars, CASE WHEN i % 5 = 0 THEN NULL ELSE (i::bigint * 7919 % 1000) / 10.0 END AS price, CASE WHEN i % 50 = 0 THEN i END AS rare FROM generate_series(1, 50000) AS i;
SELECT persona.quantile(q, 0.34) AS low, persona.quantile(q, 0.66) AS high FROM (SELECT persona.feature_quantiles(ARRAY[stars]) AS q FROM ties) AS s;
SELECT count(*) FILTER (WHERE abs((persona.quantile(q, p))[1] - a[1 + round(p * 100)::int]) + abs((persona.quantile(q, p))[2] - b[1 + round(p * 100)::int]) + abs((persona.quantile(r, p))[2] - b[1 + round(p * 100)::int]) > 1e-9) AS wrong
FROM (SELECT persona.feature_quantiles(ARRAY[stars, price]) AS q FROM ties) AS whole,
     (SELECT persona.rollup(part) AS r FROM (SELECT persona.feature_quantiles(ARRAY[stars, price]) AS part FROM ties GROUP BY price) AS p) AS merged,
     (SELECT percentile_cont(p) WITHIN GROUP (ORDER BY stars) AS a, percentile_cont(p) WITHIN GROUP (ORDER BY price) AS b
      FROM ties, (SELECT array_agg(i / 100.0 ORDER BY i)::float8[] AS p FROM generate_series(0, 100) AS i) AS ps GROUP BY p) AS exact, (SELECT i / 100.0::float8 AS p FROM generate_series(0, 100) AS i) AS each;
SELECT persona.robust_scaler(ARRAY[stars]) FROM ties;
-- rows without a value use nothing up: the thousand values among them are exact
SELECT persona.quantile(persona.feature_quantiles(ARRAY[rare]), 0.333) = ARRAY[percentile_cont(0.333) WITHIN GROUP (ORDER BY rare)] AS exact FROM ties;
-- beyond, a frequent value keeps its place among the others
SELECT persona.quantile(persona.feature_quantiles(ARRAY[CASE WHEN i % 2 = 0 THEN 0 ELSE sqrt(i) END]), 0.49) FROM generate_series(1, 100000) AS i;

-- text and binary forms
CREATE TABLE kept AS SELECT persona.feature_quantiles(c) AS q FROM (SELECT spend, visits FROM customer WHERE id <= 3) AS c;
SELECT q FROM kept;
SELECT q::text::persona.feature_quantiles::text = q::text AS same FROM kept;
INSERT INTO kept SELECT persona.feature_quantiles(ARRAY[x, y]) FROM big;
SELECT bool_and(q::text::persona.feature_quantiles::text = q::text) AS same, count(*) FROM kept;
SELECT persona.feature_quantiles_in('{"features": null, "of": [{"nulls": 0, "values": [[1, "x"]], "centroids": []}]}');
SELECT '{"features": null, "of": []}'::persona.feature_quantiles;
SELECT '{"features": ["a", "b"], "of": [{"nulls": 0, "values": [], "centroids": []}]}'::persona.feature_quantiles;
SELECT '{"features": null, "of": [{"nulls": 0, "values": [[2, 1], [1, 1]], "centroids": []}]}'::persona.feature_quantiles;
SELECT '{"features": null, "of": [{"nulls": 0, "values": [[1, 1]], "centroids": [[2, 0]]}]}'::persona.feature_quantiles;

-- scalers
SELECT id, persona.scale((SELECT persona.robust_scaler(ARRAY[spend, visits]) FROM customer), ARRAY[spend, visits]) AS robust FROM customer WHERE id <= 5 ORDER BY id;
SELECT persona.scale(persona.maxabs_scaler(s), ARRAY[50, 3]) AS maxabs, persona.scale(persona.minmax_scaler(s, low => -1, high => 1), ARRAY[50, 3]) AS minmax
FROM (SELECT persona.feature_stats(ARRAY[spend, visits]) AS s FROM customer) AS s;
SELECT id, persona.scale(persona.quantile_scaler(q), c) AS uniform, persona.scale(persona.quantile_scaler(q, 'normal'), c) AS normal
FROM customer AS c, (SELECT persona.feature_quantiles(v) AS q FROM (SELECT spend, visits FROM customer) AS v) AS s WHERE id <= 3 ORDER BY id;
SELECT round(avg(scaled[1])::numeric, 9) AS mean, round(stddev_pop(scaled[1])::numeric, 9) AS sd, round(avg(back[1] - spend)::numeric, 6) AS back
FROM (SELECT spend, persona.scale(s, ARRAY[spend, visits]) AS scaled, persona.unscale(s, persona.scale(s, ARRAY[spend, visits])) AS back
      FROM customer, (SELECT persona.yeo_johnson_scaler(ARRAY[spend, visits]) AS s FROM customer) AS fitted) AS all_rows;
SELECT persona.scale(persona.log1p_scaler(q), ARRAY[-1, 0]) AS out_of_range FROM (SELECT persona.feature_quantiles(ARRAY[spend, visits]) AS q FROM customer) AS s;
SELECT persona.minmax_scaler(persona.feature_stats(ARRAY[spend]), 1, 1) FROM customer;
SELECT persona.quantile_scaler(persona.feature_quantiles(ARRAY[spend]), 'gauss') FROM customer;

-- missing values and outliers
SELECT persona.impute(ARRAY[NULL, 3], persona.median(q)) AS filled, persona.impute('{NULL,NULL}', '{1,NULL}') AS constants FROM (SELECT persona.feature_quantiles(ARRAY[spend, visits]) AS q FROM customer) AS s;
SELECT persona.zscore_outliers(ARRAY[500, NULL], persona.feature_stats(ARRAY[spend, visits])) AS by_z, persona.iqr_outliers(ARRAY[50, 60], persona.feature_quantiles(ARRAY[spend, visits])) AS by_iqr FROM customer;
SELECT persona.impute('{1,2}', '{1}');
SELECT persona.iqr_outliers(ARRAY[1], persona.feature_quantiles(ARRAY[spend]), -1) FROM customer;
SELECT persona.quantile(persona.feature_quantiles(ARRAY[spend]), 1.5) FROM customer;
SELECT persona.feature_quantiles(ARRAY[spend, 'NaN']) FROM customer;
SELECT persona.feature_quantiles(a) FROM (VALUES (ARRAY[1.0::float8, 2]), (ARRAY[1.0::float8])) AS v (a);
SELECT persona.rollup(q) FROM (SELECT persona.feature_quantiles(ARRAY[spend]) AS q FROM customer UNION ALL SELECT persona.feature_quantiles(ARRAY[spend, visits]) FROM customer) AS u;
SELECT persona.feature_quantiles(ARRAY[spend]) FROM customer WHERE false;
SELECT persona.median(persona.feature_quantiles(ARRAY[NULL::float8])) FROM customer;

-- moments
SELECT persona.mean(s) AS mean, persona.stddev_pop(s) AS pop, persona.stddev_samp(s) AS samp, persona.skewness(s) AS skewness, persona.kurtosis(s) AS kurtosis
FROM (SELECT persona.feature_stats(ARRAY[x]) AS s FROM (VALUES (2), (8), (0), (4), (1), (9), (9), (0)) AS v (x)) AS s;
SELECT persona.skewness(s) AS constant, persona.stddev_samp(s) AS one FROM (SELECT persona.feature_stats(ARRAY[5.0]) AS s) AS s;
-- binary copies
CREATE TABLE there AS SELECT persona.feature_stats(c) AS stats, persona.feature_quantiles(c) AS quantiles, persona.standard_scaler(c) AS scaler, persona.kmeans(c, 2) AS kmeans FROM (SELECT spend FROM customer) AS c;
SELECT persona.feature_stats_send(stats) = persona.feature_stats_send(stats::text::persona.feature_stats) AS stats, length(persona.scaler_send(scaler)) > 0 AS scaler FROM there;
