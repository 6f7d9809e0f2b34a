-- Naive Bayes, in everything that a scorer goes through.
SET search_path = persona, public;
SELECT parameter, type, default_value, range FROM algorithms WHERE algorithm = 'naive_bayes';

CREATE TABLE visitors AS
SELECT i AS id, (i * 7919) % 100 AS visits,
       CASE WHEN i % 10 = 0 THEN NULL ELSE ((i * 31) % 50)::float8 / 10 END AS stars,
       CASE WHEN i % 11 = 0 THEN NULL ELSE (ARRAY['north', 'south', 'east'])[1 + i % 3] END AS region,
       ((i * 7919) % 100) + CASE WHEN i % 3 = 1 THEN 20 ELSE 0 END + (i * 104729) % 60 > 90 AS bought,
       i % 5 = 0 AS is_late
FROM generate_series(1, 2000) AS i;

SELECT model, version, algorithm, positive, n_rows, n_train, n_holdout, round(roc_auc::numeric, 4) AS roc_auc, round(log_loss::numeric, 4) AS log_loss
FROM fit_scorer('bayes', 'visitors', 'bought', 'naive_bayes', '{"alpha": 0.5}', features => '{visits,stars,region}', key => 'id', holdout_column => 'is_late');
SELECT round(roc_auc(label, score)::numeric, 4) AS roc_auc, round(log_loss(label, score)::numeric, 4) AS log_loss, count(*) AS n_holdout FROM holdout_scores('bayes');
SELECT round(roc_auc::numeric, 4) AS roc_auc, n_rows FROM evaluate('bayes', 'SELECT * FROM visitors WHERE is_late', 'bought');
SELECT round(avg(score('bayes', v))::numeric, 6) AS mean, min(score('bayes', v)) >= 0 AND max(score('bayes', v)) <= 1 AS are_probabilities FROM visitors v;

-- The order of the rows does not matter, nor the number of threads; with all rows it is another model.
CREATE TABLE shuffled AS SELECT * FROM visitors ORDER BY (id * 7877) % 2003;
SET persona.threads = 1;
SELECT version FROM fit_scorer('bayes', 'shuffled', 'bought', 'naive_bayes', '{"alpha": 0.5}', features => '{visits,stars,region}', key => 'id', holdout_column => 'is_late', activate => false);
RESET persona.threads;
SELECT version FROM fit_scorer('bayes', 'visitors', 'bought', 'naive_bayes', '{"alpha": 0.5}', features => '{visits,stars,region}', key => 'id', holdout_column => 'is_late', refit_on_all => true, activate => false);
SELECT count(*) AS versions, count(DISTINCT sha256) AS models FROM model_versions WHERE model = 'bayes';

-- A row alone, in a batch, and in parallel; what is missing says what the fit saw of it: nothing where the fit missed none.
SELECT count(*) AS n, bool_and(one = batch) AS same FROM (SELECT score('bayes', v) AS one, score_batch('bayes', v) OVER () AS batch FROM visitors v) AS s;
SELECT round(score('bayes', v)::numeric, 6) AS score FROM (VALUES (NULL::float8, NULL::float8, NULL::text), (50, NULL, NULL), (50, 2.5, 'south'), (50, 2.5, 'west')) AS v (visits, stars, region);
SELECT score('bayes', NULL::visitors) AS no_row;
SELECT p ->> 'label' AS label, round((p ->> 'probability')::numeric, 6) AS probability, p -> 'probability' = p -> 'probabilities' -> 'true' AS same
FROM (SELECT id, predict('bayes', v) AS p FROM visitors v WHERE id <= 3) AS s ORDER BY id;

-- Published, refitted with the same parameters, gone back to.
SELECT inserted FROM publish('bayes', 'visitor_score', 'SELECT * FROM visitors', key => 'id');
SELECT model, kind, answer = round((details ->> 'score')::numeric, 4)::text AS in_words FROM profile('7');
UPDATE visitors SET visits = visits / 2 WHERE id % 4 = 0;
SELECT refit('bayes', force => true);
SELECT count(*) FILTER (WHERE version = 4) > 0 AS written, bool_and(p.score = score('bayes', v)) AS same FROM visitor_score p JOIN visitors v USING (id);
SELECT version, is_active, algorithm, parameters -> 'parameters' AS parameters FROM model_versions WHERE model = 'bayes' ORDER BY version;
SELECT activate('bayes', 1);
SELECT bool_and(p.score = score('bayes', v)) AS same FROM visitor_score p JOIN visitors v USING (id);

SELECT export_onnx('bayes');
SELECT fit_scorer('refused', 'visitors', 'bought', 'naive_bayes', '{"l2": 1}');
SELECT fit_scorer('refused', 'visitors', 'bought', 'naive_bayes', '{"alpha": 0}');
SELECT fit_scorer('refused', 'visitors', 'bought', 'naive_bayes', '{"var_smoothing": 0}');
SELECT fit_scorer('refused', 'SELECT * FROM visitors WHERE bought', 'bought', 'naive_bayes');
