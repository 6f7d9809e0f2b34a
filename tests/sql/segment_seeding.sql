-- What a fit begins from: the seedings find the same segments where these lie apart.
SET search_path = public;
CREATE TABLE shopper AS
SELECT i AS id, (i % 6) * 50 + (i::bigint * 7919 % 100) / 20.0 AS spend, (i % 2) * 40 + (i::bigint * 104729 % 97) / 20.0 AS visits
FROM generate_series(1, 60000) AS i;

SELECT seeding, string_agg(size::text, ',' ORDER BY segment) AS sizes
FROM unnest('{auto,k-means++,k-means||}'::text[]) AS seeding, persona.fit_segments('by ' || seeding, 'shopper', 'id', k => 6, seeding => seeding) GROUP BY seeding ORDER BY seeding;
SELECT model, parameters -> 'seeding' AS seeding FROM persona.model_versions ORDER BY model;
SELECT count(DISTINCT (persona.segment('by auto', s), persona.segment('by k-means++', s), persona.segment('by k-means||', s))) FROM shopper s;

-- A seed decides all of it, in memory and on disk, whatever the order of the rows.
SELECT count(*) FROM persona.fit_segments('on disk', 'SELECT * FROM shopper ORDER BY md5(id::text)', 'id', k => 40, seed => 3, seeding => 'k-means||', storage => 'disk');
SELECT count(*) FROM persona.fit_segments('in memory', 'shopper', 'id', k => 40, seed => 3, seeding => 'k-means||');
SELECT count(*) FROM persona.fit_segments('other seed', 'shopper', 'id', k => 40, seed => 4, seeding => 'k-means||');
SELECT count(DISTINCT sha256) FROM persona.model_versions WHERE model IN ('on disk', 'in memory');
SELECT count(DISTINCT sha256) FROM persona.model_versions WHERE model IN ('other seed', 'in memory');
SELECT persona.refit('by k-means||');
SELECT version, parameters -> 'seeding' AS seeding FROM persona.model_versions WHERE model = 'by k-means||' ORDER BY version;

-- The other calls that take it.
SELECT k, is_best FROM persona.choose_k('SELECT spend, visits FROM shopper', 5, 7, sample_rows => 1000, seeding => 'k-means++');
SELECT persona.kmeans(ARRAY[spend, visits], 6, '{"seeding": "k-means++"}')::text::jsonb -> 'sizes' AS plus_plus,
       persona.kmeans(ARRAY[spend, visits], 6, '{"seeding": "k-means||"}')::text::jsonb -> 'sizes' AS parallel,
       persona.kmeans(ARRAY[1 + spend, visits], 3, '{"seeding": "k-means||", "metric": "cosine"}')::text::jsonb -> 'metric' AS metric
FROM shopper;

-- What is not a seeding, and too few distinct rows for one.
SELECT count(*) FROM persona.fit_segments('bad', 'shopper', 'id', k => 6, seeding => 'random');
SELECT count(*) FROM persona.fit_segments('bad', 'shopper', 'id', k => 6, seeding => NULL);
SELECT count(*) FROM persona.choose_k('SELECT spend FROM shopper', seeding => 'k-means');
SELECT persona.kmeans(ARRAY[spend], 2, '{"seeding": "K-MEANS++"}') FROM shopper;
SELECT persona.kmeans(ARRAY[spend], 2, '{"seeding": 1}') FROM shopper;
SELECT count(*) FROM persona.fit_segments('bad', 'SELECT id, id % 3 AS x FROM shopper', 'id', k => 4, seeding => 'k-means++');
SELECT count(*) FROM persona.fit_segments('bad', 'SELECT id, id % 3 AS x FROM shopper', 'id', k => 4, seeding => 'k-means||');
