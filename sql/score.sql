-- Score: fitted scorers, evaluated here; imported ONNX graphs, evaluated in a process of their own; and how good scores are.

-- Named models -------------------------------------------------------------------------------------------------------

CREATE FUNCTION persona.fit_scorer(model text, source text, target text, algorithm text DEFAULT 'logistic',
    parameters jsonb DEFAULT '{}', positive text DEFAULT NULL, features text[] DEFAULT NULL, key text DEFAULT NULL,
    holdout double precision DEFAULT 0.2, holdout_column text DEFAULT NULL, seed bigint DEFAULT 0, activate boolean DEFAULT true,
    publish boolean DEFAULT true, refit_on_all boolean DEFAULT false, keep_versions bigint DEFAULT NULL, OUT model text, OUT version integer, OUT algorithm text,
    OUT positive text, OUT n_rows bigint, OUT n_train bigint, OUT n_holdout bigint, OUT roc_auc double precision, OUT average_precision double precision,
    OUT log_loss double precision, OUT brier double precision, OUT accuracy double precision,
    OUT base_rate double precision, OUT refit_on_all boolean)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1
AS 'MODULE_PATHNAME', 'fit_scorer_wrapper';
COMMENT ON FUNCTION persona.fit_scorer(text, text, text, text, jsonb, text, text[], text, double precision, text,
    bigint, boolean, boolean, boolean, bigint) IS
    'learns from a source how probable the target''s positive class is; holdout metrics, and which class is positive. '
    'persona.algorithms lists algorithms and their parameters. The model is the one that '
    'was measured, of the n_train rows; with refit_on_all it learns again from all rows, and nothing has measured that one. '
    'A warning names features that look like identifiers, and one that alone tells the classes of the holdout apart';

CREATE FUNCTION persona.holdout_scores(model text, version bigint DEFAULT NULL, OUT label boolean, OUT score double precision)
RETURNS SETOF record LANGUAGE c STABLE PARALLEL SAFE COST 1000 ROWS 10000
AS 'MODULE_PATHNAME', 'holdout_scores_wrapper';
COMMENT ON FUNCTION persona.holdout_scores(text, bigint) IS
    'the rows that fit_scorer held out: whether each is positive, and its score by the model that had not seen it; up to 100,000 of them. '
    'For those who may read the model. An export does not have them';

CREATE FUNCTION persona.score(model text, features record) RETURNS double precision
LANGUAGE c STABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'persona_score';
COMMENT ON FUNCTION persona.score(text, record) IS
    'probability of the positive class of a row, or its value: score(''model'', t) FROM t; a finite number, or NULL: for a NULL row, '
    'and where an imported graph gives NaN or infinity';

CREATE FUNCTION persona.score_batch(model text, features record) RETURNS double precision
LANGUAGE c STABLE WINDOW PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'persona_score_batch';
COMMENT ON FUNCTION persona.score_batch(text, record) IS
    'as score, for many rows of an imported model: score_batch(''model'', t) OVER () FROM t sends them in batches';

CREATE FUNCTION persona.score_batch(model text, features text) RETURNS double precision
LANGUAGE c STABLE WINDOW PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'persona_score_batch_json';
COMMENT ON FUNCTION persona.score_batch(text, text) IS 'as score, for many rows that are JSON objects, written as text: ''{"column": 1}''';

CREATE FUNCTION persona.score_batch(model text, features jsonb) RETURNS double precision
LANGUAGE c STABLE WINDOW PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'persona_score_batch_jsonb';
COMMENT ON FUNCTION persona.score_batch(text, jsonb) IS 'as score, for many rows that are JSON objects, whose keys are the columns';

CREATE FUNCTION persona.score_batch(model text, features json) RETURNS double precision
LANGUAGE c STABLE WINDOW PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'persona_score_batch_json';
COMMENT ON FUNCTION persona.score_batch(text, json) IS 'as score, for many rows that are JSON objects of type json';

