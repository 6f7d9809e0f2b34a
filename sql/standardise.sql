-- Standardise: summaries and scalers. States of aggregates are SQL types, so they can be stored, merged, computed in
-- parallel and pushed to the shards of a distributed table.

-- Summaries ----------------------------------------------------------------------------------------------------------

\value_type feature_stats
COMMENT ON TYPE persona.feature_stats IS
    'per feature: n, nulls, mean (and what its last digit leaves out), sums of powered deviations M2 to M4 (null beyond the '
    'floats), min, max; mergeable with rollup, also with summaries whose columns are in another order';

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
    OUT min double precision, OUT max double precision, OUT skewness double precision, OUT kurtosis double precision)
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10
AS 'MODULE_PATHNAME', 'feature_stats_rows_wrapper';
COMMENT ON FUNCTION persona.feature_stats_rows(persona.feature_stats) IS 'a summary as rows, one per feature';

CREATE FUNCTION persona.mean(stats persona.feature_stats) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'stats_mean_wrapper';
COMMENT ON FUNCTION persona.mean(persona.feature_stats) IS
    'the mean of each feature of a summary; NULL where it had no value';

CREATE FUNCTION persona.stddev_pop(stats persona.feature_stats) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'stats_stddev_pop_wrapper';
COMMENT ON FUNCTION persona.stddev_pop(persona.feature_stats) IS
    'the population standard deviation of each feature: square root of M2 / n';

CREATE FUNCTION persona.stddev_samp(stats persona.feature_stats) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'stats_stddev_samp_wrapper';
COMMENT ON FUNCTION persona.stddev_samp(persona.feature_stats) IS
    'the sample standard deviation of each feature: square root of M2 / (n - 1); NULL with fewer than two values';

CREATE FUNCTION persona.skewness(stats persona.feature_stats) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'stats_skewness_wrapper';
COMMENT ON FUNCTION persona.skewness(persona.feature_stats) IS
    'the skewness of each feature: third standardised moment of the population (g1); NULL for a constant feature';

CREATE FUNCTION persona.kurtosis(stats persona.feature_stats) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'stats_kurtosis_wrapper';
COMMENT ON FUNCTION persona.kurtosis(persona.feature_stats) IS
    'the excess kurtosis of each feature: fourth standardised moment of the population less 3 (g2); NULL for a constant feature';

-- Quantiles ----------------------------------------------------------------------------------------------------------

\value_type feature_quantiles
COMMENT ON TYPE persona.feature_quantiles IS
    'per feature: the distinct values with their counts while there are at most 1280, and quantiles are exact; beyond them a t-digest '
    'in which frequent values still stand alone, and the rank of a quantile is off by at most 0.2 % of the rows; mergeable with rollup';

CREATE FUNCTION persona.feature_quantiles_add(persona.feature_quantiles, features double precision[])
RETURNS persona.feature_quantiles LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_quantiles_add_array';
COMMENT ON FUNCTION persona.feature_quantiles_add(persona.feature_quantiles, double precision[]) IS
    'transition function of feature_quantiles';

CREATE FUNCTION persona.feature_quantiles_add(persona.feature_quantiles, features record)
RETURNS persona.feature_quantiles LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_quantiles_add_record';
COMMENT ON FUNCTION persona.feature_quantiles_add(persona.feature_quantiles, record) IS
    'transition function of feature_quantiles';

CREATE FUNCTION persona.feature_quantiles_combine(persona.feature_quantiles, persona.feature_quantiles)
RETURNS persona.feature_quantiles LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_quantiles_combine';
COMMENT ON FUNCTION persona.feature_quantiles_combine(persona.feature_quantiles, persona.feature_quantiles) IS
    'the quantiles of the rows of both';

CREATE FUNCTION persona.feature_quantiles_final(persona.feature_quantiles) RETURNS persona.feature_quantiles
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_quantiles_final_wrapper';
COMMENT ON FUNCTION persona.feature_quantiles_final(persona.feature_quantiles) IS
    'final function of feature_quantiles: the state without room for more rows';

CREATE AGGREGATE persona.feature_quantiles(features double precision[]) (
    SFUNC = persona.feature_quantiles_add, STYPE = persona.feature_quantiles, FINALFUNC = persona.feature_quantiles_final,
    COMBINEFUNC = persona.feature_quantiles_combine, PARALLEL = SAFE, SSPACE = 4096
);
COMMENT ON AGGREGATE persona.feature_quantiles(double precision[]) IS
    'quantiles of feature arrays, one feature per element; NULL elements are counted apart';

CREATE AGGREGATE persona.feature_quantiles(features record) (
    SFUNC = persona.feature_quantiles_add, STYPE = persona.feature_quantiles, FINALFUNC = persona.feature_quantiles_final,
    COMBINEFUNC = persona.feature_quantiles_combine, PARALLEL = SAFE, SSPACE = 4096
);
COMMENT ON AGGREGATE persona.feature_quantiles(record) IS
    'quantiles of rows, one feature per numeric column, with the columns'' names: feature_quantiles(t) FROM t';

CREATE AGGREGATE persona.rollup(persona.feature_quantiles) (
    SFUNC = persona.feature_quantiles_combine, STYPE = persona.feature_quantiles, FINALFUNC = persona.feature_quantiles_final,
    COMBINEFUNC = persona.feature_quantiles_combine, PARALLEL = SAFE, SSPACE = 4096
);
COMMENT ON AGGREGATE persona.rollup(persona.feature_quantiles) IS
    'merges stored quantiles, as of days into a month';

