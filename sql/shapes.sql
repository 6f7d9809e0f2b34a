-- Segments of other shapes: dense regions of any outline, over a window; Gaussian mixtures with soft membership.

CREATE FUNCTION persona.dbscan(features double precision[], eps double precision, min_points bigint) RETURNS integer
LANGUAGE c IMMUTABLE WINDOW PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'persona_dbscan_array';
COMMENT ON FUNCTION persona.dbscan(double precision[], double precision, bigint) IS
    'window function: the segment of a row among its partition''s, from 1, the largest first; NULL for noise and where a feature '
    'is NULL. Rows with min_points rows within eps, themselves included, and all rows within eps of these form segments; '
    'a row within reach of two is in that of the nearest such row';

CREATE FUNCTION persona.dbscan(features record, eps double precision, min_points bigint) RETURNS integer
LANGUAGE c STABLE WINDOW PARALLEL RESTRICTED COST 100 AS 'MODULE_PATHNAME', 'persona_dbscan_record';
COMMENT ON FUNCTION persona.dbscan(record, double precision, bigint) IS
    'window function: the segment of a row among its partition''s, one feature per column: dbscan(t, 0.5, 5) OVER () FROM t';

-- Mixtures -----------------------------------------------------------------------------------------------------------

\value_type mixture
COMMENT ON TYPE persona.mixture IS
    'fitted Gaussian mixture: weights, means and covariances of standardised features, log-likelihood, and how the fit ended';

CREATE FUNCTION persona.gaussian_mixture_add(internal, features double precision[], k bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mixture_add_array';
COMMENT ON FUNCTION persona.gaussian_mixture_add(internal, double precision[], bigint) IS
    'transition function of gaussian_mixture';

CREATE FUNCTION persona.gaussian_mixture_add(internal, features double precision[], k bigint, options jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mixture_add_array';
COMMENT ON FUNCTION persona.gaussian_mixture_add(internal, double precision[], bigint, jsonb) IS
    'transition function of gaussian_mixture';

CREATE FUNCTION persona.gaussian_mixture_add(internal, features record, k bigint) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mixture_add_record';
COMMENT ON FUNCTION persona.gaussian_mixture_add(internal, record, bigint) IS
    'transition function of gaussian_mixture';

CREATE FUNCTION persona.gaussian_mixture_add(internal, features record, k bigint, options jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'mixture_add_record';
COMMENT ON FUNCTION persona.gaussian_mixture_add(internal, record, bigint, jsonb) IS
    'transition function of gaussian_mixture';

CREATE FUNCTION persona.gaussian_mixture_final(internal) RETURNS persona.mixture
LANGUAGE c IMMUTABLE PARALLEL RESTRICTED COST 100000 AS 'MODULE_PATHNAME', 'mixture_final';
COMMENT ON FUNCTION persona.gaussian_mixture_final(internal) IS 'final function of gaussian_mixture';

CREATE AGGREGATE persona.gaussian_mixture(features double precision[], k bigint) (
    SFUNC = persona.gaussian_mixture_add, STYPE = internal, SSPACE = 8192, FINALFUNC = persona.gaussian_mixture_final,
    FINALFUNC_MODIFY = READ_ONLY, PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE persona.gaussian_mixture(double precision[], bigint) IS
    'k Gaussian components of feature arrays, which overlap: see membership';

CREATE AGGREGATE persona.gaussian_mixture(features double precision[], k bigint, options jsonb) (
    SFUNC = persona.gaussian_mixture_add, STYPE = internal, SSPACE = 8192, FINALFUNC = persona.gaussian_mixture_final,
    FINALFUNC_MODIFY = READ_ONLY, PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE persona.gaussian_mixture(double precision[], bigint, jsonb) IS
    'k Gaussian components of feature arrays; persona.algorithms lists the options';

CREATE AGGREGATE persona.gaussian_mixture(features record, k bigint) (
    SFUNC = persona.gaussian_mixture_add, STYPE = internal, SSPACE = 8192, FINALFUNC = persona.gaussian_mixture_final,
    FINALFUNC_MODIFY = READ_ONLY, PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE persona.gaussian_mixture(record, bigint) IS
    'k Gaussian components of rows, one feature per column, with the columns'' names: gaussian_mixture(t, 3) FROM t';

CREATE AGGREGATE persona.gaussian_mixture(features record, k bigint, options jsonb) (
    SFUNC = persona.gaussian_mixture_add, STYPE = internal, SSPACE = 8192, FINALFUNC = persona.gaussian_mixture_final,
    FINALFUNC_MODIFY = READ_ONLY, PARALLEL = RESTRICTED
);
COMMENT ON AGGREGATE persona.gaussian_mixture(record, bigint, jsonb) IS
    'k Gaussian components of rows; persona.algorithms lists the options';

CREATE FUNCTION persona.membership(mixture persona.mixture, features double precision[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'mixture_membership_array_wrapper';
COMMENT ON FUNCTION persona.membership(persona.mixture, double precision[]) IS
    'how probable each component is for a row, adding up to 1; NULL where a feature is NULL';

CREATE FUNCTION persona.membership(mixture persona.mixture, features record) RETURNS double precision[]
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'mixture_membership_record_wrapper';
COMMENT ON FUNCTION persona.membership(persona.mixture, record) IS
    'how probable each component is for a row, adding up to 1, its features found by name';

CREATE FUNCTION persona.segment(mixture persona.mixture, features double precision[]) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'mixture_segment_array_wrapper';
COMMENT ON FUNCTION persona.segment(persona.mixture, double precision[]) IS
    'the most probable component of a row, from 1; NULL where a feature is NULL';

CREATE FUNCTION persona.segment(mixture persona.mixture, features record) RETURNS integer
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'mixture_segment_record_wrapper';
COMMENT ON FUNCTION persona.segment(persona.mixture, record) IS
    'the most probable component of a row, from 1, its features found by name';

CREATE FUNCTION persona.log_density(mixture persona.mixture, features double precision[]) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'mixture_log_density_array_wrapper';
COMMENT ON FUNCTION persona.log_density(persona.mixture, double precision[]) IS
    'the log of how densely rows lie where this one is, in the features'' own units: the less, the odder the row; '
    'NULL where a feature is NULL';

CREATE FUNCTION persona.log_density(mixture persona.mixture, features record) RETURNS double precision
LANGUAGE c STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'mixture_log_density_record_wrapper';
COMMENT ON FUNCTION persona.log_density(persona.mixture, record) IS
    'the log of how densely rows lie where this one is, its features found by name: the less, the odder the row';

\features_as_json mixture membership mixture_membership double precision[]
\features_as_json mixture segment mixture_segment integer
\features_as_json mixture log_density mixture_log_density double precision

CREATE FUNCTION persona.components(mixture persona.mixture, OUT segment integer, OUT weight double precision, OUT feature text,
    OUT mean double precision, OUT stddev double precision)
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 50
AS 'MODULE_PATHNAME', 'mixture_components_wrapper';
COMMENT ON FUNCTION persona.components(persona.mixture) IS
    'weight, means and standard deviations of each component in original units, the greatest weight first, one row per feature';