CREATE FUNCTION persona.predict(model text, features record) RETURNS jsonb
LANGUAGE c STABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'predict_wrapper';
COMMENT ON FUNCTION persona.predict(text, record) IS 'every output of the model for a row: label and probabilities';

\row_as_json score score double precision 'the score'
\row_as_json predict predict jsonb 'every output of the model'

CREATE FUNCTION persona.import_onnx(model text, onnx bytea, output text DEFAULT NULL, features text[] DEFAULT NULL,
    activate boolean DEFAULT true, publish boolean DEFAULT true, keep_versions bigint DEFAULT NULL, OUT model text, OUT version integer, OUT algorithm text, OUT features text[],
    OUT output_name text, OUT output_reason text)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1
AS 'MODULE_PATHNAME', 'import_onnx_bytes_wrapper';
COMMENT ON FUNCTION persona.import_onnx(text, bytea, text, text[], boolean, boolean, bigint) IS
    'an ONNX graph as a scorer: one input per column, or one tensor of numbers whose columns are named by features. '
    'The score is the output that output names, else the one that the types, names and nodes of the graph point to; output_reason says why';

CREATE FUNCTION persona.import_onnx(model text, onnx oid, output text DEFAULT NULL, features text[] DEFAULT NULL,
    activate boolean DEFAULT true, publish boolean DEFAULT true, keep_versions bigint DEFAULT NULL, OUT model text, OUT version integer, OUT algorithm text, OUT features text[],
    OUT output_name text, OUT output_reason text)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1
AS 'MODULE_PATHNAME', 'import_onnx_object_wrapper';
COMMENT ON FUNCTION persona.import_onnx(text, oid, text, text[], boolean, boolean, bigint) IS
    'an ONNX graph in a large object as a scorer: up to 1 GB';

CREATE FUNCTION persona.import_onnx(model text, onnx text, output text DEFAULT NULL, features text[] DEFAULT NULL,
    activate boolean DEFAULT true, publish boolean DEFAULT true, keep_versions bigint DEFAULT NULL, OUT model text, OUT version integer, OUT algorithm text, OUT features text[],
    OUT output_name text, OUT output_reason text)
RETURNS SETOF record LANGUAGE sql VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1
BEGIN ATOMIC
    SELECT i.model, i.version, i.algorithm, i.features, i.output_name, i.output_reason
    FROM persona.import_onnx($1, $2::bytea, $3, $4, $5, $6, $7) AS i;
END;
COMMENT ON FUNCTION persona.import_onnx(text, text, text, text[], boolean, boolean, bigint) IS
    'an ONNX graph whose bytes are written as text (''\x08...''), as drivers send a parameter of no type';

CREATE FUNCTION persona.export_onnx(model text) RETURNS bytea
LANGUAGE c STABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'export_onnx_wrapper';
COMMENT ON FUNCTION persona.export_onnx(text) IS
    'the active version as one ONNX graph with one named input per column, where it is fitted by logistic; an imported one as it came';

CREATE FUNCTION persona.evaluate(model text, source text, target text, OUT n_rows bigint, OUT roc_auc double precision,
    OUT average_precision double precision, OUT log_loss double precision, OUT brier double precision,
    OUT accuracy double precision, OUT base_rate double precision)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1
AS 'MODULE_PATHNAME', 'evaluate_wrapper';
COMMENT ON FUNCTION persona.evaluate(text, text, text) IS
    'metrics of the active version on a source, whose target has the classes of the fit. Of an imported graph without names for them a boolean, or 0 and '
    '1, says which rows are positive; of two other values the last in sort order is, as scikit-learn sorts classes, and a NOTICE names it. Rows without a score are left out. log_loss, brier and accuracy are NULL where scores are no probabilities. '
    'It warns who may read the model when more than 1 % of the rows were in the fit, judged by those of which the fit has not seen several alike';

CREATE FUNCTION persona.compare(model text, version bigint, other_version bigint, source text, target text DEFAULT NULL,
    OUT n_rows bigint, OUT roc_auc double precision, OUT other_roc_auc double precision, OUT difference double precision,
    OUT standard_error double precision, OUT z double precision, OUT p_value double precision, OUT log_loss double precision,
    OUT other_log_loss double precision)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1
