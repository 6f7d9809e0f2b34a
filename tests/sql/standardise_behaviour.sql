-- What customers did, by day and kind of event.
SET search_path = public;
SET timezone = 'UTC';
CREATE TABLE event (customer text, kind text, at timestamptz, amount numeric);
INSERT INTO event VALUES ('ann', 'view', '2024-01-01 10:00', NULL), ('ann', 'view', '2024-01-01 23:59:59', NULL), ('ann', 'purchase', '2024-01-02', 30),
    ('ann', 'view', '2024-01-20', NULL), ('ann', 'purchase', '2024-01-31 12:00', 10), ('bob', 'review', '2023-10-01', 4), ('bob', NULL, '2023-10-02', 5),
    ('bob', 'view', NULL, 1), ('cid', 'wish list', '2024-01-31', NULL);

SELECT customer, persona.behaviour(kind, at, amount::float8) FROM event GROUP BY customer ORDER BY customer;
-- the zone of the session does not matter
SET timezone = 'Asia/Tokyo';
SELECT persona.behaviour(kind, at, amount::float8) FROM event WHERE customer = 'ann';
SET timezone = 'UTC';

SELECT feature, value FROM persona.features((SELECT persona.behaviour(kind, at, amount::float8) FROM event WHERE customer = 'ann'), '2024-02-01');
-- the day of as_of itself is not seen
SELECT feature, value FROM persona.features((SELECT persona.behaviour(kind, at, amount::float8) FROM event WHERE customer = 'ann'), '2024-01-31 23:00', '{purchase}')
WHERE feature IN ('purchase_count', 'purchase_days_since_last', 'active_days');
-- as arrays of one length, with their names
SELECT customer, persona.behaviour_vector(persona.behaviour(kind, at, amount::float8), '2024-02-01', '{view,purchase}', missing => 0) AS features
FROM event GROUP BY customer ORDER BY customer;
SELECT persona.behaviour_feature_names('{view,purchase}') = (SELECT array_agg(feature) FROM persona.features('{"events":{}}', '2024-02-01', '{view,purchase}')) AS named;
SELECT cardinality(persona.behaviour_vector(NULL, '2024-02-01', '{view}')), (SELECT count(*) FROM persona.features(NULL, '2024-02-01'));

-- stored days merge to all rows, also in parallel
CREATE TABLE many AS SELECT (i * 7919) % 500 AS customer, (ARRAY['view', 'cart', 'purchase'])[1 + (i * 31) % 3] AS kind, timestamptz '2024-01-01' + (i * 17 % 9000) * interval '1 hour' AS at,
    (i % 50)::float8 AS amount FROM generate_series(1, 50000) AS i;
CREATE TABLE daily AS SELECT customer, at::date AS day, persona.behaviour(kind, at, amount) AS b FROM many GROUP BY 1, 2;
CREATE TABLE whole AS SELECT customer, persona.behaviour(kind, at, amount) AS b FROM many GROUP BY 1;
SELECT count(*), bool_and(d.b::text = w.b::text) AS equal FROM (SELECT customer, persona.rollup(b) AS b FROM daily GROUP BY customer) AS d JOIN whole AS w USING (customer);
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
SELECT (SELECT persona.behaviour(kind, at, amount)::text FROM many) = (SELECT persona.rollup(b)::text FROM whole) AS equal;
SELECT count(*), bool_and(p.b::text = w.b::text) AS equal FROM (SELECT customer, persona.behaviour(kind, at, amount) AS b FROM many GROUP BY 1) AS p JOIN whole AS w USING (customer);
RESET ALL;
SET timezone = 'UTC';
-- text comes back as the same value, and stored ones can be added to
SELECT bool_and(b::text::persona.behaviour::text = b::text) AS equal FROM whole;
SELECT persona.behaviour_add(persona.behaviour_add('{"events":{"view":[[1,2,0.0]]}}', 'view', 'epoch', 1), 'cart', 'epoch', NULL);
SELECT persona.behaviour_combine('{"events":{"view":[[1,2,0.5]]}}', '{"events":{"view":[[1,1,1.0],[2,1,0.0]]}}');
-- running
SELECT customer, at, persona.behaviour(kind, at, amount::float8) OVER (PARTITION BY customer ORDER BY at) FROM event WHERE customer = 'ann' ORDER BY at;

-- A date and a timestamp are what they say, and days are those of the aggregate's time zone, whatever the session's is.
CREATE VIEW forms AS SELECT persona.behaviour('view', day, 1) AS dates, persona.behaviour('view', at, 1) AS times, persona.behaviour('view', at, 1, 'Asia/Tokyo') AS times_in, persona.behaviour('view', day, 1, 'America/New_York') AS dates_in,
    persona.behaviour('view', at AT TIME ZONE 'UTC', 1, 'Asia/Tokyo') AS instants_in
FROM (VALUES (date '1969-12-31', timestamp '1969-12-31 23:30'), ('2024-01-05', '2024-01-05 00:30')) v (day, at);
SET timezone = 'Asia/Tokyo';
SELECT * FROM forms \gx
SELECT persona.behaviour_vector(dates, date '2024-01-08', '{view}') = persona.behaviour_vector(dates, '2024-01-08', '{view}') AS literal, (persona.behaviour_vector(dates, date '2024-01-08', '{view}'))[5] AS dates,
       (persona.behaviour_vector(times_in, timestamp '2024-01-08 23:00', '{view}'))[5] AS times_in, (SELECT value FROM persona.features(dates_in, date '2024-01-08') WHERE feature = 'days_since_last') AS dates_in FROM forms;
