-- The parameters of a scorer's algorithm: the list, what is taken, what is stored, and what is refused.
SET search_path = persona, public;
CREATE TABLE t AS SELECT i AS x, (i % 10)::text AS c, i * 7 % 5 < 2 AS y FROM generate_series(1, 200) AS i;

SELECT * FROM algorithms WHERE algorithm = 'logistic';

-- That a number is missing says something, of a column that misses some in the fit, unless it is told not to.
CREATE TABLE gaps AS SELECT i AS id, CASE WHEN i % 8 < 3 THEN NULL ELSE i % 7 END AS x, i % 5 AS z, i % 8 < 3 AND i % 10 > 0 AS y FROM generate_series(1, 2000) AS i;
SELECT round(roc_auc::numeric, 4) AS roc_auc FROM fit_scorer('gaps', 'gaps', 'y', features => '{x,z}', key => 'id');
SELECT round(roc_auc::numeric, 4) AS roc_auc FROM fit_scorer('no_gaps', 'gaps', 'y', parameters => '{"missing_indicator": false}', features => '{x,z}', key => 'id');
SELECT round(roc_auc::numeric, 4) AS roc_auc FROM fit_scorer('gaps_bayes', 'gaps', 'y', 'naive_bayes', features => '{x,z}', key => 'id');
SELECT round(roc_auc::numeric, 4) AS roc_auc FROM fit_scorer('no_gaps_bayes', 'gaps', 'y', 'naive_bayes', '{"missing_indicator": false}', features => '{x,z}', key => 'id');
SELECT m, round(score(m, v)::numeric, 4) AS whole, round(score(m, '{"x": null, "z": 2}')::numeric, 4) AS without_x, round(score(m, '{"x": 3, "z": null}')::numeric, 4) AS without_z
FROM unnest('{gaps,no_gaps,gaps_bayes,no_gaps_bayes}'::text[]) AS m, (SELECT 3 AS x, 2 AS z) AS v;
SELECT m, bool_and(score(m, g) = batch) AS same FROM unnest('{gaps,gaps_bayes}'::text[]) AS m, LATERAL (SELECT g, score_batch(m, g) OVER () AS batch FROM gaps AS g) AS b GROUP BY m ORDER BY m;
SELECT fit_scorer('refused', 't', 'y', parameters => '{"missing_indicator": 1}');

-- A literal without a type, jsonb, and none.
SELECT n_train FROM fit_scorer('given', 't', 'y', parameters => '{"l2": 2, "max_categories": 3}');
SELECT n_train FROM fit_scorer('positional', 't', 'y', 'logistic', '{"l2": 2.50}');
SELECT n_train FROM fit_scorer('of_an_expression', 't', 'y', parameters => jsonb_build_object('max_categories', 3 + 4));
SELECT n_train FROM fit_scorer('none', 't', 'y');
SELECT model, parameters -> 'algorithm' AS algorithm, parameters -> 'parameters' AS parameters FROM model_versions ORDER BY model;

-- A refit fits with the same ones.
SELECT refit('given');
SELECT version, parameters -> 'parameters' AS parameters FROM model_versions WHERE model = 'given' ORDER BY version;

SELECT fit_scorer('refused', 't', 'y', parameters => '{"L2": 2}');
SELECT fit_scorer('refused', 't', 'y', parameters => '{"l2": 1, "lambda": 2}');
SELECT fit_scorer('refused', 't', 'y', parameters => '{"l2": "1"}');
SELECT fit_scorer('refused', 't', 'y', parameters => '{"l2": 1e400}');
SELECT fit_scorer('refused', 't', 'y', parameters => '{"l2": null}');
SELECT fit_scorer('refused', 't', 'y', parameters => '{"max_categories": 2.5}');
SELECT fit_scorer('refused', 't', 'y', parameters => '{"max_categories": 1001}');
SELECT fit_scorer('refused', 't', 'y', parameters => '{"max_categories": [3]}');
SELECT fit_scorer('refused', 't', 'y', parameters => NULL);
SELECT fit_scorer('refused', 't', 'y', parameters => 'null');
SELECT fit_scorer('refused', 't', 'y', parameters => '[1]');
SELECT fit_scorer('refused', 't', 'y', parameters => '1');
SELECT fit_scorer('refused', 't', 'y', parameters => 'l2 = 1');
SELECT fit_scorer('refused', 't', 'y', l2 => 1);
SELECT count(*) FROM models WHERE model = 'refused';

-- What is stored is read strictly: a dump that somebody has changed is no fit of his.
UPDATE model_version SET parameters = jsonb_set(parameters, '{parameters,l2}', '-1') WHERE parameters -> 'parameters' ->> 'l2' = '2.5';
SELECT refit('positional');
UPDATE model_version SET parameters = parameters #- '{parameters,l2}' WHERE parameters -> 'parameters' ->> 'l2' = '-1';
SELECT refit('positional');
UPDATE model_version SET parameters = jsonb_set(parameters, '{algorithm}', '"forest"') WHERE NOT parameters -> 'parameters' ? 'l2';
SELECT refit('positional');
