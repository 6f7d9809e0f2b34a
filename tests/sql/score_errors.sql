-- What scorers refuse, with SQLSTATE and HINT.
SET search_path TO persona, public;
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE TEMP TABLE t AS
SELECT i AS id, i % 13 AS x, (ARRAY['a', 'b', NULL])[1 + i % 3] AS c, i % 13 + i % 7 > 8 AS y, i % 3 AS three, true AS always,
       CASE WHEN i = 5 THEN NULL ELSE i % 2 = 0 END AS gappy, ARRAY[i, i] AS pair, NULL::json AS j
FROM generate_series(1, 200) AS i;

SELECT fit_scorer(NULL, 't', 'y');
SELECT fit_scorer('', 't', 'y');
SELECT fit_scorer('score_e', NULL, 'y');
SELECT fit_scorer('score_e', 't', NULL);
SELECT fit_scorer('score_e', 'nowhere', 'y');
SELECT fit_scorer('score_e', 't', 'z');
SELECT fit_scorer('score_e', 't', 'three');
SELECT fit_scorer('score_e', 't', 'always');
SELECT fit_scorer('score_e', 't', 'gappy');
SELECT fit_scorer('score_e', 't', 'pair');
SELECT fit_scorer('score_e', 't', 'j');
SELECT fit_scorer('score_e', 'SELECT * FROM t WHERE false', 'y');
SELECT fit_scorer('score_e', 'SELECT y FROM t', 'y');
SELECT fit_scorer('score_e', 'SELECT ''NaN''::float8 AS x, y FROM t', 'y');
SELECT fit_scorer('score_e', 't', 'y', algorithm => 'forest');
SELECT fit_scorer('score_e', 't', 'y', positive => 'maybe');
SELECT fit_scorer('score_e', 't', 'y', features => ARRAY['x', 'nothing']);
SELECT fit_scorer('score_e', 't', 'y', features => ARRAY['x', 'y']);
SELECT fit_scorer('score_e', 't', 'y', features => ARRAY['x', 'x']);
SELECT fit_scorer('score_e', 't', 'y', features => ARRAY['x', NULL]);
SELECT fit_scorer('score_e', 't', 'y', features => '{}');
SELECT fit_scorer('score_e', 't', 'y', features => ARRAY['j']);
SELECT fit_scorer('score_e', 't', 'y', key => 'y');
SELECT fit_scorer('score_e', 't', 'y', key => 'c');
SELECT fit_scorer('score_e', 't', 'y', holdout => 1.5);
SELECT fit_scorer('score_e', 't', 'y', holdout => 'NaN');
SELECT fit_scorer('score_e', 't', 'y', holdout_column => 'x');
SELECT fit_scorer('score_e', 't', 'y', holdout_column => 'gappy');
SELECT fit_scorer('score_e', 't', 'y', holdout_column => 'always');
SELECT fit_scorer('score_e', 't', 'y', parameters => '{"l2": -1}');
SELECT fit_scorer('score_e', 't', 'y', parameters => '{"max_categories": -1}');
SELECT fit_scorer('score_e', 't', 'y', parameters => '{"max_categories": 0}');
SELECT fit_scorer('score_e', 'SELECT x, x > 5 AS y FROM t', 'y', parameters => '{"l2": 0}');
SELECT count(*) FROM models WHERE model = 'score_e';

SELECT version FROM fit_scorer('score_e', 't', 'y', features => ARRAY['x', 'c']);
SELECT score('score_unknown', t) FROM t LIMIT 1;
SELECT score(NULL, t) FROM t LIMIT 1;
SELECT score('score_e', ROW(1, 'a'));
SELECT score('score_e', v) FROM (SELECT 1 AS x) AS v;
SELECT score('score_e', v) FROM (SELECT 1 AS x, 2 AS c) AS v;
SELECT score('score_e', v) FROM (SELECT 'a' AS x, 'a' AS c) AS v;
SELECT score('score_e', v) FROM (SELECT 'Infinity'::float8 AS x, 'a' AS c) AS v;
SELECT score('score_e', v) FROM (SELECT 1 AS x, 'a' AS c, 2 AS x) AS v;
SELECT score_batch('score_unknown', t) OVER () FROM t LIMIT 1;
SELECT predict('score_unknown', t) FROM t LIMIT 1;
SELECT holdout_scores('score_unknown');
SELECT holdout_scores(NULL);
SELECT holdout_scores('score_e', 7);
SELECT version, refit_on_all FROM fit_scorer('score_e', 't', 'y', features => ARRAY['x', 'c'], holdout => 0);
SELECT holdout_scores('score_e');
SELECT fit_scorer('score_e', 't', 'y', refit_on_all => NULL);
SELECT export_onnx('score_unknown');
SELECT export_onnx(NULL);
SELECT evaluate('score_e', 't', 'three');
SELECT evaluate('score_e', 'SELECT x, y FROM t', 'y');
SELECT evaluate('score_e', 'SELECT x, c, y FROM t WHERE false', 'y');
SELECT roc_auc(true, 'NaN');

SELECT drop_model('score_e');
