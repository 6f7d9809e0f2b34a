-- ONNX graphs: exported from a fitted scorer, made by scikit-learn, refused.
SET search_path TO persona, public;
\set VERBOSITY default
\set SHOW_CONTEXT never

CREATE TEMP TABLE visitors AS
SELECT i AS id, (i * 7919) % 100 AS visits,
       CASE WHEN i % 10 = 0 THEN NULL ELSE ((i * 31) % 50)::float8 / 10 END AS stars,
       CASE WHEN i % 11 = 0 THEN NULL WHEN i % 17 = 0 THEN '' ELSE (ARRAY['north', 'south', 'east'])[1 + i % 3] END AS region,
       ((i * 7919) % 100) + CASE WHEN i % 3 = 1 THEN 20 ELSE 0 END + (i * 104729) % 60 > 90 AS bought
FROM generate_series(1, 2000) AS i;

-- A fitted scorer, exported and imported again, scores the same: missing text, missing numbers and unseen levels too.
SELECT positive FROM fit_scorer('onnx_native', 'visitors', 'bought', features => ARRAY['visits', 'stars', 'region']);
SELECT model, version, algorithm, features, output_name, output_reason FROM import_onnx('onnx_again', export_onnx('onnx_native'));
SELECT count(*) AS n, max(abs(native - one)) < 1e-9 AS one, max(abs(native - batch)) < 1e-9 AS batch
FROM (SELECT score('onnx_native', v) AS native, score('onnx_again', v) AS one, score_batch('onnx_again', v) OVER () AS batch
      FROM (SELECT * FROM visitors UNION ALL SELECT 0, 50, 2.5, 'west', false) AS v) AS s;
SELECT count(*) AS n, bool_and(one = batch) AS same
FROM (SELECT score_batch('onnx_again', v) OVER () AS one, score_batch('onnx_again', to_jsonb(v)) OVER () AS batch FROM visitors v) AS s;
SELECT region, count(*) AS n, bool_and(one = batch) AS same
FROM (SELECT region, score('onnx_again', v) AS one, score_batch('onnx_again', v) OVER (PARTITION BY region ORDER BY id) AS batch
      FROM visitors v) AS s
GROUP BY region ORDER BY region;
SELECT count(*) AS n, count(s) AS scored
FROM (SELECT score_batch('onnx_again', CASE WHEN id % 4 > 0 THEN v END) OVER (ORDER BY id) AS s FROM visitors v) AS s;
SELECT score_batch('onnx_again', v) OVER () IS NOT NULL AS scored FROM visitors v LIMIT 1;
SELECT export_onnx('onnx_again') = export_onnx('onnx_native') AS same_bytes;
SELECT n_rows, round(e.roc_auc::numeric, 5) = round(n.roc_auc::numeric, 5) AS roc_auc, round(e.brier::numeric, 6) = round(n.brier::numeric, 6) AS brier
FROM evaluate('onnx_again', 'visitors', 'bought') AS e JOIN evaluate('onnx_native', 'visitors', 'bought') AS n USING (n_rows);
SELECT p ->> 'label' AS label, jsonb_array_length(p -> 'probabilities') AS n
FROM (SELECT predict('onnx_again', v) AS p FROM visitors v WHERE id = 4) AS s;
-- The positive class may be the first.
SELECT positive FROM fit_scorer('onnx_native', 'visitors', 'bought', positive => 'false', features => ARRAY['visits', 'stars', 'region']);
SELECT version FROM import_onnx('onnx_again', export_onnx('onnx_native'));
SELECT max(abs(score('onnx_native', v) - score('onnx_again', v))) < 1e-9 AS same FROM visitors v WHERE id <= 20;

-- Pipelines of scikit-learn: one input per column, with and without ZipMap.
\set columns `base64 -w 0 ../fixtures/onnx/columns_logistic.onnx`
\set zipmap `base64 -w 0 ../fixtures/onnx/columns_logistic_zipmap.onnx`
SELECT features, output_name, output_reason FROM import_onnx('onnx_columns', decode(:'columns', 'base64'));
SELECT features, output_name, output_reason FROM import_onnx('onnx_zipmap', decode(:'zipmap', 'base64'));
CREATE TEMP TABLE customers (id int, spend real, visits bigint, region text);
INSERT INTO customers VALUES (1, 232.3139190673828, 29, 'wést'), (2, 105.02654266357422, 36, 'east'), (3, 66.30339813232422, 37, 'wést'),
    (7, 111.45533752441406, 22, 'unseen');
