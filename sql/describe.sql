-- Describe: what the columns of any query hold.

CREATE FUNCTION persona.describe(source text, bins bigint DEFAULT 10, top bigint DEFAULT 5,
    OUT column_name text, OUT data_type text, OUT n bigint, OUT nulls bigint, OUT not_finite bigint, OUT n_distinct bigint,
    OUT mean double precision, OUT sd double precision, OUT min double precision, OUT q25 double precision,
    OUT median double precision, OUT q75 double precision, OUT max double precision, OUT skew double precision,
    OUT min_text text, OUT q25_text text, OUT median_text text, OUT q75_text text, OUT max_text text, OUT mean_text text,
    OUT outliers_z bigint, OUT outliers_iqr bigint,
    OUT top_values text[], OUT top_counts bigint[], OUT histogram bigint[], OUT sparkline text,
    OUT is_exact boolean)
RETURNS SETOF record LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000000 ROWS 20
AS 'MODULE_PATHNAME', 'describe_wrapper';
COMMENT ON FUNCTION persona.describe(text, bigint, bigint) IS
    'one row per column of a relation or SELECT, from one pass in constant memory (half a megabyte a column). n counts values, NULL '
    'apart; of them not_finite (NaN, infinite) are left out of the rest. Booleans are 0 and 1, intervals seconds. Of dates and '
    'times min_text, q25_text, median_text, q75_text, max_text and mean_text say which (an interval as days of 24 hours); their sd is in seconds, and the '
    'numbers beside these texts are NULL, but for an interval''s; '
    'arrays have only n and nulls, and all other types are taken as text, compared by '
    'bytes. sd is the sample''s, skew the population''s; outliers_z are beyond 3 sd of the mean, outliers_iqr beyond 1.5 times the '
    'quartiles'' distance. min_text, max_text, top_values and n_distinct tell bigint, numeric and times apart that a double cannot. Of '
    'equally frequent values top_values has the least first (texts by their bytes). histogram has equal bins from min to max, as numpy: '
    'a value on an edge counts in the bin that begins there. Up to 8192 distinct values all is exact (is_exact). Beyond, quartiles, '
    'outliers and histogram are counted in buckets (about 0.2 % of the sd wide for normal values, whatever the order of rows), '
    'n_distinct is estimated (standard error 0.8 %), and top_values has the values of more than about 0.3 % of the rows, counted to '
    '0.1 % of the rows; which lesser ones it has, and the last digits of mean, sd and skew, may depend on the order of rows';
