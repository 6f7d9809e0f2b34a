-- Scaling of features with heavy tails: in every way the product has, for all columns or by column.
SET search_path = public;
-- Sums and counts that are normal by their logarithms: few buy most, as in a shop.
CREATE TABLE buyer AS
SELECT i AS id, round(exp(3.5 + 0.9 * c)::numeric, 1)::float8 AS recency, ceil(exp(0.5 + 0.9 * a)) AS orders,
       round(exp(3.5 + 1.1 * a + 1.3 * b)::numeric, 2)::float8 AS spend, (ARRAY['shop', 'web', 'phone'])[1 + i % 3] AS channel
FROM (SELECT i, sqrt(-2 * ln((i - 0.5) / 4000)) * cos(2 * pi() * i * 0.6180339887) AS a, sqrt(-2 * ln((i - 0.5) / 4000)) * sin(2 * pi() * i * 0.6180339887) AS b,
             sqrt(-2 * ln((i * 1597 % 4000 + 0.5) / 4000)) * cos(2 * pi() * i * 0.4142135624) AS c FROM generate_series(1, 4000) AS i) AS s;
SELECT round(max(spend)::numeric) AS most, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY spend)::numeric) AS median FROM buyer;
CREATE FUNCTION sizes(scaling text) RETURNS bigint[] LANGUAGE sql AS
$$ SELECT array_agg(size ORDER BY segment) FROM persona.fit_segments(scaling, 'SELECT id, recency, orders, spend FROM buyer', 'id', k => 4, scaling => scaling, n_init => 5) $$;
SELECT scaling, sizes(scaling) FROM unnest('{standard,none,minmax,maxabs,robust,log1p,yeo_johnson}'::text[]) AS scaling;

-- Rows keep the segment of the fit, and means are those of the rows.
SELECT scaling, (SELECT bool_and(abs(mean - real_mean) < 1e-6 * real_mean) FROM persona.segment_profile(scaling) AS p
    JOIN (SELECT persona.segment(scaling, b) AS segment, avg(spend) AS real_mean FROM buyer AS b GROUP BY 1) AS r USING (segment) WHERE p.feature = 'spend') AS is_mean
FROM unnest('{log1p,yeo_johnson,robust}'::text[]) AS scaling;
SELECT name, size, label FROM persona.segments('log1p');
SELECT scaling, count(*), count(DISTINCT persona.segment(scaling, b)), count(*) FILTER (WHERE persona.segment(scaling, b) = persona.second_segment(scaling, b)) AS twice,
       bool_and(persona.distance(scaling, b) >= 0 AND persona.anomaly(scaling, b) >= 0) AS is_fine
FROM buyer AS b, unnest('{minmax,maxabs,robust,log1p,yeo_johnson}'::text[]) AS scaling GROUP BY 1 ORDER BY 1;
SELECT r ->> 'feature' AS feature, round((r ->> 'share')::numeric, 2) AS share, r ->> 'value' AS value, round((r ->> 'expected')::numeric) AS expected
FROM buyer AS b, jsonb_array_elements(persona.anomaly_reasons('log1p', b, 2)) AS r WHERE b.id = 3;
SELECT length(persona.report('log1p')) > 1000 AS is_page;

-- By column; the others are standard, and a refit keeps it.
SELECT size FROM persona.fit_segments('ways', 'buyer', 'id', k => 3, features => '{recency,spend,channel}', scaling => '{"spend": "log1p"}', save_to => 'labelled');
SELECT parameters -> 'scaling' AS scaling FROM persona.model_versions WHERE model = 'ways';
INSERT INTO buyer SELECT 4000 + i, 10, 2, 30 + i, 'web' FROM generate_series(1, 50) AS i;
SELECT persona.refit('ways');
SELECT version, parameters -> 'scaling' AS scaling, n_rows FROM persona.model_versions WHERE model = 'ways' ORDER BY 1;
SELECT count(*), count(*) FILTER (WHERE l.segment = persona.segment('ways', b)) AS n_same FROM labelled AS l JOIN buyer AS b USING (id);
SELECT persona.refit('yeo_johnson');
SELECT k, silhouette > 0 AS is_positive FROM persona.choose_k('buyer', 2, 3, features => '{spend,recency}', scaling => '{"spend": "yeo_johnson", "recency": "log1p"}');
SELECT k FROM persona.choose_k('buyer', 2, 3, features => '{spend,recency}', scaling => 'robust') WHERE is_best;
-- Of an array by its name, or by one element.
SELECT size FROM persona.fit_segments('arrays', 'SELECT id, ARRAY[recency, spend] AS v FROM buyer', 'id', k => 2, scaling => '{"v": "log1p", "v[1]": "robust"}');
-- On the disk, by weight and by direction.
SELECT (SELECT array_agg(size ORDER BY segment) FROM persona.fit_segments('disk', 'SELECT id, spend, orders FROM buyer', 'id', k => 3, scaling => 'yeo_johnson', storage => 'disk'))
     = (SELECT array_agg(size ORDER BY segment) FROM persona.fit_segments('memory', 'SELECT id, spend, orders FROM buyer', 'id', k => 3, scaling => 'yeo_johnson', storage => 'memory')) AS is_same;
SELECT count(*) FROM persona.fit_segments('weighed', 'buyer', 'id', k => 3, features => '{spend,recency}', weight_column => 'orders', scaling => 'yeo_johnson');
SELECT count(*) FROM persona.fit_segments('direction', 'buyer', 'id', k => 3, features => '{spend,recency}', metric => 'cosine', scaling => 'yeo_johnson');
SELECT persona.segment('log1p', (SELECT b FROM buyer AS b WHERE id = 1)) BETWEEN 1 AND 4 AS has_segment, persona.segment('log1p', '{"recency": 1, "orders": 1, "spend": -1}') AS of_no_logarithm;

-- The aggregate, whose centroids are in the columns' own units.
SELECT segment, size, feature, round(centroid::numeric, 1) AS centroid
FROM (SELECT persona.kmeans(v, 2, '{"scaling": "log1p"}') AS m FROM (SELECT orders, spend FROM buyer) AS v) AS f, persona.centroids(m);

-- What is refused.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT persona.fit_segments('bad', 'SELECT id, spend - 31 AS balance FROM buyer', 'id', k => 2, scaling => 'log1p');
SELECT persona.kmeans(ARRAY[spend - 31], 2, '{"scaling": "log1p"}') FROM buyer;
SELECT persona.fit_segments('bad', 'buyer', 'id', k => 2, scaling => 'quantile');
SELECT persona.fit_segments('bad', 'buyer', 'id', k => 2, scaling => '{"spend": "quantile"}');
SELECT persona.fit_segments('bad', 'buyer', 'id', k => 2, scaling => '{"spend": 3}');
SELECT persona.fit_segments('bad', 'buyer', 'id', k => 2, scaling => '{"price": "log1p"}');
SELECT persona.fit_segments('bad', 'buyer', 'id', k => 2, features => '{spend,channel}', scaling => '{"channel": "log1p"}');
SELECT persona.fit_segments('bad', 'buyer', 'id', k => 2, scaling => '{"spend"');
SELECT persona.choose_k('buyer', 2, 3, features => '{spend}', scaling => '{"price": "log1p"}');
