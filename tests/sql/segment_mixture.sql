-- The gaussian_mixture aggregate, its value, and the functions that use it.
SET search_path = public;
-- Two overlapping clouds, of normal quantiles by a grid: every number is exact in its place.
CREATE TABLE cloud AS
SELECT row_number() OVER (ORDER BY g, i, j) AS id, g, CASE g WHEN 1 THEN a ELSE 6 + b / 2 END AS x, CASE g WHEN 1 THEN a + b ELSE a / 2 - 1 END AS y
FROM (SELECT g, i, j, sqrt(-2 * ln(i / 21.0)) * cos(j * 2 * pi() / 15) AS a, sqrt(-2 * ln(i / 21.0)) * sin(j * 2 * pi() / 15) AS b
      FROM generate_series(1, 2) AS g, generate_series(1, 20) AS i, generate_series(1, 15) AS j WHERE g = 1 OR i % 2 = 0) AS s;
CREATE TABLE fitted AS
SELECT persona.gaussian_mixture(ARRAY[c.x, c.y], 2) AS of_arrays, persona.gaussian_mixture(v, 2) AS of_rows,
       persona.gaussian_mixture(v, 2, '{"covariance": "diagonal", "seed": 5, "tolerance": 1e-8, "max_iterations": 500, "regularization": 1e-9}') AS diagonal
FROM cloud AS c, LATERAL (SELECT c.y, c.x) AS v;
-- What was drawn: weights 2/3 and 1/3, means (0, 0) and (6, -1), standard deviations about (1, 1.4) and (0.5, 0.5).
SELECT segment, round(weight::numeric, 3) AS weight, feature, round(mean::numeric, 3) AS mean, round(stddev::numeric, 3) AS stddev FROM fitted, persona.components(of_arrays);
SELECT segment, round(weight::numeric, 3) AS weight, feature, round(mean::numeric, 3) AS mean, round(stddev::numeric, 3) AS stddev FROM fitted, persona.components(of_rows);
SELECT segment, round(weight::numeric, 3) AS weight, feature, round(mean::numeric, 3) AS mean, round(stddev::numeric, 3) AS stddev FROM fitted, persona.components(diagonal);
SELECT of_arrays::text::json ->> 'ended' AS ended, diagonal::text::json ->> 'covariance' AS covariance FROM fitted;
-- Memberships, the most probable component, densities: as array and as record, whose columns are found by name.
SELECT p, (SELECT array_agg(round(m::numeric, 4)) FROM unnest(persona.membership(of_arrays, p)) AS m) AS membership,
       persona.segment(of_arrays, p) AS segment, round(persona.log_density(of_arrays, p)::numeric, 4) AS log_density
FROM fitted, (VALUES ('{0,0}'::float8[]), ('{6,-1}'), ('{3.9,0.4}'), ('{100,100}')) AS t (p);
SELECT persona.membership(of_arrays, '{1e300,-1e300}'::float8[]), persona.log_density(of_arrays, '{1e300,-1e300}'::float8[]) < -1e90 AS is_odd FROM fitted;
SELECT max(abs(a.m[1] - r.m[1])) < 1e-9 AS membership, bool_and(a.s = r.s) AS segment, max(abs(a.d - r.d)) < 1e-9 AS log_density,
       max(abs(a.m[1] + a.m[2] - 1)) < 1e-12 AS is_whole, count(*) FILTER (WHERE a.s <> c.g) AS misplaced, round(avg(a.d)::numeric, 6) = round((max(f.l))::numeric, 6) AS mean
FROM (SELECT of_arrays, of_rows, (of_arrays::text::json ->> 'log_likelihood')::float8 AS l FROM fitted) AS f, cloud AS c,
     LATERAL (SELECT persona.membership(of_arrays, ARRAY[c.x, c.y]) AS m, persona.segment(of_arrays, ARRAY[c.x, c.y]) AS s, persona.log_density(of_arrays, ARRAY[c.x, c.y]) AS d) AS a,
     LATERAL (SELECT persona.membership(of_rows, c) AS m, persona.segment(of_rows, c) AS s, persona.log_density(of_rows, c) AS d) AS r;
