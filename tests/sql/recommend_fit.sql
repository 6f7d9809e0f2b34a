-- Fitting: metrics, versions, the same model from shuffled rows and on any number of threads; refused arguments.
-- Six users: tea (1) goes with biscuits (2), coffee (3) with filters (4); everybody has bread (5).
CREATE TABLE purchases (user_id int, item_id bigint, quantity numeric, bought_on date);
INSERT INTO purchases
SELECT u, i, 1 + (u + i) % 3, date '2026-01-01' + u + i
FROM (VALUES (1, 1), (1, 2), (1, 5), (2, 1), (2, 2), (2, 5), (3, 1), (3, 5),
             (4, 3), (4, 4), (4, 5), (5, 3), (5, 4), (5, 5), (6, 3), (6, 5)) AS v (u, i);

SELECT version, n_users, n_items, n_events, n_test_users, ndcg_at_10, coverage_at_10
FROM persona.fit_recommender('shop', 'purchases', holdout => 0);

-- A quarter of each user's items is held out: one of three; the one of two is kept.
SELECT version, n_test_users, round(ndcg_at_10::numeric, 4) AS ndcg, round(precision_at_10::numeric, 4) AS precision_at_10,
       recall_at_10, round(map_at_10::numeric, 4) AS map, coverage_at_10, round(popular_ndcg_at_10::numeric, 4) AS popular, n_unknown_users, refit_on_all
FROM persona.fit_recommender('shop', 'purchases', holdout => 0.25, activate => false);
SELECT version, is_active, algorithm, n_rows, features, parameters, metrics ->> 'n_users' AS n_users
FROM persona.model_versions WHERE model = 'shop' ORDER BY version;

-- With a time column the last are held out. What a user had before the cut is not new after it, and a new user is counted apart.
SELECT version, n_test_users, n_unknown_users FROM persona.fit_recommender('by_time', 'purchases', time_column => 'bought_on', holdout => 0.2);
SELECT n_test_users, n_unknown_users
FROM persona.fit_recommender('by_time', 'SELECT * FROM purchases UNION ALL SELECT user_id, item_id, quantity, ''2026-12-01'' FROM purchases UNION ALL SELECT 99, 5, 1, ''2026-12-01''',
                             time_column => 'bought_on', holdout => 0.6);
-- Nothing comes after the first four fifths of the rows.
SELECT n_test_users, ndcg_at_10, popular_ndcg_at_10 FROM persona.fit_recommender('by_time', 'SELECT user_id, item_id, date ''2026-01-01'' AS bought_on FROM purchases', time_column => 'bought_on');
SELECT version, n_test_users, ndcg_at_10 FROM persona.fit_recommender('popular', 'purchases', algorithm => 'popular', holdout => 0);

-- Shuffled rows and other numbers of threads give the same bytes; another weight does not.
CREATE TABLE many AS
SELECT (i * 7919) % 200 AS user_id, (i * i * 31 + i * 17) % 97 AS item_id, 1 + i % 5 AS weight FROM generate_series(1, 6000) AS i;
SET persona.threads = 1;
SELECT n_users, n_items, n_events FROM persona.fit_recommender('same', 'many', weight_column => 'weight', holdout => 0);
SET persona.threads = 2;
SELECT version FROM persona.fit_recommender('same', 'SELECT * FROM many ORDER BY md5(ctid::text)', weight_column => 'weight', holdout => 0);
SELECT version FROM persona.fit_recommender('same', 'many', weight_column => 'weight', seed => 7, refit_on_all => true);
RESET persona.threads;
SELECT version FROM persona.fit_recommender('same', 'many', holdout => 0);
SELECT version, sha256 = first_value(sha256) OVER (ORDER BY version) AS as_first
FROM persona.model_versions WHERE model = 'same' ORDER BY version;

-- How a model ranks what it has not seen; items that it does not know count as missed, users whom it does not know are counted.
SELECT n_users, ndcg, recall, map, coverage, popular_ndcg, n_unknown_users
FROM persona.evaluate_recommender('shop', 'SELECT 3 AS user_id, 2 AS item_id UNION ALL SELECT 6, 4', n => 1);
SELECT n_users, ndcg, recall, n_unknown_users FROM persona.evaluate_recommender('shop', 'SELECT 99 AS u, 5 AS i', 'u', 'i', n => 1);
SELECT n_users, ndcg FROM persona.evaluate_recommender('shop', 'purchases');

-- A refit runs the fit again with its arguments.
INSERT INTO purchases VALUES (7, 1, 1, '2026-02-01');
SELECT persona.refit('shop');
SELECT version, is_active, n_rows, parameters ->> 'holdout' AS holdout FROM persona.model_versions WHERE model = 'shop' ORDER BY version;

-- Refused.
\set SHOW_CONTEXT never
SELECT * FROM persona.fit_recommender(NULL, 'purchases');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', NULL);
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', user_column => NULL);
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'no_such_table');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', user_column => 'customer');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', user_column => 'item_id');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', algorithm => 'als');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', parameters => '{"neighbors": 0}');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', parameters => '{"neighbors": 10001}');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', parameters => '{"shrinkage": -1}');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', parameters => '{"shrinkage": "NaN"}');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', holdout => 1);
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', holdout => 'NaN');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'purchases', refit_on_all => NULL);
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'SELECT * FROM purchases WHERE false');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'SELECT 1 AS user_id, NULL::int AS item_id');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'SELECT 1 AS user_id, 2 AS item_id, -3 AS w', weight_column => 'w');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'SELECT 1 AS user_id, 2 AS item_id, NULL::int AS w', weight_column => 'w');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'SELECT 1 AS user_id, 2 AS item_id, ''a''::text AS w', weight_column => 'w');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'SELECT 1 AS user_id, 2 AS item_id, 0 AS w', weight_column => 'w');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'SELECT 1 AS user_id, 2 AS item_id, ''infinity''::float8 AS w', weight_column => 'w');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'SELECT 1 AS user_id, 2 AS item_id, 1e300::float8 AS w', weight_column => 'w');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'SELECT 1 AS user_id, 2 AS item_id, NULL::date AS t', time_column => 't');
\echo :SQLSTATE
SELECT * FROM persona.fit_recommender('x', 'DELETE FROM purchases');
\echo :SQLSTATE
SELECT count(*) FROM persona.models WHERE model = 'x';
SET persona.max_fit_memory = '1MB';
SELECT * FROM persona.fit_recommender('x', 'SELECT i % 1000 AS user_id, i % 997 AS item_id FROM generate_series(1, 8000) i', parameters => '{"neighbors": 1000}', holdout => 0);
\echo :SQLSTATE
