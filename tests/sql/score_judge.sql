-- How good scores are: curves and tables over labels and scores, and the aggregates at a threshold and of predictions of a number.
SET search_path TO persona, public;

CREATE TEMP TABLE scored (label boolean, score double precision);
INSERT INTO scored VALUES (true, .9), (true, .8), (false, .7), (true, .6), (false, .5), (false, .4), (true, .3), (false, .2), (false, .1), (false, .05);

SELECT bin, n, positives, rate, lift, captured, round(mean_score::numeric, 6) AS mean_score FROM lift_table('SELECT label, score FROM scored', bins => 5);
SELECT bin, n, round(mean_score::numeric, 6) AS mean_score, rate FROM calibration('SELECT label, score FROM scored', bins => 2);
SELECT n, threshold, positives, profit, is_best FROM profit_curve('SELECT label, score FROM scored', value => 10, cost => 4, max_contacts => 10);
SELECT bool_or(is_best) AS any_is_best FROM profit_curve('scored', value => 1, cost => 4);
SELECT * FROM roc_curve('scored');
SELECT threshold, n, round(precision::numeric, 4) AS precision, recall FROM pr_curve('scored');
SELECT threshold_for('scored', min_precision => 0.7), threshold_for('scored', min_recall => 0.75), threshold_for('SELECT NOT label AS label, score FROM scored', min_precision => 1);
SELECT threshold, true_positives AS tp, false_positives AS fp, true_negatives AS tn, false_negatives AS fn, round(accuracy::numeric, 4) AS accuracy,
       round(precision::numeric, 4) AS precision, round(recall::numeric, 4) AS recall, round(specificity::numeric, 4) AS specificity,
       round(f1::numeric, 4) AS f1, round(mcc::numeric, 4) AS mcc
FROM confusion('scored', threshold => 0.55);

-- The aggregates say the same, alone, by groups and in parallel.
SELECT round(accuracy(label, score, 0.55)::numeric, 4) AS accuracy, round(persona.precision(label, score, 0.55)::numeric, 4) AS precision,
       round(recall(label, score, 0.55)::numeric, 4) AS recall, round(f1(label, score, 0.55)::numeric, 4) AS f1, round(mcc(label, score, 0.55)::numeric, 4) AS mcc
FROM scored;
SELECT accuracy(label, score, 0), persona.precision(label, score, 2), recall(label, score, 0.5), f1(label, score, 2), mcc(label, score, 0.5) FROM scored WHERE NOT label;
SELECT accuracy(label, score, 0.5), persona.precision(label, score, 0.5), calibration_error(label, score), rmse(score, score), r2(score, score) FROM scored WHERE false;
SELECT calibration_error(label, score) = (SELECT sum(n * abs(mean_score - rate)) / sum(n) FROM calibration('scored', 15)) AS same FROM scored;

CREATE TEMP TABLE predicted (actual double precision, prediction double precision);
INSERT INTO predicted VALUES (3, 2.5), (0.5, 1), (2, 2), (7, 8), (NULL, 1), (1, NULL);
SELECT rmse(actual, prediction)::numeric(10, 6), mae(actual, prediction), mape(actual, prediction)::numeric(10, 6), r2(actual, prediction)::numeric(10, 6),
       pinball(actual, prediction, 0.9)::numeric(10, 6), poisson_deviance(actual, prediction)::numeric(10, 6)
FROM predicted;
SELECT r2(actual, 3.125), r2(5, actual) FROM predicted WHERE prediction IS NOT NULL;

CREATE TABLE judged AS SELECT i % 7 = 0 AS label, (i * 7919 % 1000)::float8 / 1000 AS score FROM generate_series(1, 20000) AS i;
CREATE TEMP TABLE one_worker AS
SELECT accuracy(label, score, 0.5), persona.precision(label, score, 0.5), recall(label, score, 0.5), f1(label, score, 0.5), mcc(label, score, 0.5),
       rmse(score, score / 2), mae(score, score / 2), r2(score, score / 2), pinball(score, score / 2, 0.1), poisson_deviance(score, score + 1)
FROM judged;
ALTER TABLE judged SET (parallel_workers = 4);
SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
WITH workers AS (
    SELECT accuracy(label, score, 0.5), persona.precision(label, score, 0.5), recall(label, score, 0.5), f1(label, score, 0.5), mcc(label, score, 0.5),
           rmse(score, score / 2), mae(score, score / 2), r2(score, score / 2), pinball(score, score / 2, 0.1), poisson_deviance(score, score + 1)
    FROM judged)