SELECT persona.membership(of_arrays, NULL::float8[]), persona.membership(of_arrays, ARRAY[NULL, 1]), persona.segment(of_arrays, ARRAY[1, NULL]),
       persona.log_density(of_arrays, ARRAY[1, NULL]), persona.membership(NULL::persona.mixture, ARRAY[1, 2]) FROM fitted;
SELECT persona.segment(of_rows, v), persona.membership(of_rows, v) IS NULL FROM fitted, (VALUES (NULL::float8, 3, 'more')) AS v (x, y, z);
-- Text in and out loses nothing.
SELECT of_rows::text = of_rows::text::persona.mixture::text AS same FROM fitted;
-- The same rows in any order, on any number of threads, make the same value.
CREATE TABLE spread AS SELECT i, sin(i * 1.7) * 10 + i % 5 AS a, cos(i * 0.3) * 3 + i % 3 AS b FROM generate_series(1, 20000) AS i;
CREATE TABLE digest (sha text);
SET persona.threads = 1;
INSERT INTO digest SELECT md5(persona.gaussian_mixture(ARRAY[a, b], 4)::text) FROM spread;
SET persona.threads = 2;
INSERT INTO digest SELECT md5(persona.gaussian_mixture(ARRAY[a, b], 4)::text) FROM spread;
INSERT INTO digest SELECT md5(persona.gaussian_mixture(ARRAY[a, b], 4)::text) FROM (SELECT a, b FROM spread ORDER BY md5(i::text)) AS s;
RESET persona.threads;
SELECT count(*), count(DISTINCT sha) FROM digest;
-- Groups and partitions.
SELECT g, round(weight::numeric, 3) AS weight, feature, round(mean::numeric, 3) AS mean FROM (SELECT g, persona.gaussian_mixture(ARRAY[x, y], 1) AS m FROM cloud GROUP BY g) AS s, persona.components(m) ORDER BY g, feature;
SELECT count(*), count(DISTINCT m::text) FROM (SELECT persona.gaussian_mixture(ARRAY[x], 1) OVER (PARTITION BY g) AS m FROM cloud) AS s;
SELECT persona.gaussian_mixture(ARRAY[x], 1) OVER (ORDER BY id) FROM cloud;
-- Edges.
SELECT persona.gaussian_mixture(ARRAY[x], 2) FROM cloud WHERE false;
SELECT persona.gaussian_mixture(NULL::float8[], 2) FROM cloud;
SELECT segment, weight, mean, stddev FROM persona.components((SELECT persona.gaussian_mixture(ARRAY[5.0], 1) FROM generate_series(1, 3)));
-- What cannot be fitted says why.
SELECT persona.gaussian_mixture(ARRAY[x], 0) FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 70000) FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], NULL) FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], id::int) FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[1.0], 2) FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x, NULL], 2) FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x, 'NaN'], 2) FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x * 1e200], 2) FROM cloud;
SELECT persona.gaussian_mixture(p, 1) FROM (VALUES ('{1,2}'::float8[]), ('{1}')) AS t (p);
SELECT persona.gaussian_mixture(v, 1) FROM (VALUES (1, 'x')) AS v (a, b);
SELECT persona.gaussian_mixture(array_fill(x, ARRAY[3000]), 2) FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"covariances": "full"}') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"covariance": "tied"}') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"regularization": -1}') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"tolerance": -1}') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '{"max_iterations": 0}') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x, x], 1, '{"regularization": 0}') FROM cloud;
SELECT persona.gaussian_mixture(ARRAY[x], 2, '[]') FROM cloud;
SELECT persona.membership(of_arrays, ARRAY[1]) FROM fitted;
SELECT persona.segment(of_arrays, ARRAY[1, 2, 3]) FROM fitted;
SELECT persona.membership(of_arrays, c) FROM fitted, cloud AS c;
SELECT persona.membership(of_rows, v) FROM fitted, (VALUES (1, 2)) AS v (x, z);
SELECT '{}'::persona.mixture;
SELECT replace(of_arrays::text, '"format":1', '"format":2')::persona.mixture FROM fitted;
SELECT replace(of_arrays::text, '"weights":[', '"weights":[0.5,')::persona.mixture FROM fitted;
SET persona.max_fit_memory = '1MB';
SELECT persona.gaussian_mixture(ARRAY[a, b], 2) FROM spread;
