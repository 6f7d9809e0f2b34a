-- Encode: text and angles as numbers. States of aggregates are SQL types, as those of summaries are.

-- Categories ---------------------------------------------------------------------------------------------------------

\value_type category_levels
COMMENT ON TYPE persona.category_levels IS
    'the levels of a text column with their counts, the most frequent first and equal ones by text (by bytes); mergeable with rollup';

CREATE FUNCTION persona.categories_add(persona.category_levels, value "any") RETURNS persona.category_levels
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'categories_add';
COMMENT ON FUNCTION persona.categories_add(persona.category_levels, "any") IS 'transition function of categories';

CREATE FUNCTION persona.categories_add(persona.category_levels, value "any", max_levels bigint) RETURNS persona.category_levels
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'categories_add';
COMMENT ON FUNCTION persona.categories_add(persona.category_levels, "any", bigint) IS 'transition function of categories with a cap';

CREATE FUNCTION persona.categories_combine(persona.category_levels, persona.category_levels) RETURNS persona.category_levels
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'categories_combine';
COMMENT ON FUNCTION persona.categories_combine(persona.category_levels, persona.category_levels) IS 'the levels of both';

CREATE FUNCTION persona.categories_final(persona.category_levels) RETURNS persona.category_levels
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'categories_final_wrapper';
COMMENT ON FUNCTION persona.categories_final(persona.category_levels) IS 'final function: the state in its smallest form';

