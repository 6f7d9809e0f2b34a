-- Boosted trees, in everything that a scorer goes through.
SET search_path = persona, public;
\set learner trees
\set algorithm boosted_trees
\set parameters '{"learning_rate": 0.1}'
\i shared/learner.psql

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
