-- Clean: folds and samples by key, and balanced classes.

CREATE FUNCTION persona.fold(key "any", k bigint, seed bigint DEFAULT 0) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fold_wrapper';
COMMENT ON FUNCTION persona.fold("any", bigint, bigint) IS
    'the fold of a key, 1 to k, each as probable: by a hash of the key''s text (FNV-1a of 64 bits, then SplitMix64) and the seed, which never '
    'changes, so that neither other rows nor their order do; folds of other seeds are independent. A number has the fold of its text, and '
    'equal keys have one: 5 and 5.00, and citext without its case';

CREATE FUNCTION persona.fold(key persona.untyped, k bigint, seed bigint DEFAULT 0) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'fold_wrapper';
COMMENT ON FUNCTION persona.fold(persona.untyped, bigint, bigint) IS 'the fold of a key that is a text';

CREATE FUNCTION persona.keep(key "any", fraction double precision, seed bigint DEFAULT 0) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keep_wrapper';
COMMENT ON FUNCTION persona.keep("any", double precision, bigint) IS
    'whether a key is in the sample of this fraction, by a hash of its text and the seed, which never changes. A key that is kept at '
    'one fraction is kept at every larger one; to keep all rows of a customer give the customer as the key. A number is kept as its text is, '
    'and equal keys alike: 5 and 5.00, and citext without its case';

CREATE FUNCTION persona.keep(key persona.untyped, fraction double precision, seed bigint DEFAULT 0) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'keep_wrapper';
COMMENT ON FUNCTION persona.keep(persona.untyped, double precision, bigint) IS 'whether a key that is a text is in the sample of this fraction';

CREATE FUNCTION persona.copies(label anyelement) RETURNS bigint
LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'copies';
COMMENT ON FUNCTION persona.copies(anyelement) IS
    'window function: how often to take the row so that every class has as many rows as the largest, whatever class that is '
    '(equal labels are one, as 5 and 5.00): '
    'FROM (SELECT *, persona.copies(label) OVER (ORDER BY id) AS n ...) AS t, generate_series(1, n). Which rows of a class are taken once '
    'more than others is by the window''s order, evenly spread; NULL for a NULL label';
