-- Boosted trees, in everything that a scorer goes through.
SET search_path = persona, public;
SELECT parameter, type, default_value, range FROM algorithms WHERE algorithm = 'boosted_trees';

CREATE TABLE visitors AS
SELECT i AS id, (i * 7919) % 100 AS visits,
       CASE WHEN i % 10 = 0 THEN NULL ELSE ((i * 31) % 50)::float8 / 10 END AS stars,
       CASE WHEN i % 11 = 0 THEN NULL ELSE (ARRAY['north', 'south', 'east'])[1 + i % 3] END AS region,
       ((i * 7919) % 100) + CASE WHEN i % 3 = 1 THEN 20 ELSE 0 END + (i * 104729) % 60 > 90 AS bought,
       i % 5 = 0 AS is_late
FROM generate_series(1, 2000) AS i;

SELECT model, version, algorithm, positive, n_rows, n_train, n_holdout, round(roc_auc::numeric, 4) AS roc_auc, round(log_loss::numeric, 4) AS log_loss
FROM fit_scorer('trees', 'visitors', 'bought', 'boosted_trees', '{"learning_rate": 0.1}', features => '{visits,stars,region}', key => 'id', holdout_column => 'is_late');
SELECT round(roc_auc(label, score)::numeric, 4) AS roc_auc, round(log_loss(label, score)::numeric, 4) AS log_loss, count(*) AS n_holdout FROM holdout_scores('trees');
SELECT round(roc_auc::numeric, 4) AS roc_auc, n_rows FROM evaluate('trees', 'SELECT * FROM visitors WHERE is_late', 'bought');
SELECT round(avg(score('trees', v))::numeric, 6) AS mean, min(score('trees', v)) >= 0 AND max(score('trees', v)) <= 1 AS are_probabilities FROM visitors v;

-- The order of the rows does not matter, nor the number of threads; with all rows it is another model.
CREATE TABLE shuffled AS SELECT * FROM visitors ORDER BY (id * 7877) % 2003;
SET persona.threads = 1;
SELECT version FROM fit_scorer('trees', 'shuffled', 'bought', 'boosted_trees', '{"learning_rate": 0.1}', features => '{visits,stars,region}', key => 'id', holdout_column => 'is_late', activate => false);
RESET persona.threads;
SELECT version FROM fit_scorer('trees', 'visitors', 'bought', 'boosted_trees', '{"learning_rate": 0.1}', features => '{visits,stars,region}', key => 'id', holdout_column => 'is_late', refit_on_all => true, activate => false);
SELECT count(*) AS versions, count(DISTINCT sha256) AS models FROM model_versions WHERE model = 'trees';

-- A row alone, in a batch, and in parallel; what is missing says what the fit saw of it: nothing where the fit missed none.
SELECT count(*) AS n, bool_and(one = batch) AS same FROM (SELECT score('trees', v) AS one, score_batch('trees', v) OVER () AS batch FROM visitors v) AS s;
SELECT round(score('trees', v)::numeric, 6) AS score FROM (VALUES (NULL::float8, NULL::float8, NULL::text), (50, NULL, NULL), (50, 2.5, 'south'), (50, 2.5, 'west')) AS v (visits, stars, region);
SELECT score('trees', NULL::visitors) AS no_row;
SELECT p ->> 'label' AS label, round((p ->> 'probability')::numeric, 6) AS probability, p -> 'probability' = p -> 'probabilities' -> 'true' AS same
FROM (SELECT id, predict('trees', v) AS p FROM visitors v WHERE id <= 3) AS s ORDER BY id;

-- Published, refitted with the same parameters, gone back to.
SELECT inserted FROM publish('trees', 'visitor_score', 'SELECT * FROM visitors', key => 'id');
SELECT model, kind, answer = round((details ->> 'score')::numeric, 4)::text AS in_words FROM profile('7');
UPDATE visitors SET visits = visits / 2 WHERE id % 4 = 0;
SELECT refit('trees', force => true);
SELECT count(*) FILTER (WHERE version = 4) > 0 AS written, bool_and(p.score = score('trees', v)) AS same FROM visitor_score p JOIN visitors v USING (id);
SELECT version, is_active, algorithm, parameters -> 'parameters' AS parameters FROM model_versions WHERE model = 'trees' ORDER BY version;
SELECT activate('trees', 1);
SELECT bool_and(p.score = score('trees', v)) AS same FROM visitor_score p JOIN visitors v USING (id);

SELECT export_onnx('trees');
SELECT fit_scorer('refused', 'visitors', 'bought', 'boosted_trees', '{"alpha": 1}');
SELECT fit_scorer('refused', 'visitors', 'bought', 'boosted_trees', '{"learning_rate": 0}');
SELECT fit_scorer('refused', 'visitors', 'bought', 'boosted_trees', '{"max_leaves": 1}');
SELECT fit_scorer('refused', 'visitors', 'bought', 'boosted_trees', '{"class_weight": "heavy"}');
SELECT fit_scorer('refused', 'SELECT * FROM visitors WHERE bought', 'bought', 'boosted_trees');

-- What no line tells: two numbers that mean something together, and values that mean it in the middle.
CREATE TABLE crossed AS SELECT i AS id, (i * 7919) % 101 - 50 AS a, (i * 104729) % 103 - 51 AS b FROM generate_series(1, 4000) AS i;
SELECT algorithm, round(roc_auc::numeric, 2) AS roc_auc FROM (VALUES ('logistic'), ('boosted_trees')) AS v (name),
    LATERAL fit_scorer('crossed_' || name, 'SELECT *, (a * b > 0) <> (abs(a) < 20) AS y FROM crossed', 'y', name, key => 'id') ORDER BY 1 DESC;

-- Few rows, constant columns, texts of many levels, huge numbers and times.
SELECT n_rows, roc_auc FROM fit_scorer('few', 'SELECT id, visits, bought FROM visitors WHERE id <= 30', 'bought', 'boosted_trees', key => 'id', holdout => 0);
SELECT n_rows, round(roc_auc::numeric, 1) AS roc_auc FROM fit_scorer('odd', 'SELECT id, 1 AS constant, ''u'' || id % 700 AS many, CASE WHEN id % 3 = 0 THEN visits * 1e300 END AS huge,
    ''2024-01-01''::timestamptz + visits * interval ''1 day'' AS at, NULL::float8 AS never, bought FROM visitors', 'bought', 'boosted_trees', key => 'id');
SELECT count(score('odd', o)) AS n FROM (SELECT 5 AS constant, 'new' AS many, '-1e308'::float8 AS huge, 'infinity'::timestamptz - interval '1 day' AS at, 1.0 AS never) AS o;