CREATE AGGREGATE persona.categories(value "any") (
    SFUNC = persona.categories_add, STYPE = persona.category_levels, FINALFUNC = persona.categories_final,
    COMBINEFUNC = persona.categories_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.categories("any") IS
    'the levels of a column: every one has a place of its own, and a value that is none of them has no place; NULL is skipped. Equal values '
    'are one level: 5 and 5.00, char(n) without the spaces at its end, citext in lower case. Dates and times are written in ISO and UTC';

CREATE AGGREGATE persona.categories(value "any", max_levels bigint) (
    SFUNC = persona.categories_add, STYPE = persona.category_levels, FINALFUNC = persona.categories_final,
    COMBINEFUNC = persona.categories_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.categories("any", bigint) IS
    'the levels of a column, of which the max_levels most frequent have a place of their own; all other values, unknown ones too, share '
    'one more, the last. All levels are counted, so that rollup is exact; NULL is skipped';

CREATE AGGREGATE persona.rollup(persona.category_levels) (
    SFUNC = persona.categories_combine, STYPE = persona.category_levels, FINALFUNC = persona.categories_final,
    COMBINEFUNC = persona.categories_combine, PARALLEL = SAFE, SSPACE = 1024
);
COMMENT ON AGGREGATE persona.rollup(persona.category_levels) IS 'merges stored levels, as of days into a month';

CREATE FUNCTION persona.category_names(categories persona.category_levels) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'category_names_wrapper';
COMMENT ON FUNCTION persona.category_names(persona.category_levels) IS
    'the names of the places, in their order; the shared one is called (other)';

CREATE FUNCTION persona.category_counts(categories persona.category_levels) RETURNS bigint[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'category_counts_wrapper';
COMMENT ON FUNCTION persona.category_counts(persona.category_levels) IS
    'how often each place occurred, in their order';

CREATE FUNCTION persona.most_frequent(categories persona.category_levels) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'most_frequent_wrapper';
COMMENT ON FUNCTION persona.most_frequent(persona.category_levels) IS
    'the most frequent level, to fill in for NULL: coalesce(value, persona.most_frequent(categories))';

CREATE FUNCTION persona.one_hot(categories persona.category_levels, value "any") RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'one_hot_wrapper';
COMMENT ON FUNCTION persona.one_hot(persona.category_levels, "any") IS
    '1 at the value''s place and 0 elsewhere; all 0 for NULL, and for an unknown value when no place is shared, as scikit-learn''s '
    'handle_unknown=ignore';

CREATE FUNCTION persona.one_hot(categories persona.category_levels, value persona.untyped) RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'one_hot_wrapper';
COMMENT ON FUNCTION persona.one_hot(persona.category_levels, persona.untyped) IS 'one_hot of a text';

CREATE FUNCTION persona.ordinal(categories persona.category_levels, value "any") RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'ordinal_wrapper';
COMMENT ON FUNCTION persona.ordinal(persona.category_levels, "any") IS
    'the value''s place from 1, so that category_names has its name there; NULL for NULL, and for an unknown value when no place is shared';

CREATE FUNCTION persona.ordinal(categories persona.category_levels, value persona.untyped) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'ordinal_wrapper';
COMMENT ON FUNCTION persona.ordinal(persona.category_levels, persona.untyped) IS 'ordinal of a text';

-- Target encoding ----------------------------------------------------------------------------------------------------

\value_type target_encoder
COMMENT ON TYPE persona.target_encoder IS
    'per category and fold: n, mean and sum of squared deviations of a target; mergeable with rollup';

CREATE FUNCTION persona.target_encoder_add(persona.target_encoder, category "any", target double precision)
RETURNS persona.target_encoder LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'target_encoder_add';
COMMENT ON FUNCTION persona.target_encoder_add(persona.target_encoder, "any", double precision) IS
    'transition function of target_encoder';

CREATE FUNCTION persona.target_encoder_add(persona.target_encoder, category "any", target double precision, key "any")
RETURNS persona.target_encoder LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'target_encoder_add';
COMMENT ON FUNCTION persona.target_encoder_add(persona.target_encoder, "any", double precision, "any") IS
    'transition function of target_encoder with a key';

CREATE FUNCTION persona.target_encoder_add(persona.target_encoder, category "any", target double precision, key "any", options jsonb)
RETURNS persona.target_encoder LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'target_encoder_add';
COMMENT ON FUNCTION persona.target_encoder_add(persona.target_encoder, "any", double precision, "any", jsonb) IS
    'transition function of target_encoder with a key and options';

CREATE FUNCTION persona.target_encoder_combine(persona.target_encoder, persona.target_encoder) RETURNS persona.target_encoder
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'target_encoder_combine';
COMMENT ON FUNCTION persona.target_encoder_combine(persona.target_encoder, persona.target_encoder) IS 'the rows of both';

CREATE FUNCTION persona.target_encoder_final(persona.target_encoder) RETURNS persona.target_encoder
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'target_encoder_final_wrapper';
COMMENT ON FUNCTION persona.target_encoder_final(persona.target_encoder) IS 'final function: the state in its smallest form';

CREATE AGGREGATE persona.target_encoder(category "any", target double precision) (
    SFUNC = persona.target_encoder_add, STYPE = persona.target_encoder, FINALFUNC = persona.target_encoder_final,
    COMBINEFUNC = persona.target_encoder_combine, PARALLEL = SAFE, SSPACE = 2048
);
COMMENT ON AGGREGATE persona.target_encoder("any", double precision) IS
    'the mean of a target per category, drawn towards the overall mean by the variances (empirical Bayes, as scikit-learn''s '
    'TargetEncoder by default); for use on other rows than those of the fit. A NULL category or target is skipped, and equal values are one category, as for categories';

CREATE AGGREGATE persona.target_encoder(category "any", target double precision, key "any") (
    SFUNC = persona.target_encoder_add, STYPE = persona.target_encoder, FINALFUNC = persona.target_encoder_final,
    COMBINEFUNC = persona.target_encoder_combine, PARALLEL = SAFE, SSPACE = 2048
);
COMMENT ON AGGREGATE persona.target_encoder("any", double precision, "any") IS
    'a target encoder, kept in 5 folds of the rows'' keys, so that encode_target with a key encodes a row of the fit from the other folds';

CREATE AGGREGATE persona.target_encoder(category "any", target double precision, key "any", options jsonb) (
    SFUNC = persona.target_encoder_add, STYPE = persona.target_encoder, FINALFUNC = persona.target_encoder_final,
    COMBINEFUNC = persona.target_encoder_combine, PARALLEL = SAFE, SSPACE = 2048
);
COMMENT ON AGGREGATE persona.target_encoder("any", double precision, "any", jsonb) IS
    'a target encoder in folds, with options: smoothing, auto or the number of rows that the overall mean counts for (Micci-Barreca 2001); folds, 2 to '
    '20; seed of the folds, which are those of persona.fold(key, folds, seed)';

CREATE AGGREGATE persona.rollup(persona.target_encoder) (
    SFUNC = persona.target_encoder_combine, STYPE = persona.target_encoder, FINALFUNC = persona.target_encoder_final,
    COMBINEFUNC = persona.target_encoder_combine, PARALLEL = SAFE, SSPACE = 2048
);
COMMENT ON AGGREGATE persona.rollup(persona.target_encoder) IS 'merges stored target encoders with the same options, as of days into a month';

CREATE FUNCTION persona.encode_target(encoder persona.target_encoder, category "any") RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'encode_target_wrapper';
COMMENT ON FUNCTION persona.encode_target(persona.target_encoder, "any") IS
    'the category''s encoding from all rows of the fit, for new rows; the overall mean for NULL and for an unknown category';

CREATE FUNCTION persona.encode_target(encoder persona.target_encoder, category persona.untyped) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'encode_target_wrapper';
COMMENT ON FUNCTION persona.encode_target(persona.target_encoder, persona.untyped) IS 'encode_target of a category that is a text';

CREATE FUNCTION persona.encode_target(encoder persona.target_encoder, category "any", key "any") RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'encode_target_of_key_wrapper';
COMMENT ON FUNCTION persona.encode_target(persona.target_encoder, "any", "any") IS
    'the category''s encoding from the rows outside of the key''s fold, for rows of the fit: their own target is not in it';

CREATE FUNCTION persona.encode_target(encoder persona.target_encoder, category persona.untyped, key "any") RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'encode_target_of_key_wrapper';
COMMENT ON FUNCTION persona.encode_target(persona.target_encoder, persona.untyped, "any") IS 'encode_target of a category that is a text';

CREATE FUNCTION persona.encode_target(encoder persona.target_encoder, category "any", key persona.untyped) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'encode_target_of_key_wrapper';
COMMENT ON FUNCTION persona.encode_target(persona.target_encoder, "any", persona.untyped) IS 'encode_target of a key that is a text';

CREATE FUNCTION persona.encode_target(encoder persona.target_encoder, category persona.untyped, key persona.untyped) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'encode_target_of_key_wrapper';
COMMENT ON FUNCTION persona.encode_target(persona.target_encoder, persona.untyped, persona.untyped) IS 'encode_target of two texts';

-- Without a fit ------------------------------------------------------------------------------------------------------

CREATE FUNCTION persona.hash_features(texts text[], n bigint) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'hash_features_wrapper';
COMMENT ON FUNCTION persona.hash_features(text[], bigint) IS
    '1 or -1 for each text at one of n places (signed feature hashing, Weinberger et al. 2009), as ARRAY[''city='' || city]; NULL '
    'elements count nothing. The hash is FNV-1a of 64 bits over the UTF-8 bytes, then SplitMix64''s finaliser: the place is '
    'hash * n / 2^64, the sign 1 for an even hash; it never changes';

CREATE FUNCTION persona.cyclic(value double precision, period double precision) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'cyclic_wrapper';
COMMENT ON FUNCTION persona.cyclic(double precision, double precision) IS
    'sine and cosine of a value whose cycle is period long, so that its end is near its start: cyclic(extract(hour FROM at), 24)';

CREATE FUNCTION persona.hour_cycle(at timestamptz) RETURNS double precision[]
LANGUAGE sql STABLE STRICT PARALLEL SAFE RETURN persona.cyclic(extract(epoch FROM at::time)::double precision / 3600, 24);
COMMENT ON FUNCTION persona.hour_cycle(timestamptz) IS 'the time of day as sine and cosine in the session''s time zone, on which it depends: cast at AT TIME ZONE a zone to fix one';

CREATE FUNCTION persona.hour_cycle(at timestamp) RETURNS double precision[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN persona.cyclic(extract(epoch FROM at::time)::double precision / 3600, 24);
COMMENT ON FUNCTION persona.hour_cycle(timestamp) IS 'the time of day as sine and cosine';

CREATE FUNCTION persona.weekday_cycle(at timestamptz) RETURNS double precision[]
LANGUAGE sql STABLE STRICT PARALLEL SAFE RETURN persona.cyclic(extract(isodow FROM at)::double precision, 7);
COMMENT ON FUNCTION persona.weekday_cycle(timestamptz) IS 'the day of the week as sine and cosine in the session''s time zone, on which it depends: cast at AT TIME ZONE a zone to fix one';

CREATE FUNCTION persona.weekday_cycle(at timestamp) RETURNS double precision[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN persona.cyclic(extract(isodow FROM at)::double precision, 7);
COMMENT ON FUNCTION persona.weekday_cycle(timestamp) IS 'the day of the week as sine and cosine';

CREATE FUNCTION persona.month_cycle(at timestamptz) RETURNS double precision[]
LANGUAGE sql STABLE STRICT PARALLEL SAFE RETURN persona.cyclic(extract(month FROM at)::double precision, 12);
COMMENT ON FUNCTION persona.month_cycle(timestamptz) IS 'the month as sine and cosine in the session''s time zone, on which it depends: cast at AT TIME ZONE a zone to fix one';

CREATE FUNCTION persona.month_cycle(at timestamp) RETURNS double precision[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN persona.cyclic(extract(month FROM at)::double precision, 12);
COMMENT ON FUNCTION persona.month_cycle(timestamp) IS 'the month as sine and cosine';

CREATE FUNCTION persona.interactions(features double precision[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'interactions_wrapper';
COMMENT ON FUNCTION persona.interactions(double precision[]) IS
    'the products of each two different features, (1, 2), (1, 3), ..., (2, 3), ...: scikit-learn''s PolynomialFeatures with interaction_only, '
    'without the features themselves; NULL where one is NULL';

CREATE FUNCTION persona.polynomial(features double precision[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10 AS 'MODULE_PATHNAME', 'polynomial_wrapper';
COMMENT ON FUNCTION persona.polynomial(double precision[]) IS
    'the features, then the products of each two, squares among them: (1, 1), (1, 2), ..., (2, 2), ...: scikit-learn''s '
    'PolynomialFeatures of degree 2 without bias; NULL where one is NULL';
