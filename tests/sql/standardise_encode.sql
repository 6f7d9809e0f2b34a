-- Text and angles as numbers.
SET search_path = public;
SET timezone = 'UTC';
CREATE TABLE visit AS SELECT i AS id, CASE WHEN i % 10 = 0 THEN NULL WHEN i % 3 = 0 THEN 'mail' WHEN i % 7 = 0 THEN 'shop' ELSE 'web' END AS channel, (i % 4 = 0)::int AS bought
FROM generate_series(1, 100) AS i;

SELECT persona.categories(channel), persona.categories(channel, 1) AS capped FROM visit;
SELECT persona.category_names(c), persona.category_counts(c), persona.most_frequent(c) FROM (SELECT persona.categories(channel) AS c FROM visit) AS x;
SELECT persona.category_names(c), persona.category_counts(c), persona.most_frequent(c) FROM (SELECT persona.categories(channel, 1) AS c FROM visit) AS x;
-- known, unknown and NULL, without and with a shared place
SELECT value, persona.ordinal(c, value), persona.one_hot(c, value), persona.ordinal(d, value) AS capped, persona.one_hot(d, value) AS capped_one_hot
FROM (SELECT persona.categories(channel) AS c, persona.categories(channel, 1) AS d FROM visit) AS x, (VALUES ('web'), ('mail'), ('shop'), ('fax'), (NULL)) AS v (value);
SELECT coalesce(channel, persona.most_frequent(c)), count(*) FROM visit, (SELECT persona.categories(channel) AS c FROM visit) AS x GROUP BY 1 ORDER BY 1;
-- ties by text, empty text, stored parts, text and back, parallel
SELECT persona.categories(x) FROM unnest('{b,a,"",c,a,b}'::text[]) AS x;
SELECT persona.rollup(c)::text = (SELECT persona.categories(channel)::text FROM visit) AS equal FROM (SELECT persona.categories(channel) AS c FROM visit GROUP BY id % 5) AS x;
SELECT c::text::persona.category_levels::text = c::text AS equal FROM (SELECT persona.categories(channel, 2) AS c FROM visit) AS x;
CREATE TABLE many AS SELECT i AS id, 'level ' || (i * i) % 1000 AS level, (i % 10)::float8 AS y FROM generate_series(1, 30000) AS i;
CREATE TABLE serial AS SELECT persona.categories(level) AS c, persona.target_encoder(level, y, id::text) AS e FROM many;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
SELECT persona.categories(level)::text = (SELECT c::text FROM serial) AS equal FROM many;
SELECT max(abs(persona.encode_target(e, level, id::text) - persona.encode_target(p, level, id::text))) < 1e-12 AS equal FROM many, serial, (SELECT persona.target_encoder(level, y, id::text) AS p FROM many) AS x;
RESET ALL;
SET timezone = 'UTC';
SELECT persona.categories(NULL), persona.one_hot(NULL, 'x'), persona.ordinal(NULL, 'x');

-- target encoding: with smoothing, by the variances, out of fold
SELECT persona.target_encoder(channel, bought) FROM visit;
SELECT value, persona.encode_target(e, value) AS auto, persona.encode_target(f, value) AS smoothed
FROM (SELECT persona.target_encoder(channel, bought) AS e, persona.target_encoder(channel, bought, id::text, '{"smoothing": 10, "folds": 3, "seed": 1}') AS f FROM visit) AS x, (VALUES ('web'), ('fax'), (NULL)) AS v (value);
SELECT (20 * 0.3 + 10 * 0.25) / 30 AS by_hand, persona.encode_target(e, 'a') FROM (SELECT persona.target_encoder(c, y, i::text, '{"smoothing": 10}') AS e
    FROM (SELECT i, 'a' AS c, (i <= 6)::int AS y FROM generate_series(1, 20) AS i UNION ALL SELECT i, 'b', (i <= 24)::int FROM generate_series(21, 40) AS i) AS x) AS x;
-- a row of the fit is encoded from the other folds
SELECT bool_and(abs(persona.encode_target(e, channel, id::text) -
    (SELECT (sum(o.bought) FILTER (WHERE o.channel = v.channel) + 2 * avg(o.bought)) / (count(*) FILTER (WHERE o.channel = v.channel) + 2) FROM visit AS o
     WHERE o.channel IS NOT NULL AND persona.fold(o.id, 4, 9) <> persona.fold(v.id, 4, 9))) < 1e-12) AS equal
FROM visit AS v, (SELECT persona.target_encoder(channel, bought, id::text, '{"smoothing": 2, "folds": 4, "seed": 9}') AS e FROM visit) AS x WHERE channel IS NOT NULL;
SELECT persona.rollup(e)::text::persona.target_encoder IS NOT NULL AS merged FROM (SELECT persona.target_encoder(channel, bought, id::text) AS e FROM visit GROUP BY id % 3) AS x;

-- without a fit
SELECT persona.hash_features('{city=Delft,channel=web}', 8), persona.hash_features('{city=Delft,NULL}', 8), persona.hash_features('{}', 2);
SELECT persona.cyclic(6, 24) AS six, persona.cyclic(30, 24) AS next_day, persona.cyclic(0, 24) AS midnight;
SELECT persona.hour_cycle('2024-01-01 06:00+00'::timestamptz) AS hour, persona.weekday_cycle('2024-01-07'::timestamp) AS sunday, persona.month_cycle('2024-03-01'::timestamptz) AS march;
SET timezone = 'Asia/Tokyo';
SELECT persona.hour_cycle('2024-01-01 06:00+00'::timestamptz) AS in_tokyo, persona.hour_cycle('2024-01-01 06:00+00'::timestamptz AT TIME ZONE 'UTC') AS in_utc;
SELECT persona.interactions('{2,3,5}'), persona.polynomial('{2,3}'), persona.interactions('{2,NULL,5}'), persona.interactions('{1}'), persona.polynomial('{}');

-- what is refused
SELECT persona.categories('x', 0);
SELECT persona.categories(x, n) FROM (VALUES ('a', 1), ('b', 2)) AS v (x, n);
SELECT persona.rollup(c) FROM (SELECT persona.categories('x', 2) AS c UNION ALL SELECT persona.categories('x'::text)) AS x;
SELECT persona.one_hot(persona.categories(i::text), '1') FROM generate_series(1, 5000) AS i;
SELECT '{"levels":[["a",1],["b",2]],"max_levels":null}'::persona.category_levels;
SELECT '{"levels":[["a",1],["a",1]],"max_levels":null}'::persona.category_levels;
SELECT persona.target_encoder('x', 'NaN');
SELECT persona.target_encoder('x', 1, NULL);
SELECT persona.target_encoder('x', 1, 'k', '{"fold": 3}');
SELECT persona.target_encoder('x', 1, 'k', '{"folds": 1}');
SELECT persona.target_encoder('x', 1, 'k', '{"smoothing": -1}');
SELECT persona.encode_target(persona.target_encoder('x', 1), 'x', 'key');
SELECT persona.rollup(e) FROM (SELECT persona.target_encoder('x', 1) AS e UNION ALL SELECT persona.target_encoder('x', 1, 'k')) AS x;
SELECT '{"smoothing":"auto","folds":1,"seed":0,"categories":{"a":[[0,1,0]]}}'::persona.target_encoder;
SELECT persona.hash_features('{a}', 0);
SELECT persona.cyclic(1, 0);
SELECT persona.cyclic('NaN', 24);
SELECT persona.interactions('{1e200,1e200}');
