-- What to offer: one user, a visitor's items, an item's likes, everyone. The data is small enough to be worked by hand.
CREATE TABLE purchases (user_id int, item_id bigint);
INSERT INTO purchases
VALUES (1, 1), (1, 2), (1, 5), (2, 1), (2, 2), (2, 5), (3, 1), (3, 5),
       (4, 3), (4, 4), (4, 5), (5, 3), (5, 4), (5, 5), (6, 3), (6, 5), (6, 5);
SELECT version FROM persona.fit_recommender('shop', 'purchases', parameters => '{"shrinkage": 0}', holdout => 0);

-- cos(1, 2) = 2 / sqrt(3 * 2), cos(2, 5) = 2 / sqrt(2 * 6): user 3 has 1 and 5, so 2 scores .8165 + .5774; 3 and 4 rest on 5.
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', 3);
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', 3, n => 1);
-- What user 3 has himself, 1 and 5, comes first: it scores all that he has, 2, and 1 for itself.
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', 3, exclude_seen => false);

-- The form follows the type of the user: a number, text, an untyped literal, NULL.
SELECT pg_typeof(item), item FROM persona.recommend('shop', 3, 1);
SELECT pg_typeof(item), item FROM persona.recommend('shop', 3::smallint, 1);
SELECT pg_typeof(item), item FROM persona.recommend('shop', '3', 1);
SELECT pg_typeof(item), item FROM persona.recommend('shop', customer => '3'::varchar, n => 1);

-- An unknown user, and one of NULL, get popular items, marked so.
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', 99, 3);
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('shop', 'nobody', 3);
SELECT item, is_popular FROM persona.recommend('shop', NULL, 2);
SELECT item, is_popular FROM persona.recommend('shop', NULL::bigint, 2);

-- For every user of a table.
SELECT u.user_id, r.item, r.because_of
FROM (SELECT DISTINCT user_id FROM purchases) AS u, LATERAL persona.recommend('shop', u.user_id, 1) AS r ORDER BY 1;
SELECT user_key, item, round(score::numeric, 4) AS score, rank, because_of, is_popular
FROM persona.recommend_all('shop', 2) ORDER BY user_key, rank;
SELECT count(*) FROM persona.recommend_all('shop', 10, exclude_seen => false);

-- A visitor with these items; unknown ones and NULL say nothing.
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend_for('shop', ARRAY[4], 3);
SELECT item, because_of FROM persona.recommend_for('shop', ARRAY[4, 99, NULL, 4], 1);
SELECT pg_typeof(item), item, because_of FROM persona.recommend_for('shop', ARRAY['4', 'x'], 1);
SELECT item, is_popular FROM persona.recommend_for('shop', ARRAY[99], 1);
SELECT item, is_popular FROM persona.recommend_for('shop', '{}'::bigint[], 1);
SELECT item, is_popular FROM persona.recommend_for('shop', NULL::text[], 1);
SELECT item FROM persona.recommend_for('shop', ARRAY[4], 1, exclude_given => false);
SELECT item, because_of FROM persona.recommend_for('shop', (SELECT array_agg(item_id) FROM purchases WHERE user_id = 3), 1);

SELECT similar_item, round(similarity::numeric, 4) AS similarity, rank FROM persona.similar_items('shop', 1);
SELECT pg_typeof(similar_item), similar_item FROM persona.similar_items('shop', '1', 1);
SELECT * FROM persona.similar_items('shop', 99);
SELECT * FROM persona.similar_items('shop', NULL);

-- Into a table, keys in their own type; then by difference.
SELECT * FROM persona.save_recommendations('shop', save_to => 'top_items', n => 2);
SELECT user_id, rank, item, because_of, is_popular FROM top_items ORDER BY 1, 2 LIMIT 4;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'top_items'::regclass AND attnum > 0 ORDER BY attnum;
SELECT * FROM persona.save_recommendations('shop', save_to => 'top_items', n => 2);
UPDATE top_items SET item = 4 WHERE user_id = 1 AND rank = 1;
DELETE FROM top_items WHERE user_id = 2;
INSERT INTO top_items VALUES (77, 1, 1, 1, NULL, true);
SELECT * FROM persona.save_recommendations('shop', 'top_items', 2);
-- A refit writes it again.
INSERT INTO purchases VALUES (8, 1);
SELECT persona.refit('shop');
SELECT user_id, rank, item, because_of, is_popular FROM top_items WHERE user_id = 8 ORDER BY rank;

-- The popular alone.
SELECT version FROM persona.fit_recommender('popular', 'purchases', algorithm => 'popular', holdout => 0);
SELECT item, round(score::numeric, 4) AS score, rank, because_of, is_popular FROM persona.recommend('popular', 1);
SELECT item FROM persona.recommend_for('popular', ARRAY[5], 2);

-- Inside a transaction the new model is seen at once, and after a rollback the old one again.
BEGIN;
SELECT version FROM persona.fit_recommender('popular', 'SELECT 1 AS user_id, 9 AS item_id', algorithm => 'popular', holdout => 0);
SELECT item FROM persona.recommend('popular', 2);
ROLLBACK;
SELECT item FROM persona.recommend('popular', 2, 1);

-- Refused.
\set SHOW_CONTEXT never
SELECT * FROM persona.recommend('no such model', 1);
\echo :SQLSTATE
SELECT * FROM persona.recommend(NULL, 1);
\echo :SQLSTATE
SELECT * FROM persona.recommend('shop', 1, 0);
\echo :SQLSTATE
SELECT * FROM persona.recommend('shop', 1, 10001);
\echo :SQLSTATE
SELECT * FROM persona.recommend('shop', 1, NULL);
\echo :SQLSTATE
SELECT * FROM persona.recommend('shop', 1, exclude_seen => NULL);
\echo :SQLSTATE
SELECT * FROM persona.recommend_for('shop', ARRAY[1], 0);
\echo :SQLSTATE
SELECT * FROM persona.recommend_all('shop', 0);
\echo :SQLSTATE
SELECT * FROM persona.save_recommendations('shop', save_to => NULL);
\echo :SQLSTATE
SELECT * FROM persona.save_recommendations('shop', save_to => 'no_such_schema.top');
\echo :SQLSTATE
SELECT * FROM persona.save_recommendations('shop', save_to => 'a b');
\echo :SQLSTATE
SELECT * FROM persona.similar_items('shop', 1, 0);
\echo :SQLSTATE
SELECT * FROM persona.similar_items('popular', 1);
\echo :SQLSTATE
