"""Scorers, fitted here and imported, and how good they are."""

from clients.calls import call
from house import ROOT

GRAPH = (ROOT / "tests" / "fixtures" / "onnx" / "columns_logistic.onnx").read_bytes()

SOURCE = "SELECT spend, orders, days_since, converted FROM customers"
ROW = "(SELECT 3::float8 AS days_since, 120::float8 AS spend, 9::float8 AS orders) AS r"
GIVEN = {"days_since": 3, "spend": 120, "orders": 9}

call("fit a scorer", "SELECT * FROM persona.fit_scorer($1, $2, $3)", "new", SOURCE, "converted", is_query=False)
call("fit a scorer, parameters as JSON", "SELECT version, n_train, roc_auc FROM persona.fit_scorer($1, $2, target => $3, parameters => $4, seed => $5, holdout => $6)",
     "new", SOURCE, "converted", {"l2": 10}, 3, 0.3, is_query=False)
call("fit a scorer, parameters as text", "SELECT version, n_train, roc_auc FROM persona.fit_scorer($1, $2, $3, $4, $5)", "new", SOURCE, "converted", "logistic", '{"l2": 10}', is_query=False, is_untyped=True)
call("fit a scorer, features as texts, the rest NULL", "SELECT version, positive, roc_auc FROM persona.fit_scorer($1, $2, $3, positive => $4, features => $5, key => $6, holdout_column => $7, keep_versions => $8)",
     "new", SOURCE, "converted", None, ["spend", "orders"], None, None, None, is_query=False)
call("fit a scorer, the positive class as text", "SELECT version, positive FROM persona.fit_scorer($1, $2, $3, positive => $4, refit_on_all => $5)", "new", SOURCE, "converted", "0", True, is_query=False)

call("score rows", "SELECT id, persona.score('conversion', c) FROM customers AS c WHERE id < $1 ORDER BY id", 5)
call("score rows, the model as a parameter", "SELECT id, persona.score($1, c), persona.predict($2, c) FROM customers AS c WHERE id < $3 ORDER BY id", "conversion", "conversion", 3)
call("score rows in batches", "SELECT id, persona.score_batch($1, c) OVER () FROM customers AS c ORDER BY id LIMIT 3", "conversion")
call("score a typed row", "SELECT persona.score('conversion', r) FROM (SELECT $1::int AS days_since, $2::float8 AS spend, $3::bigint AS orders) AS r", 3, 120.0, 9)
call("score a typed row with a NULL", "SELECT persona.score('conversion', r) FROM (SELECT $1::int AS days_since, $2::float8 AS spend, $3::bigint AS orders) AS r", 3, None, 9)
call("score a row of untyped numbers", "SELECT persona.score('conversion', r), persona.predict('conversion', r) FROM (SELECT $1 AS days_since, $2 AS spend, $3 AS orders) AS r", 3, 120.0, 9,
     literal=f"SELECT persona.score('conversion', r), persona.predict('conversion', r) FROM {ROW}")
call("score a row with an untyped NULL", "SELECT persona.score('conversion', r) FROM (SELECT $1 AS days_since, $2 AS spend, $3 AS orders) AS r", 3, None, 9,
     literal="SELECT persona.score('conversion', r) FROM (SELECT 3 AS days_since, NULL::float8 AS spend, 9 AS orders) AS r")
call("score a row of untyped numbers in a batch", "SELECT persona.score_batch('conversion', r) OVER () FROM (SELECT $1 AS days_since, $2 AS spend, $3 AS orders) AS r", 3, 120.0, 9,
     literal=f"SELECT persona.score('conversion', r) FROM {ROW}")
call("score a row with a text and a number", "SELECT persona.score('channel_conversion', r) FROM (SELECT $1 AS channel, $2 AS spend) AS r", "web", 120.5,
     literal="SELECT persona.score('channel_conversion', r) FROM (SELECT 'web' AS channel, 120.5::float8 AS spend) AS r")
call("score a row with NULL for a text", "SELECT persona.score('channel_conversion', r) FROM (SELECT $1 AS channel, $2::float8 AS spend) AS r", None, 120.5)
call("score JSON", "SELECT persona.score('conversion', $1), persona.predict('conversion', $2)", GIVEN, GIVEN, literal=f"SELECT persona.score('conversion', r), persona.predict('conversion', r) FROM {ROW}")
call("score JSON with a NULL", "SELECT persona.score('conversion', $1)", GIVEN | {"spend": None},
     literal="SELECT persona.score('conversion', r) FROM (SELECT 3 AS days_since, NULL::float8 AS spend, 9 AS orders) AS r")
call("score JSON given as text", "SELECT persona.score('conversion', $1)", '{"days_since": 3, "spend": 120, "orders": 9}', literal=f"SELECT persona.score('conversion', r) FROM {ROW}")
call("score JSON, typed", "SELECT persona.score('conversion', $1::jsonb)", GIVEN, literal=f"SELECT persona.score('conversion', r) FROM {ROW}")
call("score JSON, the model as a parameter", "SELECT persona.score($1, $2)", "conversion", GIVEN, literal=f"SELECT persona.score('conversion', r) FROM {ROW}")
call("score NULL", "SELECT persona.score('conversion', $1), persona.predict('conversion', $2)", None, None, literal="SELECT NULL, NULL")
call("score JSON as a row of a table's type", "SELECT persona.score('conversion', jsonb_populate_record(NULL::customers, $1))", GIVEN, literal=f"SELECT persona.score('conversion', r) FROM {ROW}")
call("score by an imported model", "SELECT persona.score('conversion_onnx', r) FROM (SELECT $1 AS days_since, $2 AS spend, $3 AS orders) AS r", 3, 120.0, 9,
     literal=f"SELECT persona.score('conversion_onnx', r) FROM {ROW}")
