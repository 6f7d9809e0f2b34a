-- What users like this one have. The data is small enough to be worked by hand.
CREATE TABLE purchases (user_id int, item_id bigint);
INSERT INTO purchases
VALUES (1, 1), (1, 2), (1, 5), (2, 1), (2, 2), (2, 5), (3, 1), (3, 5),
       (4, 3), (4, 4), (4, 5), (5, 3), (5, 4), (5, 5), (6, 3), (6, 5), (7, 9);
SELECT algorithm, parameter, type, default_value, range, meaning FROM persona.algorithms WHERE algorithm = 'user_knn';
SELECT version, n_users, n_items FROM persona.fit_recommender('shop', 'purchases', algorithm => 'user_knn', parameters => '{"shrinkage": 0}', holdout => 0);

-- User 3 shares 1 and 5 with users 1 and 2, cosine 2 / sqrt(2 * 3); 5 with 4 and 5, 1 / sqrt(2 * 3), and with 6, 1 / 2.
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', 3);
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', '3', 1);
-- What he has himself comes first: it scores as much as all six users like him could say, himself among them, and 1 for itself.
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', 3, exclude_seen => false);
-- Nobody shares anything with user 7, and nobody knows user 99.
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', 7, 2);
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', 99, 2);
SELECT item, is_popular FROM persona.recommend('shop', NULL, 1);

-- A basket is a user who has it.
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend_for('shop', ARRAY[4], 3);
SELECT item, round(score::numeric, 4) AS score, because_of FROM persona.recommend_for('shop', ARRAY[1, 5]);
SELECT item, because_of FROM persona.recommend_for('shop', ARRAY['4', 'x'], 1);
SELECT item, is_popular FROM persona.recommend_for('shop', ARRAY[99], 1);

-- One user speaks for an item: the most similar that has it.
SELECT version FROM persona.fit_recommender('one', 'purchases', algorithm => 'user_knn', parameters => '{"neighbors": 1, "shrinkage": 0}', holdout => 0);
SELECT item, round(score::numeric, 4) AS score, because_of FROM persona.recommend('one', 3);
-- With 2 items more in the denominator, 2 of 2.45: .8165 * 2.4495 / 4.4495.
SELECT version FROM persona.fit_recommender('one', 'purchases', algorithm => 'user_knn', parameters => '{"neighbors": 1, "shrinkage": 2}', holdout => 0);
SELECT item, round(score::numeric, 4) AS score FROM persona.recommend('one', 3, 1);

-- Everyone, and into a table; a refit keeps the parameters and writes the table again.
SELECT user_key, item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend_all('shop', 1) ORDER BY user_key;
SELECT * FROM persona.save_recommendations('shop', 'offers', 2);
INSERT INTO purchases VALUES (8, 1);
SELECT persona.refit('shop');
SELECT version, parameters -> 'parameters' AS parameters FROM persona.model_versions WHERE model = 'shop' ORDER BY version;
SELECT user_id, rank, item, because_of FROM offers WHERE user_id = 8 ORDER BY rank;
SELECT model, kind, answer FROM persona.profile('8');

SELECT n_users, ndcg, recall, n_unknown_users
FROM persona.evaluate_recommender('shop', 'SELECT 3 AS user_id, 2 AS item_id UNION ALL SELECT 6, 4 UNION ALL SELECT 99, 1', n => 1);

-- The same bytes from shuffled rows and on any number of threads.
CREATE TABLE many AS
SELECT (i * 7919) % 200 AS user_id, (i * i * 31 + i * 17) % 97 AS item_id, 1 + i % 5 AS weight FROM generate_series(1, 6000) AS i;
SET persona.threads = 1;
SELECT n_users FROM persona.fit_recommender('same', 'many', weight_column => 'weight', algorithm => 'user_knn');
CREATE TABLE pages AS SELECT * FROM persona.recommend_all('same', 5);
SET persona.threads = 2;
SELECT n_users FROM persona.fit_recommender('same', 'SELECT * FROM many ORDER BY md5(ctid::text)', weight_column => 'weight', algorithm => 'user_knn');
SELECT count(DISTINCT sha256), count(DISTINCT metrics) FROM persona.model_versions WHERE model = 'same';
SELECT count(*) FROM (TABLE pages EXCEPT SELECT * FROM persona.recommend_all('same', 5)) AS other;
RESET persona.threads;

-- Refused.
\set SHOW_CONTEXT never
SELECT * FROM persona.similar_items('shop', 1);
\echo :SQLSTATE
SELECT * FROM persona.similar_items('shop', '1');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', algorithm => 'user_knn', parameters => '{"neighbors": 0}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', algorithm => 'user_knn', parameters => '{"neighbors": 10001}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', algorithm => 'user_knn', parameters => '{"shrinkage": -1}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', algorithm => 'user_knn', parameters => '{"k": 5}');
\echo :SQLSTATE
SET persona.max_fit_memory = '1MB';
SELECT persona.fit_recommender('x', 'SELECT i % 20000 AS user_id, i * 7919 % 997 AS item_id FROM generate_series(1, 80000) i', algorithm => 'user_knn');
\echo :SQLSTATE
