-- Segments of numbers and text columns, weights, the second-nearest segment, odd rows, and names across fits.
SET search_path = public;
CREATE TABLE account (id int PRIMARY KEY, spend float8, n_orders int, region text, plan text);
INSERT INTO account
SELECT i, 10 + i % 3 + CASE WHEN i % 4 = 0 THEN 200 ELSE 0 END, i % 3, CASE WHEN i % 4 = 0 THEN 'north' ELSE 'south' END,
       CASE WHEN i % 2 = 0 THEN 'free' ELSE 'paid' END
FROM generate_series(1, 120) AS i;

-- A text column is a feature for each of its levels, once it is named; of two levels one says it all.
SELECT segment, size, label
FROM persona.fit_segments('accounts', 'account', 'id', k => 3, features => '{spend,region,plan,n_orders}');
SELECT features, parameters -> 'features' AS columns FROM persona.model_versions;
SELECT segment, feature, round(mean::numeric, 3) AS mean, round(difference::numeric, 3) AS difference FROM persona.segment_profile('accounts');
SELECT persona.segment('accounts', a) AS segment, region, plan, count(*) FROM account a GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
-- A level that the fit did not see is none of its levels, halfway between two; NULL has no segment; a column of another type is refused.
SELECT plan, round(persona.distance('accounts', v)::numeric, 4) AS distance FROM (SELECT 'south' AS region, 'trial' AS plan, 11 AS spend, 1 AS n_orders) v
UNION ALL SELECT plan, round(persona.distance('accounts', v)::numeric, 4) FROM (SELECT 'south' AS region, 'free' AS plan, 11 AS spend, 1 AS n_orders) v
UNION ALL SELECT plan, round(persona.distance('accounts', v)::numeric, 4) FROM (SELECT 'south' AS region, 'paid' AS plan, 11 AS spend, 1 AS n_orders) v;
SELECT persona.segment('accounts', v), persona.distance('accounts', v) > 1 AS is_far
FROM (SELECT 'east' AS region, 'free' AS plan, 11 AS spend, 1 AS n_orders) v;
SELECT persona.segment('accounts', v) FROM (SELECT NULL AS region, 'free' AS plan, 11 AS spend, 1 AS n_orders) v;
SELECT persona.segment('accounts', v) FROM (SELECT 3 AS region, 'free' AS plan, 11 AS spend, 1 AS n_orders) v;
SELECT count(*) FROM persona.fit_segments('accounts', $$SELECT id, spend, nullif(region, 'north') AS region FROM account$$, 'id', k => 2, features => '{spend,region}');
SELECT segment, size FROM persona.fit_segments('many', $$SELECT id, spend, md5(id::text) AS code FROM account$$, 'id', k => 2, features => '{spend,code}');

-- Without names only numbers are taken.
SELECT count(*) FROM persona.fit_segments('numbers', 'account', 'id', k => 2);
SELECT features FROM persona.models WHERE model = 'numbers';

-- Weights.
SELECT segment, size, label FROM persona.fit_segments('weighted', 'account', 'id', k => 2, features => '{spend,region,plan}', weights => '{"plan": 20}');
SELECT parameters -> 'weights' AS weights FROM persona.model_versions WHERE model = 'weighted';
SELECT persona.refit('weighted');
SELECT segment, size FROM persona.segments('weighted');
SELECT count(*) FROM persona.fit_segments('weighted', 'account', 'id', k => 2, weights => '{"region": 2}');
SELECT count(*) FROM persona.fit_segments('weighted', 'account', 'id', k => 2, weights => '{"spend": 0}');
SELECT count(*) FROM persona.fit_segments('weighted', 'account', 'id', k => 2, weights => '{"spend": "much"}');
SELECT count(*) FROM persona.fit_segments('weighted', 'account', 'id', k => 2, weights => '[1]');
SELECT k, round(inertia::numeric, 2) AS inertia, is_best FROM persona.choose_k('account', 2, 4, features => '{spend,region}', weights => '{"region": 2}');

-- Levels come and go between refits.
UPDATE account SET region = 'west' WHERE region = 'north';
SELECT persona.refit('accounts');
SELECT features FROM persona.models WHERE model = 'accounts';
SELECT segment, size, label FROM persona.segments('accounts');
SELECT from_segment, to_segment, n_rows FROM persona.segment_flow('accounts');
INSERT INTO account SELECT 1000 + i, 90, 1, 'east', 'trial' FROM generate_series(1, 40) AS i;
SELECT persona.refit('accounts', force => true);
SELECT features FROM persona.models WHERE model = 'accounts';
SELECT from_segment, to_segment, n_rows FROM persona.segment_flow('accounts');
-- Three levels and two again: the other way round, and with NULLs that the share of the level stands for.
DELETE FROM account WHERE id > 1000;
SELECT persona.refit('accounts', force => true);
SELECT features FROM persona.models WHERE model = 'accounts';
SELECT segment, size, label FROM persona.fit_segments('gaps', $$SELECT id, spend, nullif(plan, CASE WHEN id % 6 = 0 THEN 'free' END) AS plan FROM account$$, 'id', k => 2,
                                                      features => '{spend,plan}', missing => 'impute');
SELECT round(persona.distance('gaps', v)::numeric, 4) AS without_plan, round(persona.distance('gaps', w)::numeric, 4) AS with_share
FROM (SELECT 12 AS spend, NULL AS plan) v, (SELECT 12 AS spend, 'trial' AS plan) w;
SELECT jsonb_pretty(persona.anomaly_reasons('gaps', v)) FROM (SELECT 12 AS spend, 'paid' AS plan) v;
ALTER TABLE account ALTER COLUMN plan TYPE int USING (plan = 'free')::int;
SELECT persona.refit('accounts');

