-- Scorers that are fitted here: fit, score, score_batch, predict, evaluate.
SET search_path TO persona, public;

-- 2000 visitors: the probability of buying rises with visits and is higher in the south; some values are missing.
CREATE TEMP TABLE visitors AS
SELECT i AS id, (i * 7919) % 100 AS visits,
       CASE WHEN i % 10 = 0 THEN NULL ELSE ((i * 31) % 50)::float8 / 10 END AS stars,
       CASE WHEN i % 11 = 0 THEN NULL ELSE (ARRAY['north', 'south', 'east'])[1 + i % 3] END AS region,
       ((i * 7919) % 100) + CASE WHEN i % 3 = 1 THEN 20 ELSE 0 END + (i * 104729) % 60 > 90 AS bought,
       i % 5 = 0 AS is_late
FROM generate_series(1, 2000) AS i;

SELECT model, version, algorithm, positive, n_rows, n_train, n_holdout, round(roc_auc::numeric, 4) AS roc_auc,
       round(average_precision::numeric, 4) AS average_precision, round(log_loss::numeric, 4) AS log_loss,
       round(brier::numeric, 4) AS brier, round(accuracy::numeric, 4) AS accuracy, round(base_rate::numeric, 4) AS base_rate
FROM fit_scorer('score_buys', 'visitors', 'bought', key => 'id', holdout_column => 'is_late');

-- The figures are those of the held-out rows, which the model has not seen.
SELECT round(roc_auc(label, score)::numeric, 4) AS roc_auc, round(log_loss(label, score)::numeric, 4) AS log_loss, count(*) AS n_holdout
FROM holdout_scores('score_buys');
SELECT round(roc_auc::numeric, 4) AS roc_auc, round(log_loss::numeric, 4) AS log_loss, n_rows
FROM evaluate('score_buys', 'SELECT * FROM visitors WHERE is_late', 'bought');

SELECT kind, algorithm, n_rows, features, metrics ->> 'positive' AS positive, metrics -> 'classes' AS classes
FROM models WHERE model = 'score_buys';

-- The order of the rows does not matter, nor the number of threads.
CREATE TEMP TABLE shuffled AS SELECT * FROM visitors ORDER BY (id * 7877) % 2003;
SELECT version FROM fit_scorer('score_buys', 'shuffled', 'bought', key => 'id', holdout_column => 'is_late', activate => false);
SET persona.threads = 1;
SELECT version FROM fit_scorer('score_buys', 'shuffled', 'bought', key => 'id', holdout_column => 'is_late', activate => false);
RESET persona.threads;
SELECT count(*) AS versions, count(DISTINCT sha256) AS models, count(*) FILTER (WHERE is_active) AS active
FROM model_versions WHERE model = 'score_buys';

-- With all rows it is another model, measured by the one that had not seen the held-out rows.
SELECT round(roc_auc::numeric, 4) AS roc_auc, n_rows, n_train, refit_on_all
FROM fit_scorer('score_all', 'visitors', 'bought', key => 'id', holdout_column => 'is_late', refit_on_all => true);
SELECT count(*) FILTER (WHERE score('score_all', v) = score('score_buys', v)) AS same FROM visitors v;
SELECT (SELECT array_agg((label, score) ORDER BY score, label) FROM holdout_scores('score_all'))
     = (SELECT array_agg((label, score) ORDER BY score, label) FROM holdout_scores('score_buys', 1)) AS same;

-- Columns bind by name: order does not matter, more are ignored.
SELECT round(score('score_buys', v)::numeric, 6) AS score,
       score('score_buys', v) = score('score_buys', w) AS same
FROM visitors v
CROSS JOIN LATERAL (SELECT v.region, 'x' AS other, v.visits::smallint AS visits, v.stars) AS w
WHERE v.id <= 4 ORDER BY v.id;

-- A row of NULLs is scored, a NULL row is not; a level that the fit did not see is scored.
SELECT round(score('score_buys', v)::numeric, 6) AS all_null
FROM (SELECT NULL::int AS visits, NULL::float8 AS stars, NULL::text AS region) AS v;
SELECT score('score_buys', NULL::visitors) AS no_row;
SELECT round(score('score_buys', v)::numeric, 6) AS unseen
FROM (SELECT 50 AS visits, 2.5::float8 AS stars, 'west' AS region) AS v;

-- As a window function, and as parts of a query.
SELECT count(*) AS n, bool_and(one = batch) AS same
FROM (SELECT score('score_buys', v) AS one, score_batch('score_buys', v) OVER () AS batch FROM visitors v) AS s;
SELECT region, count(*) AS n, bool_and(one = batch) AS same
FROM (SELECT region, score('score_buys', v) AS one, score_batch('score_buys', v) OVER (PARTITION BY region ORDER BY id) AS batch
      FROM visitors v) AS s
GROUP BY region ORDER BY region;
SELECT score_batch('score_buys', NULL::visitors) OVER () AS no_row;