AS 'MODULE_PATHNAME', 'compare_wrapper';
COMMENT ON FUNCTION persona.compare(text, bigint, bigint, text, text) IS
    'two versions of a scorer over the same rows: whether chance explains the difference of their ROC areas (DeLong 1988)';

-- Curves and tables ---------------------------------------------------------------------------------------------------

CREATE FUNCTION persona.roc_curve(source text, OUT threshold double precision, OUT false_positive_rate double precision,
    OUT true_positive_rate double precision)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1000
AS 'MODULE_PATHNAME', 'roc_curve_wrapper';
COMMENT ON FUNCTION persona.roc_curve(text) IS
    'the corners of the ROC curve of a source with label and score, or of a scorer''s holdout; Fawcett 2006';

CREATE FUNCTION persona.pr_curve(source text, OUT threshold double precision, OUT n bigint, OUT "precision" double precision,
    OUT recall double precision)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1000
AS 'MODULE_PATHNAME', 'pr_curve_wrapper';
COMMENT ON FUNCTION persona.pr_curve(text) IS
    'precision and recall of the n rows from each threshold on, of a source as roc_curve takes it';

CREATE FUNCTION persona.lift_table(source text, bins bigint DEFAULT 10, OUT bin integer, OUT n bigint, OUT positives bigint,
    OUT rate double precision, OUT lift double precision, OUT captured double precision, OUT mean_score double precision)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 10
AS 'MODULE_PATHNAME', 'lift_table_wrapper';
COMMENT ON FUNCTION persona.lift_table(text, bigint) IS
    'rows in bins of equal numbers, highest scores first: rate of positives, lift over all rows, share captured so far';

CREATE FUNCTION persona.calibration(source text, bins bigint DEFAULT 10, OUT bin integer, OUT n bigint,
    OUT mean_score double precision, OUT rate double precision)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 10
AS 'MODULE_PATHNAME', 'calibration_wrapper';
COMMENT ON FUNCTION persona.calibration(text, bigint) IS
    'what was predicted and what came, in bins of equal numbers, the lowest scores first';

CREATE FUNCTION persona.confusion(source text, threshold double precision DEFAULT 0.5, OUT threshold double precision,
    OUT true_positives bigint, OUT false_positives bigint, OUT true_negatives bigint, OUT false_negatives bigint,
    OUT accuracy double precision, OUT "precision" double precision, OUT recall double precision, OUT specificity double precision,
    OUT f1 double precision, OUT mcc double precision)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1
AS 'MODULE_PATHNAME', 'confusion_wrapper';
COMMENT ON FUNCTION persona.confusion(text, double precision) IS
    'how many rows are right and wrong where those from the threshold on count as positive';

CREATE FUNCTION persona.profit_curve(source text, value double precision, cost double precision, max_contacts bigint DEFAULT NULL,
    OUT n bigint, OUT threshold double precision, OUT positives double precision, OUT profit double precision, OUT is_best boolean)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000 ROWS 1000
AS 'MODULE_PATHNAME', 'profit_curve_wrapper';
COMMENT ON FUNCTION persona.profit_curve(text, double precision, double precision, bigint) IS
    'what contacts of the 1, 2, ... best rows bring in: value of each positive less cost of each; is_best is the peak';

CREATE FUNCTION persona.threshold_for(source text, min_precision double precision DEFAULT NULL, min_recall double precision DEFAULT NULL)
RETURNS double precision LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000
AS 'MODULE_PATHNAME', 'threshold_for_wrapper';
COMMENT ON FUNCTION persona.threshold_for(text, double precision, double precision) IS
    'the lowest threshold of at least this precision, or the highest of at least this recall; else NULL';

-- The ONNX process --------------------------------------------------------------------------------------------------