CREATE FUNCTION persona.quantile(quantiles persona.feature_quantiles, q double precision) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'quantile_wrapper';
COMMENT ON FUNCTION persona.quantile(persona.feature_quantiles, double precision) IS
    'the quantile of each feature at q in 0 to 1: linear interpolation between order statistics, as percentile_cont';

CREATE FUNCTION persona.median(quantiles persona.feature_quantiles) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'median_wrapper';
COMMENT ON FUNCTION persona.median(persona.feature_quantiles) IS
    'the median of each feature';

CREATE FUNCTION persona.quantile_bins(quantiles persona.feature_quantiles, n bigint, OUT feature text,
    OUT edges double precision[])
RETURNS SETOF record LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10 AS 'MODULE_PATHNAME', 'quantile_bins_wrapper';
COMMENT ON FUNCTION persona.quantile_bins(persona.feature_quantiles, bigint) IS
    'per feature the inner edges of n bins of equally many rows, for width_bucket(x, edges); equal edges are one';

-- Scalers ------------------------------------------------------------------------------------------------------------

\value_type scaler
COMMENT ON TYPE persona.scaler IS 'a fitted scaler: center and scale of each feature';

CREATE FUNCTION persona.standard_scaler(stats persona.feature_stats) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'standard_scaler_wrapper';
COMMENT ON FUNCTION persona.standard_scaler(persona.feature_stats) IS
    'the scaler to mean 0 and population standard deviation 1, from a summary';

CREATE FUNCTION persona.minmax_scaler(stats persona.feature_stats) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'minmax_scaler_wrapper';
COMMENT ON FUNCTION persona.minmax_scaler(persona.feature_stats) IS
    'the scaler of the least value to 0 and the greatest to 1, from a summary';

CREATE FUNCTION persona.minmax_scaler(stats persona.feature_stats, low double precision, high double precision) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'minmax_scaler_to_wrapper';
COMMENT ON FUNCTION persona.minmax_scaler(persona.feature_stats, double precision, double precision) IS
    'the scaler of the least value to low and the greatest to high, from a summary';

CREATE FUNCTION persona.maxabs_scaler(stats persona.feature_stats) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'maxabs_scaler_wrapper';
COMMENT ON FUNCTION persona.maxabs_scaler(persona.feature_stats) IS
    'the scaler of the greatest absolute value to 1, from a summary; 0 stays 0';

CREATE FUNCTION persona.robust_scaler(quantiles persona.feature_quantiles) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'robust_scaler_wrapper';
COMMENT ON FUNCTION persona.robust_scaler(persona.feature_quantiles) IS
    'the scaler to median 0 and interquartile range 1, from quantiles';

CREATE FUNCTION persona.log1p_scaler(quantiles persona.feature_quantiles) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'log1p_scaler_wrapper';
COMMENT ON FUNCTION persona.log1p_scaler(persona.feature_quantiles) IS
    'ln(1 + x), then mean 0 and standard deviation 1, from quantiles; NULL for a value of -1 and below';

CREATE FUNCTION persona.yeo_johnson_scaler(quantiles persona.feature_quantiles) RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'yeo_johnson_scaler_wrapper';
COMMENT ON FUNCTION persona.yeo_johnson_scaler(persona.feature_quantiles) IS
    'the power of Yeo and Johnson (2000) that makes each feature most like a normal distribution, then mean 0 and standard deviation 1, from quantiles';

CREATE FUNCTION persona.quantile_scaler(quantiles persona.feature_quantiles, distribution text DEFAULT 'uniform') RETURNS persona.scaler
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'quantile_scaler_wrapper';
COMMENT ON FUNCTION persona.quantile_scaler(persona.feature_quantiles, text) IS
    'the share of values below, by 1000 quantiles, as it is (uniform) or made normal (normal); the middle share of equal values';

\scaler_of feature_stats standard_scaler 'the scaler to mean 0 and population standard deviation 1'
\scaler_of feature_stats minmax_scaler 'the scaler of the least value to 0 and the greatest to 1'
\scaler_of feature_stats maxabs_scaler 'the scaler of the greatest absolute value to 1'
\scaler_of feature_quantiles robust_scaler 'the scaler to median 0 and interquartile range 1'
\scaler_of feature_quantiles log1p_scaler 'ln(1 + x), then mean 0 and standard deviation 1'
\scaler_of feature_quantiles yeo_johnson_scaler 'Yeo and Johnson''s power of the greatest likelihood, then mean 0 and standard deviation 1'

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

\features_as_json scaler scale scale double precision[]
\features_as_json scaler unscale unscale double precision[]

-- Missing values and outliers -----------------------------------------------------------------------------------------

CREATE FUNCTION persona.impute(features double precision[], fill double precision[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'impute_wrapper';
COMMENT ON FUNCTION persona.impute(double precision[], double precision[]) IS
    'the features with each NULL replaced by the value in its place in fill: the mean of a summary, the median of quantiles, constants';

CREATE FUNCTION persona.zscore_outliers(features double precision[], stats persona.feature_stats, threshold double precision DEFAULT 3) RETURNS boolean[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'zscore_outliers_wrapper';
COMMENT ON FUNCTION persona.zscore_outliers(double precision[], persona.feature_stats, double precision) IS
    'which features lie more than threshold population standard deviations from the mean of a summary; NULL stays NULL';

CREATE FUNCTION persona.iqr_outliers(features double precision[], quantiles persona.feature_quantiles, factor double precision DEFAULT 1.5) RETURNS boolean[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'iqr_outliers_wrapper';
COMMENT ON FUNCTION persona.iqr_outliers(double precision[], persona.feature_quantiles, double precision) IS
    'which features lie more than factor interquartile ranges below the first quartile or above the third; NULL stays NULL';