SELECT p ->> 'label' AS label, round((p ->> 'probability')::numeric, 6) AS probability,
       round((p -> 'probabilities' ->> 'true')::numeric, 6) AS is_true,
       round(((p -> 'probabilities' ->> 'true')::numeric + (p -> 'probabilities' ->> 'false')::numeric), 12) AS total
FROM (SELECT id, predict('score_buys', v) AS p FROM visitors v WHERE id <= 3) AS s ORDER BY id;
SELECT predict('score_buys', NULL::visitors) AS no_row;

-- Metrics: of the model on a source, and of any labels and scores.
SELECT n_rows, round(roc_auc::numeric, 4) AS roc_auc, round(log_loss::numeric, 4) AS log_loss, round(base_rate::numeric, 4) AS base_rate
FROM evaluate('score_buys', 'SELECT * FROM visitors WHERE id <= 500', 'bought');
SELECT round(e.roc_auc::numeric, 9) = round(m.roc_auc::numeric, 9) AS roc_auc,
       round(e.average_precision::numeric, 9) = round(m.average_precision::numeric, 9) AS average_precision,
       round(e.log_loss::numeric, 9) = round(m.log_loss::numeric, 9) AS log_loss,
       round(e.brier::numeric, 9) = round(m.brier::numeric, 9) AS brier
FROM evaluate('score_buys', 'visitors', 'bought') AS e,
     (SELECT roc_auc(bought, score('score_buys', v)), average_precision(bought, score('score_buys', v)),
             log_loss(bought, score('score_buys', v)), brier(bought, score('score_buys', v)) FROM visitors v) AS m;
SELECT roc_auc(l, s), round(average_precision(l, s)::numeric, 6) AS average_precision, round(brier(l, s)::numeric, 4) AS brier
FROM (VALUES (false, 0.1), (false, 0.4), (true, 0.35), (true, 0.8), (NULL, 0.5), (true, NULL)) AS t (l, s);
SELECT roc_auc(l, s) AS one_class, roc_auc(NULL::boolean, s) AS no_rows FROM (VALUES (true, 0.1::float8)) AS t (l, s);
-- a percentage is no probability; for a ranking any number will do
SELECT log_loss(l, s) FROM (VALUES (true, 1.5::float8), (false, 0)) AS t (l, s);
SELECT brier(l, s) FROM (VALUES (true, 80::float8), (false, 20)) AS t (l, s);
SELECT log_loss(l, s) FROM (VALUES (true, 1::float8), (false, -1e-5)) AS t (l, s);
SELECT round(log_loss(l, s)::numeric, 6) AS of_rounded FROM (VALUES (true, 1.0000001::float8), (false, -1e-9)) AS t (l, s);
SELECT roc_auc(l, s), brier(l, s / 100) FROM (VALUES (true, 80::float8), (false, 20), (NULL, 1000)) AS t (l, s);
SELECT average_precision(l, s) AS no_positive FROM (VALUES (false, 0.1::float8)) AS t (l, s);

-- The target may be text or a number, and the positive class may be named.
SELECT positive, n_holdout, roc_auc FROM fit_scorer('score_text', $$SELECT visits, CASE WHEN bought THEN 'yes' ELSE 'no' END AS answer
    FROM visitors$$, 'answer', holdout => 0);
SELECT positive FROM fit_scorer('score_number', 'SELECT visits, bought::int AS y FROM visitors', 'y');
SELECT positive FROM fit_scorer('score_no', 'visitors', 'bought', positive => 'false', features => ARRAY['visits', 'stars']);
SELECT features FROM models WHERE model = 'score_no';
-- Arrays are one feature per element.
SELECT n_rows FROM fit_scorer('score_array', 'SELECT ARRAY[visits, id % 7]::float8[] AS v, bought FROM visitors', 'bought', holdout => 0);
SELECT features FROM models WHERE model = 'score_array';
SELECT round(score('score_array', t)::numeric, 6) AS score FROM (SELECT ARRAY[90, 3]::real[] AS v) AS t;
SELECT n_rows FROM evaluate('score_array', 'SELECT ARRAY[visits, id % 7]::float8[] AS v, bought FROM visitors', 'bought');

-- A refit takes the columns of the fit: the same rows give the same model, a new column changes nothing, a lost one is refused.
CREATE TABLE public.visits_kept AS SELECT id, visits, region, bought FROM visitors;
SELECT version FROM fit_scorer('score_refit', 'visits_kept', 'bought', key => 'id');
ALTER TABLE public.visits_kept ADD COLUMN extra int DEFAULT 7;
SELECT refit('score_refit');
SELECT count(*) AS versions, count(DISTINCT sha256) AS models, max(version) FILTER (WHERE is_active) AS active
FROM model_versions WHERE model = 'score_refit';
ALTER TABLE public.visits_kept DROP COLUMN region;
SELECT refit('score_refit');
SELECT active_version FROM models WHERE model = 'score_refit';
DROP TABLE public.visits_kept;

SELECT drop_model(model) FROM models WHERE model LIKE 'score\_%' ORDER BY model;
