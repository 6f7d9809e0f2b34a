-- Scalers: from rows and summaries, on arrays and records, there and back.
SET search_path = public;
CREATE TABLE customer (id int, spend float8, visits int, city text, flat float8);
INSERT INTO customer VALUES (1, 0, 2, 'Oslo', 7), (2, 10, 4, 'Kyoto', 7), (3, 20, 6, 'Lima', 7), (4, 30, 8, 'Oslo', 7);

SELECT persona.standard_scaler(ARRAY[spend, visits, flat]) FROM customer;
SELECT persona.minmax_scaler(r) FROM (SELECT spend, visits, flat FROM customer) r;

-- from a summary it is the same
SELECT persona.standard_scaler(persona.feature_stats(ARRAY[spend, visits]))::text = persona.standard_scaler(ARRAY[spend, visits])::text AS equal
FROM customer;

-- scaled: mean 0, deviation 1; a constant feature becomes 0
CREATE TABLE scaler AS SELECT persona.standard_scaler(r) AS s FROM (SELECT spend, visits, flat FROM customer) r;
SELECT id, persona.scale(s, c) FROM customer c, scaler ORDER BY id;
-- columns bind by name: order and other columns do not matter
SELECT id, persona.scale(s, r) FROM (SELECT city, flat, visits, id, spend FROM customer) r, scaler ORDER BY id;
-- and back
SELECT id, persona.unscale(s, persona.scale(s, c)) FROM customer c, scaler ORDER BY id;
-- unscale of a record whose columns are scaled features
SELECT persona.unscale(s, r) FROM scaler, (SELECT 0.0 AS spend, 0.0 AS visits, 0.0 AS flat) r;
-- text there and back
SELECT s::text::persona.scaler::text = s::text AS equal FROM scaler;

-- NULL stays NULL
SELECT persona.scale(s, ARRAY[NULL, 5, NULL]::float8[]) FROM scaler;
SELECT persona.scale(s, NULL::float8[]), persona.scale(NULL, ARRAY[1]::float8[]) FROM scaler;
-- a feature without any value scales to NULL
SELECT persona.scale(persona.standard_scaler(v), ARRAY[1, 1]) FROM (VALUES (ARRAY[1, NULL]::float8[]), (ARRAY[3, NULL])) t (v);

-- what is refused
SELECT persona.scale(s, ARRAY[1, 2]) FROM scaler;
SELECT persona.scale(s, r) FROM scaler, (SELECT 1 AS spend, 2 AS flat) r;
SELECT persona.scale(s, r) FROM scaler, (SELECT 1 AS spend, 'many'::text AS visits, 2 AS flat) r;
SELECT persona.scale(s, ROW(1, 2, 3)) FROM scaler;
SELECT persona.scale(s, ARRAY[1, 'NaN', 2]::float8[]) FROM scaler;
SELECT persona.scale(persona.standard_scaler(ARRAY[spend]), r) FROM customer r GROUP BY r.*;
SELECT persona.standard_scaler(ARRAY[x]) FROM (VALUES (1e300), (-1e300)) v (x);
SELECT '{"kind":"standard","features":null,"center":[0],"scale":[0]}'::persona.scaler;
SELECT '{"kind":"magic","features":null,"center":[0],"scale":[1]}'::persona.scaler;
SELECT 'x'::persona.scaler;

-- the whole range of floats
CREATE TABLE huge AS SELECT x::float8 FROM (VALUES (-1e308), (-1e308), (0), (1e308), (1e308)) AS v (x);
SELECT DISTINCT x, persona.scale(a, ARRAY[x]) AS minmax, persona.scale(b, ARRAY[x]) AS to_three, persona.scale(c, ARRAY[x]) AS robust, persona.scale(d, ARRAY[x]) AS uniform, persona.unscale(a, persona.scale(a, ARRAY[x])) AS back
FROM huge, (SELECT persona.minmax_scaler(s) AS a, persona.minmax_scaler(s, -1, 3) AS b, persona.robust_scaler(q) AS c, persona.quantile_scaler(q) AS d
            FROM (SELECT persona.feature_stats(ARRAY[x]) AS s, persona.feature_quantiles(ARRAY[x]) AS q FROM huge) AS sums) AS fitted ORDER BY x;
SELECT a, a::text::persona.scaler::text = a::text AS same FROM (SELECT persona.minmax_scaler(ARRAY[x]) AS a FROM huge) AS fitted;
SELECT persona.minmax_scaler(persona.feature_stats(ARRAY[x]), 0, 0.1) FROM huge;
SELECT DISTINCT x, persona.robust(x) OVER () FROM huge ORDER BY x;
SELECT persona.iqr_outliers(ARRAY[1.1e308], persona.feature_quantiles(ARRAY[x]), 0.06) AS inside, persona.iqr_outliers(ARRAY[1.1e308], persona.feature_quantiles(ARRAY[x]), 0.04) AS outside FROM huge;
