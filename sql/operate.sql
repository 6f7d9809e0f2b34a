-- Operate: versions and rights of models, refits, and tables that are kept up to date from them.

CREATE FUNCTION persona.activate(model text, version bigint, publish boolean DEFAULT true) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'activate_wrapper';
COMMENT ON FUNCTION persona.activate(text, bigint, boolean) IS
    'makes a version the one that is used, from the next statement on, and writes the published tables again';

CREATE FUNCTION persona.drop_version(model text, version bigint) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'drop_version_wrapper';
COMMENT ON FUNCTION persona.drop_version(text, bigint) IS
    'drops a version that is not the active one, with all that it knows of its rows; the model''s later versions are not numbered so again';

CREATE FUNCTION persona.drop_model(model text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'drop_model_wrapper';
COMMENT ON FUNCTION persona.drop_model(text) IS 'drops a model with all its versions; published tables stay';

CREATE FUNCTION persona.rename_model(model text, new_name text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'rename_model_wrapper';
COMMENT ON FUNCTION persona.rename_model(text, text) IS 'gives a model another name';

CREATE FUNCTION persona.grant_model(model text, role text, privilege text DEFAULT 'use') RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'grant_model_wrapper';
COMMENT ON FUNCTION persona.grant_model(text, text, text) IS
    'lets a role, or public, use a model; with ''read'' also read its source, parameters, bytes and all its keys';

CREATE FUNCTION persona.revoke_model(model text, role text, privilege text DEFAULT 'use') RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'revoke_model_wrapper';
COMMENT ON FUNCTION persona.revoke_model(text, text, text) IS
    'takes back what grant_model gave: all of it, or with ''read'' the right to read';

CREATE FUNCTION persona.grant_models(owner text, role text, privilege text DEFAULT 'use') RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'grant_models_wrapper';
COMMENT ON FUNCTION persona.grant_models(text, text, text) IS
    'grant_model on every model that a role owns now, and how many these are; models to come are not among them';

CREATE FUNCTION persona.revoke_models(owner text, role text, privilege text DEFAULT 'use') RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'revoke_models_wrapper';
COMMENT ON FUNCTION persona.revoke_models(text, text, text) IS 'revoke_model on every model that a role owns now, and how many these are';

CREATE FUNCTION persona.set_owner(model text, role text, keep_sources boolean DEFAULT NULL) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'set_owner_wrapper';
COMMENT ON FUNCTION persona.set_owner(text, text, boolean) IS
    'gives a model to a role that the caller could SET ROLE to. A refit runs the model''s sources as the new owner: from a superuser '
    'it goes without its sources and publications unless keep_sources is true; published tables stay as they are';

CREATE FUNCTION persona.refit(model text, force boolean DEFAULT false, max_loss double precision DEFAULT 0.1, wait boolean DEFAULT false,
    publish boolean DEFAULT true)
RETURNS integer LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'refit_wrapper';
COMMENT ON FUNCTION persona.refit(text, boolean, double precision, boolean, boolean) IS
    'runs the fit again on its source as the owner, publishes again, and returns the new version; unless forced it keeps the '
    'live one when the source has under half its rows, or silhouette, roc_auc or ndcg_at_10 would fall by more than max_loss. '
    'NULL when another session has the model and wait is false';

CREATE FUNCTION persona.in_transaction_block() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'in_transaction_block_wrapper';
COMMENT ON FUNCTION persona.in_transaction_block() IS 'whether the statement is one of several between BEGIN and COMMIT';

CREATE FUNCTION persona.log_refit_failure(model text, started_at timestamptz, sqlstate text, error text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'log_refit_failure_wrapper';
COMMENT ON FUNCTION persona.log_refit_failure(text, timestamptz, text, text) IS
    'for refit_job: keeps an error in persona.refit_log, where the caller has the owner''s rights';

CREATE PROCEDURE persona.refit_job(model text, force boolean DEFAULT false, max_loss double precision DEFAULT 0.1)
LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := pg_catalog.clock_timestamp();
    state text;
    problem text;
    details text;
    advice text;
BEGIN
    IF persona.in_transaction_block() THEN
        RAISE EXCEPTION USING ERRCODE = '25001', MESSAGE = 'refit_job cannot run inside a transaction block',
            HINT = 'Use SELECT persona.refit(...) there: its errors are logged nowhere.';
    END IF;
    BEGIN
        PERFORM persona.refit(model, force, max_loss);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, problem = MESSAGE_TEXT, details = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
    END;
    PERFORM persona.log_refit_failure(model, began, state, problem);
    COMMIT;
    IF advice OPERATOR(pg_catalog.=) '' THEN
        advice := 'The view persona.refit_log has the runs of each model.';
    END IF;
    IF details OPERATOR(pg_catalog.=) '' THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = problem, HINT = advice;
    END IF;
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = problem, DETAIL = details, HINT = advice;
END
$$;
COMMENT ON PROCEDURE persona.refit_job(text, boolean, double precision) IS
    'refit for a scheduled job: an error is kept in persona.refit_log before it is raised. CALL it outside a transaction block';

CREATE FUNCTION persona.publish(model text, target_table text, source text DEFAULT NULL, key text DEFAULT NULL,
    n bigint DEFAULT NULL, history_table text DEFAULT NULL, OUT inserted bigint, OUT updated bigint, OUT deleted bigint)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'publish_wrapper';
COMMENT ON FUNCTION persona.publish(text, text, text, text, bigint, text) IS
    'writes each customer''s segment, score or top n into a table, by difference; a refit publishes again. history_table keeps '
    'when each customer entered a segment (entered_at) and left it (left_at). source, key and n are by default those of the publication, '
    'if the table is one, or else of the fit; n is of a recommender, and source is not. A key of citext is written as citext, so that equal keys have one row. A row''s since and version say when it last changed, and by which version';

CREATE FUNCTION persona.unpublish(model text, target_table text) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'unpublish_wrapper';
COMMENT ON FUNCTION persona.unpublish(text, text) IS
    'no longer keeps the table up to date from the model: false if it was not. The table and its history stay';

CREATE FUNCTION persona.segment_changes(model text, since timestamptz DEFAULT '-infinity', OUT key text,
    OUT from_segment integer, OUT to_segment integer, OUT changed_at timestamptz)
RETURNS SETOF record LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 1000
AS 'MODULE_PATHNAME', 'segment_changes_wrapper';
COMMENT ON FUNCTION persona.segment_changes(text, timestamptz) IS
    'who moved from one segment of a model to another from then on, or left them (to_segment is NULL), by the history_table of publish. '
    'Who comes into his first segment, or back into one, has moved from none: the history_table has when';

CREATE FUNCTION persona.profile(customer text, OUT model text, OUT kind text, OUT answer text, OUT details jsonb)
RETURNS SETOF record LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 5 AS 'MODULE_PATHNAME', 'profile_wrapper';
COMMENT ON FUNCTION persona.profile(text) IS 'a customer''s portrait: what every published model says, one row each';

CREATE FUNCTION persona.profile(customer bigint, OUT model text, OUT kind text, OUT answer text, OUT details jsonb)
RETURNS SETOF record LANGUAGE sql STABLE STRICT PARALLEL RESTRICTED ROWS 5
BEGIN ATOMIC
    SELECT p.model, p.kind, p.answer, p.details FROM persona.profile(customer::text) AS p;
END;
COMMENT ON FUNCTION persona.profile(bigint) IS 'the portrait of a customer whose key is a whole number';
