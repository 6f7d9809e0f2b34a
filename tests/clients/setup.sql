-- What the calls of tests/clients/calls read: the tables of README.md, a model of each kind, and fitted values as texts.
CREATE TABLE customers AS
SELECT id,
       round((20 + 10 * ln(1 + id % 97) + 200 * (id % 3 = 0)::int)::numeric, 2)::float8 AS spend,
       (1 + id % 12 + 10 * (id % 3 = 0)::int)::float8 AS orders,
       (id * 7 % 90)::float8 AS days_since,
       (id % 3 = 0 OR id * 7 % 90 < 20)::int AS converted
FROM generate_series(1, 300) AS id;

CREATE TABLE channels AS
SELECT id AS customer, (ARRAY['web', 'web', 'mail', 'shop', NULL])[1 + id % 5] AS channel, id % 3 = 0 AS converted
FROM generate_series(1, 300) AS id;

CREATE TABLE purchases AS
SELECT id % 50 AS customer, timestamptz '2025-01-01' + id * interval '7 hours' AS bought_at, (5 + id * 13 % 40)::float8 AS amount, id / 2 AS order_id
FROM generate_series(1, 500) AS id;

CREATE TABLE events AS
SELECT id % 50 AS customer, CASE id % 7 WHEN 0 THEN 'purchase' WHEN 1 THEN 'cart' ELSE 'view' END AS event,
       timestamptz '2025-01-01' + id * id % 9000 * interval '1 hour' AS happened_at, CASE id % 7 WHEN 0 THEN (id % 90)::float8 END AS amount
FROM generate_series(1, 1000) AS id;

CREATE TABLE bought AS
SELECT id % 100 AS user_id, (id * id) % 101 AS item_id, 1 + id % 3 AS quantity, date '2025-01-01' + id / 20 AS bought_on
FROM generate_series(1, 2000) AS id;

-- Each fitted value in a row of its own, under a name.
CREATE TABLE fitted AS
SELECT (SELECT persona.feature_stats(v) FROM (SELECT spend, orders FROM customers) AS v) AS stats,
       (SELECT persona.feature_quantiles(v) FROM (SELECT spend, orders FROM customers) AS v) AS quantiles,
       (SELECT persona.standard_scaler(v) FROM (SELECT spend, orders FROM customers) AS v) AS scaler,
       (SELECT persona.categories(channel, 2) FROM channels) AS levels,
       (SELECT persona.target_encoder(channel, converted::int, customer::text) FROM channels) AS encoder,
       (SELECT persona.kmeans(v, 3, '{"scaling": "standard", "seed": 1}') FROM (SELECT spend, orders FROM customers) AS v) AS kmeans,
       (SELECT persona.gaussian_mixture(v, 2, '{"seed": 1}') FROM (SELECT spend, orders FROM customers) AS v) AS mixture;
CREATE TABLE rfms AS SELECT customer, persona.rfm(bought_at, amount, 'Europe/Berlin', order_id) AS rfm FROM purchases GROUP BY customer;
CREATE TABLE behaviours AS SELECT customer, persona.behaviour(event, happened_at, amount) AS behaviour FROM events GROUP BY customer;

SELECT FROM persona.fit_segments('customers', 'SELECT id, spend, orders, days_since FROM customers', 'id', 3);
SELECT FROM persona.fit_segments('customers', 'SELECT id, spend, orders, days_since FROM customers', 'id', 4);
SELECT FROM persona.publish('customers', 'customer_segment', history_table => 'customer_segment_history');
SELECT persona.name_segment('customers', 1, 'regulars');
SELECT FROM persona.fit_scorer('conversion', 'SELECT spend, orders, days_since, converted FROM customers', 'converted');
SELECT FROM persona.publish('conversion', 'customer_score', 'SELECT * FROM customers', 'id');
SELECT FROM persona.fit_scorer('channel_conversion', 'SELECT channel, spend, c.converted FROM customers AS c JOIN channels ON id = customer', 'converted');
SELECT FROM persona.import_onnx('conversion_onnx', persona.export_onnx('conversion'));
SELECT FROM persona.fit_recommender('products', 'bought', weight_column => 'quantity', time_column => 'bought_on');
SELECT FROM persona.publish('products', 'customer_next', n => 3);
SELECT FROM persona.fit_recommender('titles', 'SELECT ''u'' || user_id AS user_id, ''i'' || item_id AS item_id FROM bought');
CALL persona.refit_job('conversion');
-- Of this one the calls make more versions.
SELECT FROM persona.fit_segments('nightly', 'SELECT id, spend, orders FROM customers', 'id', 3, publish => false);
CREATE ROLE analyst;
