-- Operate: versions and rights of models, refits, and tables that are kept up to date from them.

CREATE FUNCTION persona.activate(model text, version integer) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'activate_wrapper';
COMMENT ON FUNCTION persona.activate(text, integer) IS 'makes a version the one that is used, from the next statement on';

CREATE FUNCTION persona.drop_model(model text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'drop_model_wrapper';
COMMENT ON FUNCTION persona.drop_model(text) IS 'drops a model with all its versions; published tables stay';

CREATE FUNCTION persona.rename_model(model text, new_name text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'rename_model_wrapper';
COMMENT ON FUNCTION persona.rename_model(text, text) IS 'gives a model another name';

CREATE FUNCTION persona.grant_model(model text, role text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'grant_model_wrapper';
COMMENT ON FUNCTION persona.grant_model(text, text) IS 'lets a role, or public, use a model';

CREATE FUNCTION persona.revoke_model(model text, role text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'revoke_model_wrapper';
COMMENT ON FUNCTION persona.revoke_model(text, text) IS 'takes back what grant_model gave';

CREATE FUNCTION persona.refit(model text, force boolean DEFAULT false) RETURNS integer
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'refit_wrapper';
COMMENT ON FUNCTION persona.refit(text, boolean) IS
    'runs the fit again on its source as the owner, publishes again, and returns the new version; keeps the live one when the source has under half its rows';

CREATE FUNCTION persona.publish(model text, target_table text, source text DEFAULT NULL, key text DEFAULT NULL,
    n integer DEFAULT NULL, OUT inserted bigint, OUT updated bigint, OUT deleted bigint)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1 AS 'MODULE_PATHNAME', 'publish_wrapper';
COMMENT ON FUNCTION persona.publish(text, text, text, text, integer) IS
    'writes each customer''s segment, score or top n into a table, by difference; a refit publishes again';

CREATE FUNCTION persona.profile(customer text, OUT model text, OUT kind text, OUT answer text, OUT details jsonb)
RETURNS SETOF record LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 5 AS 'MODULE_PATHNAME', 'profile_wrapper';
COMMENT ON FUNCTION persona.profile(text) IS 'a customer''s portrait: what every published model says, one row each';