SELECT w.accuracy = o.accuracy AND w.precision = o.precision AND w.recall = o.recall AND w.f1 = o.f1 AS counts_are_the_same,
       abs(w.mcc - o.mcc) + abs(w.rmse - o.rmse) + abs(w.mae - o.mae) + abs(w.r2 - o.r2) + abs(w.pinball - o.pinball)
           + abs(w.poisson_deviance - o.poisson_deviance) < 1e-12 AS means_are_near
FROM workers w, one_worker o;
DROP TABLE judged;

-- A fitted scorer's name stands for its holdout.
CREATE TEMP TABLE visitors AS
SELECT i AS id, (i * 7919) % 100 AS visits, (i * 31) % 50 AS stars, ((i * 7919) % 100) + (i * 104729) % 60 > 90 AS bought FROM generate_series(1, 2000) AS i;
SELECT version FROM fit_scorer('score_judged', 'visitors', 'bought', key => 'id');
SELECT version FROM fit_scorer('score_judged', 'visitors', 'bought', key => 'id', features => '{stars}', activate => false);
SELECT bin, n, lift > 1 AS is_better, captured FROM lift_table('score_judged', 2);
SELECT count(*) FROM pr_curve('score_judged');
SELECT (SELECT array_agg(r) FROM roc_curve('score_judged') AS r) = (SELECT array_agg(r) FROM roc_curve('SELECT * FROM persona.holdout_scores(''score_judged'')') AS r) AS same;

-- Two versions over the same rows.
SELECT n_rows, round(roc_auc::numeric, 4) AS roc_auc, round(other_roc_auc::numeric, 4) AS other, round(difference::numeric, 4) AS difference,
       round(standard_error::numeric, 4) AS standard_error, z > 10 AS is_sure, p_value < 1e-9 AS is_unlikely, log_loss < other_log_loss AS is_truer
FROM compare('score_judged', 1, 2, 'visitors');
SELECT n_rows, difference, standard_error, z, p_value FROM compare('score_judged', 1, 1, 'visitors', 'bought');

SELECT difference, z, p_value FROM compare('score_judged', 1, 1, 'SELECT visits, stars, false AS bought FROM visitors WHERE visits < 5');
SELECT compare('score_judged', 1, 2, 'SELECT * FROM visitors WHERE false');

-- A table's name is the table's.
CREATE TEMP TABLE score_judged AS SELECT true AS label, 0.5 AS score;
SELECT bin, n FROM lift_table('score_judged');
DROP TABLE score_judged;

-- Huge numbers have a mean, and states are those of the aggregates.
SELECT mean_score FROM calibration('SELECT true AS label, 1e308::float8 AS score UNION ALL SELECT false, -1e308', 1);
SELECT root_of_mean('{}'), r2_of_regression('{}'), confusion_hits('{}');
SELECT squared_error_add('{1,2}', 1, 1);
SELECT confusion_add('{1,2,3}', true, 1, 1);
SELECT r2(1, 'Infinity');

-- Mistakes.
SELECT * FROM lift_table('scored', bins => 0);
SELECT * FROM lift_table('scored', bins => NULL);
SELECT * FROM lift_table('SELECT ''yes'' AS label, 0.5 AS score');
SELECT * FROM lift_table('SELECT 2 AS label, 0.5 AS score');
SELECT * FROM lift_table('SELECT true AS label, ''a'' AS score');
SELECT * FROM lift_table('SELECT true AS label, ARRAY[0.5, 0.6] AS score');
SELECT * FROM lift_table('SELECT true AS bought, 0.5 AS score');
SELECT * FROM lift_table('SELECT true AS label, 0.5 AS score WHERE false');
SELECT * FROM lift_table('SELECT true AS label, ''Infinity''::float8 AS score');
SELECT * FROM roc_curve('SELECT true AS label, 0.5 AS score');
SELECT * FROM pr_curve('SELECT false AS label, 0.5 AS score');
SELECT * FROM confusion('scored', threshold => 'NaN');
SELECT * FROM profit_curve('scored', 10, 'Infinity');
SELECT * FROM profit_curve('scored', 10, 1, 0);
SELECT threshold_for('scored');
SELECT threshold_for('scored', 0.5, 0.5);
SELECT threshold_for('scored', min_recall => 80);
SELECT * FROM compare('score_judged', 1, 3, 'visitors');
SELECT * FROM compare('score_judged', 1, NULL, 'visitors');
SELECT * FROM compare('score_judged', 1, 2, 'SELECT stars, bought FROM visitors');
SELECT mape(0, 1);
SELECT poisson_deviance(-1, 1);
SELECT poisson_deviance(1, 0);
SELECT pinball(1, 1, 90);
SELECT rmse('NaN', 1);
SELECT calibration_error(true, 5);
SELECT accuracy(true, 'NaN', 0.5);

SELECT drop_model('score_judged');
