-- Naive Bayes, in everything that a scorer goes through.
SET search_path = persona, public;
\set learner bayes
\set algorithm naive_bayes
\set parameters '{"alpha": 0.5}'
\i shared/learner.psql

SELECT export_onnx('bayes');
SELECT fit_scorer('refused', 'visitors', 'bought', 'naive_bayes', '{"l2": 1}');
SELECT fit_scorer('refused', 'visitors', 'bought', 'naive_bayes', '{"alpha": 0}');
SELECT fit_scorer('refused', 'visitors', 'bought', 'naive_bayes', '{"var_smoothing": 0}');
SELECT fit_scorer('refused', 'SELECT * FROM visitors WHERE bought', 'bought', 'naive_bayes');