SET timezone = 'America/New_York';
SELECT * FROM forms \gx
SELECT persona.behaviour_vector(dates, date '2024-01-08', '{view}') = persona.behaviour_vector(dates, '2024-01-08', '{view}') AS literal, (persona.behaviour_vector(dates, date '2024-01-08', '{view}'))[5] AS dates,
       (persona.behaviour_vector(times_in, timestamp '2024-01-08 23:00', '{view}'))[5] AS times_in, (SELECT value FROM persona.features(dates_in, date '2024-01-08') WHERE feature = 'days_since_last') AS dates_in FROM forms;
SET timezone = 'UTC';
SELECT persona.rollup(b) FROM (VALUES (persona.behaviour_add(NULL, 'view', date '2024-01-01', 1)), (persona.behaviour_add(NULL, 'cart', timestamp '2024-01-02', 1))) v (b);
SELECT persona.rollup(b) FROM (VALUES (persona.behaviour_add(NULL, 'view', date '2024-01-01', 1, 'Asia/Tokyo')), ('{"events":{}}'), (persona.behaviour_add(NULL, 'view', date '2024-01-02', 1, 'asia/tokyo'))) v (b);
SELECT persona.rollup(b) FROM (VALUES (persona.behaviour_add(NULL, 'view', date '2024-01-01', 1, 'Asia/Tokyo')), (persona.behaviour_add(NULL, 'view', timestamptz '2024-01-02', 1))) v (b);
SELECT persona.behaviour_combine('{"events":{}}', persona.behaviour_add(NULL, 'view', date '2024-01-01', 1));

-- the names of its elements as columns of a source
SELECT persona.array_columns('my array', ARRAY['a', 'b c', 'select', 'q"uote']), persona.array_columns('a', '{}'), persona.array_columns(NULL, '{a}') AS of_none;
SELECT persona.array_columns('a', '{x,NULL}');
CREATE TABLE named AS SELECT i AS id, persona.behaviour(CASE WHEN j % (1 + i % 3) = 0 THEN 'view' ELSE 'buy' END, date '2024-01-01' + (i * j) % 20, 1) AS b
FROM generate_series(1, 30) AS i, generate_series(1, 12) AS j GROUP BY i;
SELECT segment, size, label FROM persona.fit_segments('named', format('SELECT id, %s FROM (SELECT id, persona.behaviour_vector(b, ''2024-02-01'', ''{view,buy}'', 0) AS f FROM named) AS n',
    persona.array_columns('f', persona.behaviour_feature_names('{view,buy}'))), 'id', k => 2);
SELECT features[1:3] AS features FROM persona.models WHERE model = 'named';

-- what is refused
SELECT persona.behaviour('view', 'infinity', 1);
SELECT persona.behaviour('view', 'epoch', 'NaN');
SELECT persona.behaviour('', 'epoch', 1);
SELECT persona.behaviour(repeat('x', 64), 'epoch', 1);
SELECT persona.features('{"events":{}}', NULL);
SELECT persona.features('{"events":{}}', 'infinity');
SELECT persona.behaviour_feature_names('{view,view}');
SELECT persona.behaviour_feature_names('{view,NULL}');
SELECT persona.behaviour_vector('{"events":{}}', 'epoch', NULL);
SELECT '{"events":{"view":[[2,1,0],[1,1,0]]}}'::persona.behaviour;
SELECT '{"events":{"view":[[2,0,0]]}}'::persona.behaviour;
SELECT persona.behaviour('view', date '2024-01-01', 1, 'No/Where');
SELECT persona.behaviour('view', date '2024-01-01', 1, zone) FROM unnest('{UTC,Asia/Tokyo}'::text[]) AS zone;
SELECT persona.features('{"zone":"No/Where","events":{}}', date '2024-01-01');
-- Beyond 64 kinds the rarest are one, in whatever order the rows come.
CREATE TEMP TABLE of_many AS
SELECT 'kind ' || i AS event, date '2026-01-01' + i % 3 AS at, i AS amount FROM generate_series(1, 70) AS i, generate_series(1, i) AS j;
SELECT (SELECT count(*) FROM jsonb_object_keys(b -> 'events')) AS kinds, b #> '{events,kind 8}' AS told, b #> '{events,kind 7}' AS not_told,
       b #> '{events,other}' AS other, b = reversed AS same
FROM (SELECT persona.behaviour(event, at, amount)::text::jsonb AS b FROM of_many) AS one,
     (SELECT persona.behaviour(event, at, amount ORDER BY amount DESC)::text::jsonb AS reversed FROM of_many) AS two;
-- How often a kind was that is among the others nobody knows.
SELECT (persona.behaviour_vector(b, '2026-02-01', '{kind 70}'))[9] AS told, (persona.behaviour_vector(b, '2026-02-01', '{kind 7}'))[9] AS not_told,
       (persona.behaviour_vector(b, '2026-02-01', '{kind 70,kind 7}'))[46] AS of_both
FROM (SELECT persona.behaviour(event, at, amount) AS b FROM of_many) AS one;