call("score JSON by an imported model", "SELECT persona.score('conversion_onnx', $1)", GIVEN, literal=f"SELECT persona.score('conversion_onnx', r) FROM {ROW}")
call("score JSON in batches", "SELECT persona.score_batch('conversion', $1) OVER ()", GIVEN, literal=f"SELECT persona.score('conversion', r) FROM {ROW}")
call("score JSON in batches, by an imported model, typed", "SELECT persona.score_batch('conversion_onnx', $1::jsonb) OVER ()", GIVEN, literal=f"SELECT persona.score('conversion_onnx', r) FROM {ROW}")
call("score rows by an imported model", "SELECT id, persona.score_batch('conversion_onnx', c) OVER () FROM customers AS c ORDER BY id LIMIT $1", 3)

call("what was held out", "SELECT label, score FROM persona.holdout_scores($1) ORDER BY 2, 1 LIMIT 5", "conversion")
call("what was held out, the version", "SELECT count(*), sum(score) FROM persona.holdout_scores($1, $2)", "conversion", 1)
call("what was held out, the version NULL", "SELECT count(*), sum(score) FROM persona.holdout_scores($1, $2)", "conversion", None)
call("measures", """SELECT persona.roc_auc(converted = $1, s), persona.average_precision(converted = $2, s), persona.log_loss(converted = $3, s), persona.brier(converted = $4, s)
    FROM (SELECT converted, persona.score('conversion', c) AS s FROM customers AS c) AS scored""", 1, 1, 1, 1)
call("measures of a boolean parameter", "SELECT persona.brier($1, $2), persona.log_loss($3, $4)", True, 0.75, False, 0.25)
call("measures at a threshold", """SELECT persona.accuracy(label, score, $1), persona.precision(label, score, $2), persona.recall(label, score, $3), persona.f1(label, score, $4),
    persona.mcc(label, score, $5), persona.calibration_error(label, score) FROM persona.holdout_scores('conversion')""", 0.5, 0.5, 0.5, 0.5, 0.5)
call("measures of predictions", """SELECT persona.rmse(spend, $1), persona.mae(spend, $2), persona.mape(spend + 1, $3), persona.r2(spend, $4), persona.pinball(spend, $5, $6),
    persona.poisson_deviance(orders, $7) FROM customers""", 100.0, 100.0, 100.0, 100.0, 100.0, 0.9, 3.0)
call("counts of a state", "SELECT persona.confusion_hits($1::float8[])", [4.0, 2.0, 1.0, 2.0, 1.0, 1.0])
call("curves of a model", "SELECT (SELECT count(*) FROM persona.roc_curve($1)) AS roc, (SELECT count(*) FROM persona.pr_curve($2)) AS pr", "conversion", "conversion", is_query=False)
call("a lift table", "SELECT * FROM persona.lift_table($1, $2)", "conversion", 3, is_query=False)
call("a calibration", "SELECT * FROM persona.calibration($1, bins => $2)", "conversion", 2, is_query=False)
call("a confusion", "SELECT * FROM persona.confusion($1, $2)", "conversion", 0.5, is_query=False)
call("a profit curve, the last argument NULL", "SELECT * FROM persona.profit_curve($1, $2, $3, $4)", "SELECT converted = 1 AS label, spend AS score FROM customers", 10, 4.5, None, is_query=False)
call("a threshold, an argument NULL", "SELECT persona.threshold_for($1, $2, $3)", "conversion", None, 0.5, is_query=False)
call("compare", "SELECT n_rows, difference, p_value FROM persona.compare($1, $2, $3, $4, $5)", "conversion", 1, 1, SOURCE, None, is_query=False)
call("evaluate", "SELECT * FROM persona.evaluate($1, $2, $3)", "conversion", SOURCE, "converted", is_query=False)
call("export a model", "SELECT persona.export_onnx($1)", "conversion")
call("import a model from the server's bytes", "SELECT * FROM persona.import_onnx($1, persona.export_onnx($2))", "new", "conversion", is_query=False)
call("import a model from a file's bytes", "SELECT version, features, output_name FROM persona.import_onnx($1, $2)", "new", GRAPH, is_query=False)
call("import a model from a file's bytes, typed", "SELECT version FROM persona.import_onnx($1, $2::bytea)", "new", GRAPH, is_query=False)
call("import a model from a file's bytes, the rest NULL", "SELECT version FROM persona.import_onnx($1, $2::bytea, $3, $4, keep_versions => $5)", "new", GRAPH, None, None, None, is_query=False)
call("providers", "SELECT provider, is_wanted, is_available FROM persona.providers()")
call("the ONNX process", "SELECT state, models >= 0 AS has_models, memory_bytes >= 0 AS has_memory FROM persona.onnx_status()")
