-- Parameters of a recommender's algorithm: what is declared, what is stored, what is refused.
CREATE TABLE purchases (user_id int, item_id bigint);
INSERT INTO purchases
VALUES (1, 1), (1, 2), (1, 5), (2, 1), (2, 2), (2, 5), (3, 1), (3, 5),
       (4, 3), (4, 4), (4, 5), (5, 3), (5, 4), (5, 5), (6, 3), (6, 5);

SELECT algorithm, parameter, type, default_value, range, meaning FROM persona.algorithms WHERE kind = 'recommender';

-- What is given and what is not are stored together; a refit keeps both.
SELECT version FROM persona.fit_recommender('shop', 'purchases', parameters => '{"neighbors": 1}', holdout => 0);
SELECT persona.refit('shop', force => true);
SELECT version, parameters -> 'parameters' AS parameters FROM persona.model_versions WHERE model = 'shop' ORDER BY version;
SELECT count(*) FROM persona.similar_items('shop', 1);
-- A variable of a driver is jsonb, or text of an unknown type.
PREPARE given(jsonb) AS SELECT version FROM persona.fit_recommender('shop', 'purchases', algorithm => 'item_knn', parameters => $1, holdout => 0);
EXECUTE given('{"neighbors": 2, "shrinkage": 0.5}');
SELECT version FROM persona.fit_recommender('shop', 'purchases', algorithm => 'popular', parameters => '{}', holdout => 0);
SELECT algorithm, parameters -> 'parameters' AS parameters FROM persona.model_versions WHERE model = 'shop' ORDER BY version DESC LIMIT 2;

-- Refused.
\set SHOW_CONTEXT never
SELECT persona.fit_recommender('x', 'purchases', parameters => '{"neighbours": 1}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', algorithm => 'popular', parameters => '{"neighbors": 1}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => '{"neighbors": 0}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => '{"neighbors": 10001}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => '{"neighbors": 1.5}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => '{"neighbors": "1"}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => '{"neighbors": null}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => '{"shrinkage": -0.1}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => '{"shrinkage": 1e400}');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => NULL);
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => '[{"neighbors": 1}]');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => '1');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => 'null');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', parameters => 'neighbors');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', algorithm => 'itemknn');
\echo :SQLSTATE
SELECT persona.fit_recommender('x', 'purchases', algorithm => NULL);
\echo :SQLSTATE
SELECT persona.similar_items('shop', 1);
\echo :SQLSTATE
SELECT count(*) FROM persona.models WHERE model = 'x';
