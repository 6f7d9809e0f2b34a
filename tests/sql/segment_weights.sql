-- Rows that count as several, or as none.
SET search_path = public;
CREATE TABLE basket AS
SELECT i AS id, (i % 3) * 30 + (i * 7919 % 100) / 20.0 AS spend, ((i + 1) % 3) * 40 + (i * 10007 % 97) / 20.0 AS items, i % 5 AS n
FROM generate_series(1, 3000) AS i;
CREATE TABLE copied AS SELECT b.id * 10 + copy AS id, b.id AS basket, spend, items FROM basket AS b, generate_series(1, n) AS copy;

-- A row of weight w is w rows: the same centroids, means and figures. Sizes are of rows as they are.
SELECT segment, size, label FROM persona.fit_segments('weighted', 'basket', 'id', k => 3, weight_column => 'n', save_to => 'basket_segment');
SELECT segment, size, label FROM persona.fit_segments('copied', 'SELECT id, spend, items FROM copied', 'id', k => 3);
SELECT features, parameters -> 'weight_column' AS weight_column, parameters -> 'weights' AS weights FROM persona.model_versions WHERE model = 'weighted';
SELECT feature, count(*) AS segments, bool_and(abs(w.mean - c.mean) < 1e-9) AS same_mean, bool_and(abs(w.population_mean - c.population_mean) < 1e-9) AS same_population
FROM persona.segment_profile('weighted') AS w JOIN persona.segment_profile('copied') AS c USING (feature) WHERE abs(w.mean - c.mean) < 1 GROUP BY feature ORDER BY feature;
SELECT w.n_rows, c.n_rows AS n_copies, abs(w.inertia / c.inertia - 1) < 1e-9 AS same_inertia, abs(w.davies_bouldin / c.davies_bouldin - 1) < 1e-6 AS same_davies_bouldin,
       abs(w.calinski_harabasz / c.calinski_harabasz - 1) < 1e-6 AS same_calinski_harabasz
FROM persona.segment_quality('weighted') AS w, persona.segment_quality('copied') AS c;
-- Those of weight 0 have a segment.
SELECT s.segment, count(*), bool_and(s.segment = persona.segment('weighted', b)) AS as_labelled FROM basket_segment s JOIN basket b USING (id) WHERE n = 0 GROUP BY s.segment ORDER BY s.segment;

-- The night job reads the weights again.
UPDATE basket SET n = 1000 WHERE spend < 1;
SELECT persona.refit('weighted');
SELECT version, parameters -> 'weight_column' AS weight_column, (metrics ->> 'inertia')::float8 > 10000 AS is_heavy FROM persona.model_versions WHERE model = 'weighted' ORDER BY version;
SELECT bool_and(population_mean < 10) AS is_pulled FROM persona.segment_profile('weighted') WHERE feature = 'spend';
SELECT from_segment, to_segment, n_rows FROM persona.segment_flow('weighted');
SELECT persona.report('weighted') LIKE '%<svg%' AS is_a_page;
ALTER TABLE basket RENAME n TO m;
SELECT persona.refit('weighted');
ALTER TABLE basket RENAME m TO n;

-- In any memory and metric, from any seeds; weights of 1 are none.
SELECT count(*) FROM persona.fit_segments('on_disk', 'SELECT * FROM basket ORDER BY md5(id::text)', 'id', k => 5, weight_column => 'n', seeding => 'k-means||', storage => 'disk');
SELECT count(*) FROM persona.fit_segments('in_memory', 'basket', 'id', k => 5, weight_column => 'n', seeding => 'k-means||');
SELECT count(*) FROM persona.fit_segments('ones', 'SELECT id, spend, items, 1 AS one FROM basket', 'id', k => 5, weight_column => 'one');
SELECT count(*) FROM persona.fit_segments('none', 'SELECT id, spend, items FROM basket', 'id', k => 5);
SELECT model, count(*) OVER (PARTITION BY sha256) AS alike FROM persona.model_versions WHERE model IN ('on_disk', 'in_memory', 'ones', 'none') ORDER BY model;
SELECT count(*) FROM persona.fit_segments('by_direction', 'basket', 'id', k => 3, features => '{spend,items}', weight_column => 'n', metric => 'cosine', scaling => 'none');
SELECT count(*) FROM persona.fit_segments('as_feature', 'basket', 'id', k => 3, features => '{spend,n}', weight_column => 'n', weights => '{"n": 2}');

