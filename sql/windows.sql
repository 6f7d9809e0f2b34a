-- Standardise over a window: each row's value among those of its frame, whatever frame that is.

CREATE FUNCTION persona.zscore(x double precision) RETURNS double precision
LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_zscore';
COMMENT ON FUNCTION persona.zscore(double precision) IS
    'window function: (x - mean) / population standard deviation of the frame; NULL stays NULL and does not count; 0 in a constant frame';

CREATE FUNCTION persona.minmax(x double precision) RETURNS double precision
LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_minmax';
COMMENT ON FUNCTION persona.minmax(double precision) IS
    'window function: (x - least) / (greatest - least) value of the frame; NULL stays NULL and does not count; 0 in a constant frame';

CREATE FUNCTION persona.robust(x double precision) RETURNS double precision
LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_robust';
COMMENT ON FUNCTION persona.robust(double precision) IS
    'window function: (x - median) / interquartile range of the frame; NULL stays NULL and does not count; divided by 1 where the range is 0';

CREATE FUNCTION persona.winsorize(x double precision, lower double precision, upper double precision) RETURNS double precision
LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'persona_winsorize';
COMMENT ON FUNCTION persona.winsorize(double precision, double precision, double precision) IS
    'window function: x, but no less than the frame''s quantile at lower and no more than that at upper, as 0.05 and 0.95; NULL stays NULL';
