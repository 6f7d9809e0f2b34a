-- Keys of any type: text with quotes, line breaks and other scripts, uuid, enum, char(n), numeric.
CREATE TABLE plays (listener text, song text);
INSERT INTO plays VALUES
    ('O''Neill', E'line\nbreak'), ('O''Neill', 'tab' || chr(9) || '\N'), ('"quoted"', E'line\nbreak'),
    ('"quoted"', '東京'), ('Zoë', '東京'), ('Zoë', ''), ('42', ''), ('42', 'été'), (' 42 ', 'été'), ('', '東京');
SELECT version, n_users, n_items FROM persona.fit_recommender('songs', 'plays', 'listener', 'song', holdout => 0);
SELECT user_key, item, because_of, is_popular FROM persona.recommend_all('songs', 1) ORDER BY user_key COLLATE "C";
SELECT item, because_of, is_popular FROM persona.recommend('songs', 'O''Neill', 2);
SELECT item, because_of FROM persona.recommend('songs', '', 1);
SELECT item, because_of FROM persona.recommend('songs', 42::text, 1);
SELECT item, because_of FROM persona.recommend_for('songs', ARRAY[E'line\nbreak'], 2);
SELECT similar_item FROM persona.similar_items('songs', 'été');
SELECT * FROM persona.save_recommendations('songs', save_to => '"Top Songs"', n => 3);
SELECT listener, rank, item, because_of FROM "Top Songs" WHERE rank = 1 ORDER BY listener COLLATE "C";
SELECT * FROM persona.save_recommendations('songs', save_to => '"Top Songs"', n => 3);

CREATE TYPE genre AS ENUM ('rock', 'jazz', 'folk');
CREATE TABLE tastes (id uuid, genre genre, code char(6), account numeric(20), rank int);
INSERT INTO tastes
SELECT ('00000000-0000-0000-0000-00000000000' || u)::uuid, g::genre, 'c' || u, 90071992547409930 + u, u
FROM (VALUES (1, 'rock'), (1, 'jazz'), (2, 'rock'), (2, 'jazz'), (2, 'folk'), (3, 'jazz')) AS v (u, g);
SELECT n_users, n_items FROM persona.fit_recommender('genres', 'tastes', 'id', 'genre', holdout => 0);
SELECT item, because_of FROM persona.recommend('genres', '00000000-0000-0000-0000-000000000003'::uuid::text, 1);
SELECT * FROM persona.save_recommendations('genres', save_to => 'top_genres', n => 1);
SELECT id, item, because_of FROM top_genres ORDER BY id;
-- The type is found wherever it lives.
SET search_path = pg_catalog;
SELECT * FROM persona.save_recommendations('genres', save_to => 'public.top_genres', n => 1);
RESET search_path;
SELECT persona.refit('genres');

SELECT n_users FROM persona.fit_recommender('codes', 'tastes', 'code', 'genre', holdout => 0);
SELECT t.code, r.item FROM tastes t, LATERAL persona.recommend('codes', t.code, 1) AS r WHERE t.rank = 3;
SELECT inserted FROM persona.save_recommendations('codes', save_to => 'top_codes', n => 1);
SELECT code, item FROM top_codes ORDER BY code;
SELECT n_users FROM persona.fit_recommender('accounts', 'tastes', 'account', 'genre', holdout => 0);
SELECT item, is_popular FROM persona.recommend('accounts', 90071992547409933::text, 1);
-- Keys that are equal in SQL are one key, and one that asks may be written in another way.
SELECT n_users, n_items FROM persona.fit_recommender('written', 'SELECT * FROM (VALUES (5, 1.50), (5.0, 1.5), (5.00, 2), (6, 2.000), (6, 3)) AS v (user_id, item_id)', holdout => 0);
SELECT user_key, item, because_of, is_popular FROM persona.recommend_all('written', 1) ORDER BY user_key;
SELECT item, because_of, is_popular FROM persona.recommend('written', '5.000'::text, 1);
SELECT item, because_of, is_popular FROM persona.recommend('written', 5::text, 1);
SELECT similar_item FROM persona.similar_items('written', '01.5');
SELECT n_users, n_items FROM persona.fit_recommender('written', 'SELECT * FROM (VALUES (0::float8, ''a ''::char(3)), (''-0'', ''a''), (1e20, ''b'')) AS v (user_id, item_id)', holdout => 0);
SELECT user_key FROM persona.recommend_all('written', 1) ORDER BY user_key COLLATE "C";
-- A key column whose name the table needs for itself.
SELECT n_users FROM persona.fit_recommender('ranks', 'tastes', 'rank', 'genre', holdout => 0);
SELECT inserted FROM persona.save_recommendations('ranks', save_to => 'top_ranks', n => 1);
SELECT user_key, rank, item FROM top_ranks ORDER BY user_key;

-- Refused.
\set SHOW_CONTEXT never
SELECT * FROM persona.recommend('songs', 42);
\echo :SQLSTATE
SELECT * FROM persona.recommend_for('songs', ARRAY[42]);
\echo :SQLSTATE
SELECT * FROM persona.similar_items('songs', 42);
\echo :SQLSTATE
SELECT * FROM persona.recommend('genres', '00000000-0000-0000-0000-000000000003'::uuid);
\echo :SQLSTATE