CREATE FUNCTION persona.providers(OUT provider text, OUT is_wanted boolean, OUT is_available boolean, OUT message text)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL RESTRICTED COST 10000 ROWS 3
AS 'MODULE_PATHNAME', 'providers_wrapper';
COMMENT ON FUNCTION persona.providers() IS
    'execution providers: those of persona.onnx_providers and those that ONNX Runtime really has; why one is missing';

CREATE FUNCTION persona.onnx_status(OUT state text, OUT message text, OUT runtime text, OUT process_id integer,
    OUT uptime_seconds bigint, OUT connections integer, OUT models integer, OUT model_bytes bigint,
    OUT memory_bytes bigint, OUT runs bigint, OUT n_rows bigint, OUT cancelled bigint)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL RESTRICTED COST 10000 ROWS 1
AS 'MODULE_PATHNAME', 'onnx_status_wrapper';
COMMENT ON FUNCTION persona.onnx_status() IS 'the ONNX process: ready, or why not; models, memory, runs';

-- Metrics ------------------------------------------------------------------------------------------------------------

CREATE FUNCTION persona.scored_add(internal, label boolean, score double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_scored_add';
COMMENT ON FUNCTION persona.scored_add(internal, boolean, double precision) IS
    'transition function of the metrics over labels and scores';

CREATE FUNCTION persona.scored_roc_auc(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_scored_roc_auc';
COMMENT ON FUNCTION persona.scored_roc_auc(internal) IS 'final function of roc_auc';

CREATE FUNCTION persona.scored_average_precision(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_scored_average_precision';
COMMENT ON FUNCTION persona.scored_average_precision(internal) IS 'final function of average_precision';

CREATE FUNCTION persona.log_loss_add(double precision[], label boolean, score double precision) RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_log_loss_add';
COMMENT ON FUNCTION persona.log_loss_add(double precision[], boolean, double precision) IS 'transition function of log_loss';

CREATE FUNCTION persona.brier_add(double precision[], label boolean, score double precision) RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_brier_add';
COMMENT ON FUNCTION persona.brier_add(double precision[], boolean, double precision) IS 'transition function of brier';

CREATE AGGREGATE persona.roc_auc(label boolean, score double precision) (
    SFUNC = persona.scored_add, STYPE = internal, FINALFUNC = persona.scored_roc_auc, SSPACE = 65536, PARALLEL = SAFE
);
COMMENT ON AGGREGATE persona.roc_auc(boolean, double precision) IS
    'probability that a positive row scores above a negative one; NULL with one class alone';

CREATE AGGREGATE persona.average_precision(label boolean, score double precision) (
    SFUNC = persona.scored_add, STYPE = internal, FINALFUNC = persona.scored_average_precision, SSPACE = 65536,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE persona.average_precision(boolean, double precision) IS
    'precision at each score, weighted by the recall that it adds; equal scores count at once; NULL without a positive row';

CREATE AGGREGATE persona.log_loss(label boolean, score double precision) (
    SFUNC = persona.log_loss_add, STYPE = double precision[], INITCOND = '{0,0,0}',
    COMBINEFUNC = pg_catalog.float8_combine, FINALFUNC = pg_catalog.float8_avg, PARALLEL = SAFE
);
COMMENT ON AGGREGATE persona.log_loss(boolean, double precision) IS
    'mean of -ln(probability given to the class that came); a score is refused outside 0 to 1, and clipped by 1e-15';

CREATE AGGREGATE persona.brier(label boolean, score double precision) (
    SFUNC = persona.brier_add, STYPE = double precision[], INITCOND = '{0,0,0}',
    COMBINEFUNC = pg_catalog.float8_combine, FINALFUNC = pg_catalog.float8_avg, PARALLEL = SAFE
);
COMMENT ON AGGREGATE persona.brier(boolean, double precision) IS 'mean squared difference of probability and outcome; a score is refused outside 0 to 1';

CREATE FUNCTION persona.scored_calibration_error(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_scored_calibration_error';
COMMENT ON FUNCTION persona.scored_calibration_error(internal) IS 'final function of calibration_error';

CREATE AGGREGATE persona.calibration_error(label boolean, score double precision) (
    SFUNC = persona.scored_add, STYPE = internal, FINALFUNC = persona.scored_calibration_error, SSPACE = 65536, PARALLEL = SAFE
);
COMMENT ON AGGREGATE persona.calibration_error(boolean, double precision) IS
    'expected calibration error: mean distance of score and rate in 15 bins of equal numbers (Naeini et al. 2015)';

-- At a threshold: a score from it on counts as positive. The state is that of regr_count and its kin over label and side.

CREATE FUNCTION persona.confusion_add(double precision[], label boolean, score double precision, threshold double precision) RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_confusion_add';
COMMENT ON FUNCTION persona.confusion_add(double precision[], boolean, double precision, double precision) IS
    'transition function of accuracy, precision, recall, f1 and mcc';

CREATE FUNCTION persona.confusion_hits(state double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(state[6] + state[2] * state[4] / NULLIF(state[1], 0));
COMMENT ON FUNCTION persona.confusion_hits(double precision[]) IS 'how many rows of a state of accuracy and its kin are positive and count so; NULL without rows';

\confusion accuracy '(state[1] - state[2] - state[4] + 2 * persona.confusion_hits(state)) / NULLIF(state[1], 0)' 'the share of rows on the right side of the threshold'
\confusion precision 'persona.confusion_hits(state) / NULLIF(state[2], 0)' 'the share of positive rows among those from the threshold on; NULL where there is none'
\confusion recall 'persona.confusion_hits(state) / NULLIF(state[4], 0)' 'the share of the positive rows that reach the threshold; NULL where no row is positive'
\confusion f1 '2 * persona.confusion_hits(state) / NULLIF(state[2] + state[4], 0)' 'the harmonic mean of precision and recall; NULL where no row is positive and none counts so'
\confusion mcc 'state[6] / NULLIF(sqrt(state[3]) * sqrt(state[5]), 0)' 'the correlation of label and side (Matthews 1975); NULL where either has one value alone'

-- Of predictions of a number.

CREATE FUNCTION persona.root_of_mean(state double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE cardinality(state) WHEN 3 THEN sqrt(float8_avg(state)) END;
COMMENT ON FUNCTION persona.root_of_mean(double precision[]) IS 'final function of rmse';

CREATE FUNCTION persona.r2_of_regression(state double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN state[5] > 0 THEN least(1, 1 - (state[3] + state[5] - 2 * state[6] + (state[4] - state[2]) ^ 2 / state[1]) / state[5]) END;
COMMENT ON FUNCTION persona.r2_of_regression(double precision[]) IS 'final function of r2';

CREATE FUNCTION persona.r2_add(double precision[], actual double precision, prediction double precision) RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_r2_add';
COMMENT ON FUNCTION persona.r2_add(double precision[], double precision, double precision) IS 'transition function of r2';

CREATE AGGREGATE persona.r2(actual double precision, prediction double precision) (
    SFUNC = persona.r2_add, STYPE = double precision[], INITCOND = '{0,0,0,0,0,0}',
    COMBINEFUNC = pg_catalog.float8_regr_combine, FINALFUNC = persona.r2_of_regression, PARALLEL = SAFE
);
COMMENT ON AGGREGATE persona.r2(double precision, double precision) IS
    'the share of the variance of the actual values that is explained: 1 at best, 0 as good as their mean';

\mean_loss squared_error 'actual, prediction' rmse persona.root_of_mean 'root mean squared error'
\mean_loss absolute_error 'actual, prediction' mae pg_catalog.float8_avg 'mean absolute error'
\mean_loss percentage_error 'actual, prediction' mape pg_catalog.float8_avg 'mean absolute percentage error, as a share: 0.1 is 10 %; an actual value of 0 is refused'
\mean_loss poisson_deviance 'actual, prediction' poisson_deviance pg_catalog.float8_avg 'mean Poisson deviance of counts, whose predictions are positive'
\mean_loss pinball_loss 'actual, prediction, quantile' pinball pg_catalog.float8_avg 'mean pinball loss of predictions of this quantile (Koenker and Bassett 1978)'