-- The second-nearest segment, and what is odd.
CREATE TABLE visit (id int PRIMARY KEY, pages float8, minutes float8);
INSERT INTO visit SELECT i, 10 * (i % 2) + (i / 2) % 3 - 1, 50 * (i % 2) FROM generate_series(0, 59) AS i;
INSERT INTO visit VALUES (99, 10, 80);
SELECT segment, size FROM persona.fit_segments('visits', 'SELECT * FROM visit WHERE id < 99', 'id', k => 2, scaling => 'none');
SELECT id, persona.segment('visits', v) AS segment, persona.second_segment('visits', v) AS second, round(persona.anomaly('visits', v)::numeric, 3) AS anomaly
FROM visit v WHERE id IN (0, 2, 3, 99) ORDER BY anomaly DESC, id;
SELECT jsonb_pretty(persona.anomaly_reasons('visits', v)) FROM visit v WHERE id = 99;
SELECT persona.anomaly_reasons('visits', v, 1) FROM (SELECT 1 AS pages, NULL::int AS minutes) v;
SELECT persona.anomaly_reasons('visits', v, 0) FROM visit v WHERE id = 99;
SELECT persona.second_segment('visits', v), persona.anomaly('visits', v) FROM (SELECT 1 AS pages, NULL::int AS minutes) v;
WITH fitted AS (SELECT persona.kmeans(ARRAY[pages, minutes], 2) AS model FROM visit WHERE id < 99)
SELECT persona.segment(model, ARRAY[10, 80]), persona.second_segment(model, ARRAY[10, 80]), round(persona.anomaly(model, ARRAY[10, 80])::numeric, 3) AS anomaly FROM fitted;
WITH fitted AS (SELECT persona.kmeans(v, 2) AS model FROM (SELECT pages, minutes FROM visit WHERE id < 99) v)
SELECT persona.second_segment(model, v), round(persona.anomaly(model, v)::numeric, 3) AS anomaly FROM fitted, visit v WHERE id = 99;

-- A new fit numbers the segments anew: names go with their segments, whatever k is, and those without a successor are told.
SELECT persona.name_segment('visits', persona.segment('visits', v), 'long') FROM visit v WHERE id = 1;
SELECT persona.name_segment('visits', persona.segment('visits', v), 'short') FROM visit v WHERE id = 0;
INSERT INTO visit SELECT 100 + i, 200 + i % 3, 0 FROM generate_series(1, 40) AS i;
SELECT size, name FROM persona.fit_segments('visits', 'SELECT * FROM visit WHERE id <> 99', 'id', k => 3, scaling => 'none') ORDER BY size;
SELECT s.name, round(p.mean::numeric, 1) AS minutes FROM persona.segments('visits') s JOIN persona.segment_profile('visits') p USING (segment)
WHERE p.feature = 'minutes' ORDER BY minutes, s.name;
SELECT size, name FROM persona.fit_segments('visits', 'SELECT * FROM visit WHERE id < 99', 'id', k => 1, scaling => 'none');
-- The versions before keep theirs.
SELECT persona.activate('visits', 2);
SELECT size, name FROM persona.segments('visits') ORDER BY size;
SELECT persona.refit('visits');
SELECT size, name FROM persona.segments('visits') ORDER BY size;

-- By direction: baskets that are alike in their mix, however large.
CREATE TABLE basket AS
SELECT i AS id, (1 + i % 5) * CASE i % 3 WHEN 0 THEN 10.0 ELSE 1.0 END AS fresh, (1 + i % 5) * CASE i % 3 WHEN 1 THEN 10.0 ELSE 1.0 END AS tinned,
       (1 + i % 5) * CASE i % 3 WHEN 2 THEN 10.0 ELSE 1.0 END AS frozen
FROM generate_series(1, 90) AS i;
SELECT segment, size, label FROM persona.fit_segments('mix', 'basket', 'id', k => 3, scaling => 'none', metric => 'cosine');
SELECT segment, feature, round(mean::numeric, 2) AS mean FROM persona.segment_profile('mix') ORDER BY segment, feature;
SELECT persona.segment('mix', b) = persona.segment('mix', c) AS is_alike, round(persona.distance('mix', c)::numeric, 5) AS distance
FROM basket b, LATERAL (SELECT b.fresh * 1000 AS fresh, b.tinned * 1000 AS tinned, b.frozen * 1000 AS frozen) c WHERE id = 7;
SELECT persona.segment('mix', v), persona.distance('mix', v) FROM (SELECT 0 AS fresh, 0 AS tinned, 0 AS frozen) v;
SELECT parameters -> 'metric' AS metric FROM persona.model_versions WHERE model = 'mix';
SELECT persona.refit('mix');
SELECT count(*) FROM persona.fit_segments('mix', 'SELECT id, fresh - fresh AS nothing FROM basket', 'id', k => 2, metric => 'cosine', scaling => 'none');
SELECT count(*) FROM persona.fit_segments('mix', 'basket', 'id', k => 3, metric => 'manhattan');
SELECT k, round(silhouette::numeric, 3) AS silhouette, calinski_harabasz, is_best FROM persona.choose_k('SELECT fresh, tinned, frozen FROM basket', 2, 3, scaling => 'none', metric => 'cosine');
WITH fitted AS (SELECT persona.kmeans(ARRAY[fresh, tinned, frozen], 3, '{"metric": "cosine"}') AS model FROM basket)
SELECT persona.segment(model, ARRAY[1, 2, 30]) = persona.segment(model, ARRAY[100, 200, 3000]) AS is_alike FROM fitted;