SELECT id, round(score('onnx_columns', c)::numeric, 5) AS columns, round(score('onnx_zipmap', c)::numeric, 5) AS zipmap FROM customers c ORDER BY id;
SELECT p -> 'output_label' AS label, round((p -> 'output_probability' ->> 'stays')::numeric, 5) AS probability
FROM (SELECT predict('onnx_zipmap', c) AS p FROM customers c WHERE id = 1) AS s;
SELECT version, output_name FROM import_onnx('onnx_columns', decode(:'columns', 'base64'), output => 'label');
SELECT id, score('onnx_columns', c) AS label FROM customers c ORDER BY id;

-- One tensor of numbers, whose columns are named.
\set logistic `base64 -w 0 ../fixtures/onnx/logistic.onnx`
\set linear `base64 -w 0 ../fixtures/onnx/linear_regressor.onnx`
SELECT import_onnx('onnx_tensor', decode(:'logistic', 'base64'));
SELECT import_onnx('onnx_tensor', decode(:'logistic', 'base64'), features => ARRAY['a', 'b']);
SELECT import_onnx('onnx_tensor', decode(:'columns', 'base64'), features => ARRAY['a', 'b']);
SELECT import_onnx('onnx_tensor', decode(:'columns', 'base64'), output => 'nothing');

SELECT features FROM import_onnx('onnx_tensor', decode(:'logistic', 'base64'), features => ARRAY(SELECT format('v[%s]', i) FROM generate_series(1, 8) AS i));
SELECT features FROM import_onnx('onnx_linear', decode(:'linear', 'base64'), features => ARRAY['a', 'b', 'c', 'd']);
SELECT import_onnx('onnx_linear', decode(:'linear', 'base64'), features => ARRAY['a', 'b', 'c', 'a']);
SELECT import_onnx('onnx_linear', decode(:'linear', 'base64'), features => ARRAY['a', 'b', 'c', NULL]);
SELECT round(score('onnx_tensor', t)::numeric, 5) AS last_class
FROM (SELECT '{0.001230153371579945,0.2987455427646637,-0.27413785457611084,-0.8905918598175049,-0.454670786857605,-0.9916465282440186,0.0601436011493206,1.3402152061462402}'::real[] AS v) AS t;
SELECT round(score('onnx_linear', t)::numeric, 5) AS value
FROM (SELECT -0.5103070735931396 AS d, 0.0341927669942379 AS a, 1.3597475290298462 AS b, 1.224721074104309 AS c) AS t;
SELECT predict('onnx_linear', t) ? 'variable' AS has_output FROM (SELECT 1 AS a, 1 AS b, 1 AS c, 1 AS d) AS t;

-- A large object.
SELECT lo_from_bytea(0, export_onnx('onnx_native')) AS object \gset
SELECT version, algorithm FROM import_onnx('onnx_object', :object::oid);
SELECT score('onnx_object', v) = score('onnx_again', v) AS same FROM visitors v WHERE id = 1;
SELECT lo_unlink(:object);
SELECT import_onnx('onnx_object', 1::oid);

-- Refused: not ONNX, data outside the model, values that the inputs cannot hold.
SELECT import_onnx('onnx_bad', NULL::bytea);
SELECT import_onnx('onnx_bad', ''::bytea);
SELECT import_onnx('onnx_bad', 'not a model'::bytea);
SELECT import_onnx('onnx_bad', '\x08083a0c2a05420177700162030a0179'::bytea);
SELECT import_onnx('onnx_bad', substr(export_onnx('onnx_native'), 1, 500));
SELECT score('onnx_columns', c) FROM (SELECT 1::real AS spend, NULL::bigint AS visits, 'east' AS region) AS c;
SELECT score('onnx_columns', c) FROM (SELECT 1::real AS spend, 1.5 AS visits, 'east' AS region) AS c;
SELECT score('onnx_columns', c) FROM (SELECT 1e300 AS spend, 1 AS visits, 'east' AS region) AS c;
SELECT score('onnx_columns', c) FROM (SELECT 1 AS spend, 1 AS visits) AS c;
SELECT score('onnx_columns', c) FROM (SELECT 1 AS spend, 1 AS visits, 3 AS region) AS c;
SELECT score_batch('onnx_columns', c) OVER () FROM (SELECT 1 AS spend, 1 AS visits, 3 AS region) AS c;
SELECT evaluate('onnx_columns', 'SELECT 1 AS spend, 1 AS visits, ''east'' AS region, ''maybe'' AS y', 'y');
SELECT count(*) FROM models WHERE model = 'onnx_bad';

-- The process.
SELECT provider, is_wanted, is_available, message FROM providers();
SELECT state, message, runs > 0 AS has_run, n_rows > 2000 AS has_rows FROM onnx_status();

SELECT drop_model(model) FROM models WHERE model LIKE 'onnx\_%' ORDER BY model;
