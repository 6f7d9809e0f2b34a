-- Standardise: summaries and scalers. States of aggregates are SQL types, so they can be stored, merged, computed in
-- parallel and pushed to the shards of a distributed table.

-- Summaries ----------------------------------------------------------------------------------------------------------

CREATE TYPE persona.feature_stats;

CREATE FUNCTION persona.feature_stats_in(cstring) RETURNS persona.feature_stats
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_stats_in_wrapper';
COMMENT ON FUNCTION persona.feature_stats_in(cstring) IS 'input: JSON text of a summary';

CREATE FUNCTION persona.feature_stats_out(persona.feature_stats) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_stats_out_wrapper';
COMMENT ON FUNCTION persona.feature_stats_out(persona.feature_stats) IS 'output: JSON text of a summary';

CREATE TYPE persona.feature_stats (
    INPUT = persona.feature_stats_in, OUTPUT = persona.feature_stats_out,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE persona.feature_stats IS
    'per feature: n, nulls, mean, sums of powered deviations M2 to M4, min, max; mergeable with rollup';

CREATE FUNCTION persona.feature_stats_add(persona.feature_stats, features double precision[])
RETURNS persona.feature_stats LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_stats_add_array';
COMMENT ON FUNCTION persona.feature_stats_add(persona.feature_stats, double precision[]) IS
    'transition function of feature_stats';

CREATE FUNCTION persona.feature_stats_add(persona.feature_stats, features record)
RETURNS persona.feature_stats LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_stats_add_record';
COMMENT ON FUNCTION persona.feature_stats_add(persona.feature_stats, record) IS 'transition function of feature_stats';

CREATE FUNCTION persona.feature_stats_combine(persona.feature_stats, persona.feature_stats)
RETURNS persona.feature_stats LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_stats_combine';
COMMENT ON FUNCTION persona.feature_stats_combine(persona.feature_stats, persona.feature_stats) IS
    'the summary of the rows of both';

CREATE AGGREGATE persona.feature_stats(features double precision[]) (
    SFUNC = persona.feature_stats_add, STYPE = persona.feature_stats,
    COMBINEFUNC = persona.feature_stats_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.feature_stats(double precision[]) IS
    'summary of feature arrays, one feature per element; NULL elements are counted apart';

CREATE AGGREGATE persona.feature_stats(features record) (
    SFUNC = persona.feature_stats_add, STYPE = persona.feature_stats,
    COMBINEFUNC = persona.feature_stats_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.feature_stats(record) IS
    'summary of rows, one feature per numeric column, with the columns'' names: feature_stats(t) FROM t';

CREATE AGGREGATE persona.rollup(persona.feature_stats) (
    SFUNC = persona.feature_stats_combine, STYPE = persona.feature_stats,
    COMBINEFUNC = persona.feature_stats_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.rollup(persona.feature_stats) IS 'merges stored summaries, as of days into a month';

CREATE FUNCTION persona.feature_stats_rows(stats persona.feature_stats, OUT feature text, OUT n bigint, OUT nulls bigint,
    OUT mean double precision, OUT stddev_pop double precision, OUT stddev_samp double precision,
    OUT min double precision, OUT max double precision)
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10
AS 'MODULE_PATHNAME', 'feature_stats_rows_wrapper';
COMMENT ON FUNCTION persona.feature_stats_rows(persona.feature_stats) IS 'a summary as rows, one per feature';

-- Scalers ------------------------------------------------------------------------------------------------------------

CREATE TYPE persona.scaler;

CREATE FUNCTION persona.scaler_in(cstring) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'scaler_in_wrapper';
COMMENT ON FUNCTION persona.scaler_in(cstring) IS 'input: JSON text of a scaler';

CREATE FUNCTION persona.scaler_out(persona.scaler) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'scaler_out_wrapper';
COMMENT ON FUNCTION persona.scaler_out(persona.scaler) IS 'output: JSON text of a scaler';

CREATE TYPE persona.scaler (
    INPUT = persona.scaler_in, OUTPUT = persona.scaler_out, INTERNALLENGTH = VARIABLE, STORAGE = extended
);
COMMENT ON TYPE persona.scaler IS 'a fitted scaler: center and scale of each feature';

CREATE FUNCTION persona.standard_scaler(stats persona.feature_stats) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'standard_scaler_wrapper';
COMMENT ON FUNCTION persona.standard_scaler(persona.feature_stats) IS
    'the scaler to mean 0 and population standard deviation 1, from a summary';

CREATE FUNCTION persona.minmax_scaler(stats persona.feature_stats) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'minmax_scaler_wrapper';
COMMENT ON FUNCTION persona.minmax_scaler(persona.feature_stats) IS
    'the scaler of the least value to 0 and the greatest to 1, from a summary';

CREATE AGGREGATE persona.standard_scaler(features double precision[]) (
    SFUNC = persona.feature_stats_add, STYPE = persona.feature_stats, FINALFUNC = persona.standard_scaler,
    COMBINEFUNC = persona.feature_stats_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.standard_scaler(double precision[]) IS
    'the scaler to mean 0 and population standard deviation 1, from feature arrays';

CREATE AGGREGATE persona.standard_scaler(features record) (
    SFUNC = persona.feature_stats_add, STYPE = persona.feature_stats, FINALFUNC = persona.standard_scaler,
    COMBINEFUNC = persona.feature_stats_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.standard_scaler(record) IS
    'the scaler to mean 0 and population standard deviation 1, from rows whose column names it keeps';

CREATE AGGREGATE persona.minmax_scaler(features double precision[]) (
    SFUNC = persona.feature_stats_add, STYPE = persona.feature_stats, FINALFUNC = persona.minmax_scaler,
    COMBINEFUNC = persona.feature_stats_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.minmax_scaler(double precision[]) IS
    'the scaler of the least value to 0 and the greatest to 1, from feature arrays';

CREATE AGGREGATE persona.minmax_scaler(features record) (
    SFUNC = persona.feature_stats_add, STYPE = persona.feature_stats, FINALFUNC = persona.minmax_scaler,
    COMBINEFUNC = persona.feature_stats_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.minmax_scaler(record) IS
    'the scaler of the least value to 0 and the greatest to 1, from rows whose column names it keeps';

CREATE FUNCTION persona.scale(scaler persona.scaler, features double precision[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'scale_array_wrapper';
COMMENT ON FUNCTION persona.scale(persona.scaler, double precision[]) IS 'the features, scaled; NULL stays NULL';

CREATE FUNCTION persona.scale(scaler persona.scaler, features record) RETURNS double precision[]
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'scale_record_wrapper';
COMMENT ON FUNCTION persona.scale(persona.scaler, record) IS
    'the scaler''s features of the row, found by name and scaled, in the scaler''s order';

CREATE FUNCTION persona.unscale(scaler persona.scaler, features double precision[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'unscale_array_wrapper';
COMMENT ON FUNCTION persona.unscale(persona.scaler, double precision[]) IS 'scaled features in their own units again';

CREATE FUNCTION persona.unscale(scaler persona.scaler, features record) RETURNS double precision[]
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'unscale_record_wrapper';
COMMENT ON FUNCTION persona.unscale(persona.scaler, record) IS
    'scaled features of the row, found by name, in their own units again, in the scaler''s order';
