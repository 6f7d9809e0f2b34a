-- Refits: their log, what keeps the live version, and the job that logs its errors.
SET search_path = public;
CREATE TABLE customer AS SELECT i AS id, (i % 2) * 50 + i % 7 AS minutes, (i % 4 / 2) * 80 + i % 5 AS spend, i % 3 > 0 AND i % 2 = 0 AS bought
FROM generate_series(0, 399) AS i;
SELECT count(*) FROM persona.fit_segments('visits', 'customer', 'id', 4, '{minutes,spend}', save_to => 'labelled');
SELECT persona.refit('visits');
UPDATE customer SET minutes = 50 WHERE id IN (0, 4, 8);
SELECT persona.refit('visits');
SELECT model, from_version, version, n_rows, n_changed, sqlstate, error, ended_at >= started_at AS is_over, run_by = current_user AS is_mine
FROM persona.refit_log ORDER BY started_at;

-- The groups are gone: the silhouette would be another one.
CREATE TABLE kept AS SELECT * FROM customer;
UPDATE customer SET minutes = (id * 7919) % 101, spend = (id * 104729) % 103;
SELECT persona.refit('visits');
SELECT active_version FROM persona.models WHERE model = 'visits';
SELECT persona.refit('visits', max_loss => 0.9);
SELECT persona.activate('visits', 3);
SELECT persona.refit('visits', force => true);
SELECT persona.refit('visits', max_loss => -0.1);
SELECT persona.refit('visits', max_loss => 'NaN');

-- A scorer by its AUC.
UPDATE customer c SET minutes = k.minutes, spend = k.spend FROM kept k WHERE k.id = c.id;
SELECT round(roc_auc::numeric, 3) AS roc_auc FROM persona.fit_scorer('buys', 'SELECT * FROM customer', 'bought', features => '{minutes}');
UPDATE customer SET bought = (id * 7919) % 11 < 5;
SELECT persona.refit('buys');

-- A job: what fails is logged and raised all the same; inside a transaction it cannot be logged.
CALL persona.refit_job('visits', max_loss => 1);
DELETE FROM customer WHERE id > 50;
CALL persona.refit_job('visits');
CALL persona.refit_job('nobody');
DO $$ BEGIN CALL persona.refit_job('visits'); END $$;
BEGIN;
CALL persona.refit_job('visits');
ROLLBACK;
SELECT model, from_version, version, n_rows, n_changed, sqlstate, error FROM persona.refit_log ORDER BY started_at;

-- The log is seen by those who see the model, and gone with it.
CREATE ROLE refit_reader;
SET ROLE refit_reader;
SELECT count(*) FROM persona.refit_log;
CALL persona.refit_job('visits');
RESET ROLE;
SELECT persona.grant_model('visits', 'refit_reader');
SET ROLE refit_reader;
SELECT count(*) FROM persona.refit_log;
CALL persona.refit_job('visits');
SELECT count(*) FROM persona.refit_log;
RESET ROLE;
SELECT persona.drop_model('visits');
SELECT count(*) FROM persona.refit_run;
