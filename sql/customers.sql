-- Customers: what each one did, from events. States of aggregates are SQL types, as those of summaries are.

-- RFM ----------------------------------------------------------------------------------------------------------------

CREATE TYPE persona.rfm;

CREATE FUNCTION persona.rfm_in(cstring) RETURNS persona.rfm
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_in_wrapper';
COMMENT ON FUNCTION persona.rfm_in(cstring) IS 'input: JSON text of a customer''s purchases';

CREATE FUNCTION persona.rfm_out(persona.rfm) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_out_wrapper';
COMMENT ON FUNCTION persona.rfm_out(persona.rfm) IS 'output: JSON text of a customer''s purchases';

CREATE TYPE persona.rfm (
    INPUT = persona.rfm_in, OUTPUT = persona.rfm_out, INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = plain
);
COMMENT ON TYPE persona.rfm IS
    'a customer''s purchases: how many, the first and last (seconds since 1970 UTC), total amount; mergeable with rollup';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at timestamptz, amount double precision) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, timestamptz, double precision) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_combine(persona.rfm, persona.rfm) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_combine';
COMMENT ON FUNCTION persona.rfm_combine(persona.rfm, persona.rfm) IS 'the purchases of both';

CREATE AGGREGATE persona.rfm(purchased_at timestamptz, amount double precision) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 48
);
COMMENT ON AGGREGATE persona.rfm(timestamptz, double precision) IS
    'a customer''s purchases, one row each: SELECT customer, persona.rfm(at, amount) … GROUP BY customer';

CREATE AGGREGATE persona.rollup(persona.rfm) (
    SFUNC = persona.rfm_combine, STYPE = persona.rfm, COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 48
);
COMMENT ON AGGREGATE persona.rollup(persona.rfm) IS 'merges stored purchases, as of days into a year';

CREATE FUNCTION persona.recency(rfm persona.rfm, as_of timestamptz) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'recency_wrapper';
COMMENT ON FUNCTION persona.recency(persona.rfm, timestamptz) IS 'days from the last purchase to as_of';

CREATE FUNCTION persona.frequency(rfm persona.rfm) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'frequency_wrapper';
COMMENT ON FUNCTION persona.frequency(persona.rfm) IS 'number of purchases';

CREATE FUNCTION persona.monetary(rfm persona.rfm) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'monetary_wrapper';
COMMENT ON FUNCTION persona.monetary(persona.rfm) IS 'total amount of the purchases';

CREATE FUNCTION persona.mean_amount(rfm persona.rfm) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mean_amount_wrapper';
COMMENT ON FUNCTION persona.mean_amount(persona.rfm) IS 'mean amount of a purchase';

CREATE TYPE persona.rfm_scores AS (
    recency_days double precision, frequency bigint, monetary double precision, r integer, f integer, m integer,
    segment text
);
COMMENT ON TYPE persona.rfm_scores IS
    'a customer among the others: days since the last purchase, purchases, amount, a score of 1 to 5 for each, and the name';

CREATE FUNCTION persona.rfm_segment(rfm persona.rfm, as_of timestamptz) RETURNS persona.rfm_scores
LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_segment';
COMMENT ON FUNCTION persona.rfm_segment(persona.rfm, timestamptz) IS
    'window function: the customer''s quintiles and named segment among all rows of the partition';