-- How many segments there are: rows of weight 0 do not tell.
SELECT k, is_best FROM persona.choose_k($$SELECT spend, items, CASE WHEN spend > 50 THEN 0 ELSE 0.5 END AS n FROM basket$$, 2, 4, weight_column => 'n');
SELECT count(*) FROM persona.fit_segments('chosen', $$SELECT id, spend, items, CASE WHEN spend > 50 THEN 0 ELSE 0.5 END AS n FROM basket$$, 'id', weight_column => 'n');

-- The aggregate takes the column out of the record.
SELECT c.* FROM (SELECT persona.kmeans(b, 3, '{"weight_column": "n"}') AS weighted FROM (SELECT spend, id % 5 AS n, items FROM basket) AS b) AS w,
       (SELECT persona.kmeans(b, 3) AS copied FROM (SELECT spend, items FROM copied) AS b) AS f,
       LATERAL (SELECT w.feature, bool_and(abs(w.centroid - c.centroid) < 1e-6) AS same_centroid, sum(w.size) AS n_rows, sum(c.size) AS n_copies
                FROM persona.centroids(weighted) AS w JOIN persona.centroids(copied) AS c USING (feature) WHERE abs(w.centroid - c.centroid) < 1 GROUP BY w.feature) AS c ORDER BY feature;
SELECT n % 2 AS part, persona.kmeans(b, 2, '{"weight_column": "n"}')::text::jsonb -> 'features' AS features FROM (SELECT n + 1 AS n, spend, items FROM basket) AS b GROUP BY 1 ORDER BY 1;
SELECT persona.kmeans(ARRAY[spend, items], 3, '{"weight_column": "n"}') FROM basket;
SELECT persona.kmeans(b, 3, '{"weight_column": "m"}') FROM (SELECT spend, items, n FROM basket) AS b;
SELECT persona.kmeans(b, 3, '{"weight_column": 7}') FROM (SELECT spend, items, n FROM basket) AS b;
SELECT persona.kmeans(b, 3, jsonb_build_object('weight_column', repeat('n', 64))) FROM (SELECT spend, items, n FROM basket) AS b;
SELECT persona.kmeans(b, 1, '{"weight_column": "n"}') FROM (SELECT n FROM basket) AS b;
SELECT persona.kmeans(b, 3, '{"weight_column": "n"}') FROM (SELECT spend, nullif(n, 3) AS n FROM basket) AS b;
SELECT persona.kmeans(b, 3, '{"weight_column": "n"}') FROM (SELECT nullif(spend, 0) AS spend, n FROM basket WHERE id <> 3 UNION ALL SELECT NULL, 1) AS b;
SELECT persona.kmeans(b, 3, '{"weight_column": "n"}') FROM (SELECT spend, n - 1 AS n FROM basket) AS b;
SELECT persona.kmeans(b, 3, '{"weight_column": "n"}') FROM (SELECT spend, 0 AS n FROM basket) AS b;
SELECT persona.kmeans(b, 3, '{"weight_column": "n"}') FROM (SELECT spend, 0 AS n FROM basket WHERE false) AS b;

-- What is no weight.
\set bad 'SELECT count(*) FROM persona.fit_segments(''bad'', ''SELECT id, spend, items, '
:bad -n AS w FROM basket WHERE id < 9', 'id', k => 2, weight_column => 'w');
:bad nullif(n, 3) AS w FROM basket', 'id', k => 2, weight_column => 'w');
:bad nullif(n, 3) AS w FROM basket', 'id', k => 2, weight_column => 'w', storage => 'disk');
:bad ''NaN''::float8 AS w FROM basket', 'id', k => 2, weight_column => 'w');
:bad ''-Infinity''::numeric AS w FROM basket', 'id', k => 2, weight_column => 'w');
:bad 1e20 AS w FROM basket', 'id', k => 2, weight_column => 'w');
:bad 0 AS w FROM basket', 'id', k => 2, weight_column => 'w');
:bad ''many'' AS w FROM basket', 'id', k => 2, weight_column => 'w');
:bad ARRAY[n] AS w FROM basket', 'id', k => 2, weight_column => 'w');
:bad n FROM basket', 'id', k => 2, weight_column => 'w');
SELECT count(*) FROM persona.fit_segments('bad', 'SELECT id, id % 6 AS x, (id % 6 < 2)::int AS w FROM basket', 'id', k => 3, weight_column => 'w');
SELECT count(*) FROM persona.choose_k('SELECT spend, -1 AS w FROM basket', weight_column => 'w');
SELECT count(*) FROM persona.choose_k('SELECT spend, NULL::float8 AS w FROM basket', weight_column => 'w');
