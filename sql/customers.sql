-- Customers: what each one did, from events. States of aggregates are SQL types, as those of summaries are.

-- RFM ----------------------------------------------------------------------------------------------------------------

CREATE TYPE persona.rfm;

CREATE FUNCTION persona.rfm_in(cstring) RETURNS persona.rfm
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_in_wrapper';
COMMENT ON FUNCTION persona.rfm_in(cstring) IS 'input: JSON text of a customer''s purchases';

CREATE FUNCTION persona.rfm_out(persona.rfm) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_out_wrapper';
COMMENT ON FUNCTION persona.rfm_out(persona.rfm) IS 'output: JSON text of a customer''s purchases';

CREATE FUNCTION persona.rfm_recv(internal) RETURNS persona.rfm
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_recv_wrapper';
COMMENT ON FUNCTION persona.rfm_recv(internal) IS 'binary input';

CREATE FUNCTION persona.rfm_send(persona.rfm) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_send_wrapper';
COMMENT ON FUNCTION persona.rfm_send(persona.rfm) IS 'binary output';

CREATE TYPE persona.rfm (
    INPUT = persona.rfm_in, OUTPUT = persona.rfm_out, RECEIVE = persona.rfm_recv, SEND = persona.rfm_send,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE persona.rfm IS
    'a customer''s purchases: how many, the first and last (seconds since 1970 UTC), and the amount of each UTC day with purchases '
    '(counted from 1970-01-01); mergeable with rollup';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at timestamptz, amount double precision) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, timestamptz, double precision) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_combine(persona.rfm, persona.rfm) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_combine';
COMMENT ON FUNCTION persona.rfm_combine(persona.rfm, persona.rfm) IS 'the purchases of both';

CREATE FUNCTION persona.rfm_final(persona.rfm) RETURNS persona.rfm
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_final_wrapper';
COMMENT ON FUNCTION persona.rfm_final(persona.rfm) IS 'final function: the state in its smallest form';

CREATE AGGREGATE persona.rfm(purchased_at timestamptz, amount double precision) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(timestamptz, double precision) IS
    'a customer''s purchases, one row each: SELECT customer, persona.rfm(at, amount) ... GROUP BY customer';

CREATE AGGREGATE persona.rollup(persona.rfm) (
    SFUNC = persona.rfm_combine, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rollup(persona.rfm) IS 'merges stored purchases, as of days into a year';

CREATE FUNCTION persona.recency(rfm persona.rfm, as_of timestamptz, unit text DEFAULT 'exact') RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'recency_wrapper';
COMMENT ON FUNCTION persona.recency(persona.rfm, timestamptz, text) IS
    'days from the last purchase to as_of, with their fraction, or with unit day between their UTC calendar days; what the literature '
    'of customer lifetime value calls recency is purchase_span';

CREATE FUNCTION persona.customer_age(rfm persona.rfm, as_of timestamptz, unit text DEFAULT 'exact') RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'customer_age_wrapper';
COMMENT ON FUNCTION persona.customer_age(persona.rfm, timestamptz, text) IS
    'days from the first purchase to as_of (T in the literature of customer lifetime value), exact or, with unit day, of the calendar';

CREATE FUNCTION persona.purchase_span(rfm persona.rfm, unit text DEFAULT 'exact') RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'purchase_span_wrapper';
COMMENT ON FUNCTION persona.purchase_span(persona.rfm, text) IS
    'days from the first purchase to the last (recency in the literature of customer lifetime value), exact or, with unit day, of the '
    'calendar';

CREATE FUNCTION persona.frequency(rfm persona.rfm) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'frequency_wrapper';
COMMENT ON FUNCTION persona.frequency(persona.rfm) IS
    'number of purchases; what the literature of customer lifetime value calls frequency is repeat_days';

CREATE FUNCTION persona.repeat_days(rfm persona.rfm) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'repeat_days_wrapper';
COMMENT ON FUNCTION persona.repeat_days(persona.rfm) IS
    'number of UTC days with purchases after the first such day (frequency in the literature of customer lifetime value)';

CREATE FUNCTION persona.monetary(rfm persona.rfm) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'monetary_wrapper';
COMMENT ON FUNCTION persona.monetary(persona.rfm) IS 'total amount of the purchases';

CREATE FUNCTION persona.mean_amount(rfm persona.rfm) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mean_amount_wrapper';
COMMENT ON FUNCTION persona.mean_amount(persona.rfm) IS 'mean amount of a purchase';

CREATE FUNCTION persona.repeat_amount(rfm persona.rfm) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'repeat_amount_wrapper';
COMMENT ON FUNCTION persona.repeat_amount(persona.rfm) IS
    'mean amount of the days that repeat_days counts (monetary value in the literature of customer lifetime value); NULL without one';

CREATE TYPE persona.rfm_scores AS (
    recency_days double precision, frequency bigint, monetary double precision, r integer, f integer, m integer,
    segment text
);
COMMENT ON TYPE persona.rfm_scores IS
    'a customer among the others: days since the last purchase, purchases, amount, a score from 1 for each (more is better), and the '
    'name of the segment';

CREATE FUNCTION persona.rfm_segment(rfm persona.rfm, as_of timestamptz, bins integer DEFAULT 5) RETURNS persona.rfm_scores
LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_segment';
COMMENT ON FUNCTION persona.rfm_segment(persona.rfm, timestamptz, integer) IS
    'window function: the customer''s scores among all rows of the partition, 1 to bins (quintiles when not given), and its segment, '
    'which is named by quintiles whatever bins are: champions, loyal customers, potential loyalists, new customers, promising, need '
    'attention, about to sleep, at risk, cannot lose them, hibernating, lost. Equal values score equally';

-- Behaviour ----------------------------------------------------------------------------------------------------------

CREATE TYPE persona.behaviour;

CREATE FUNCTION persona.behaviour_in(cstring) RETURNS persona.behaviour
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_in_wrapper';
COMMENT ON FUNCTION persona.behaviour_in(cstring) IS 'input: JSON text of a customer''s events';

CREATE FUNCTION persona.behaviour_out(persona.behaviour) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_out_wrapper';
COMMENT ON FUNCTION persona.behaviour_out(persona.behaviour) IS 'output: JSON text of a customer''s events';

CREATE FUNCTION persona.behaviour_recv(internal) RETURNS persona.behaviour
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_recv_wrapper';
COMMENT ON FUNCTION persona.behaviour_recv(internal) IS 'binary input';

CREATE FUNCTION persona.behaviour_send(persona.behaviour) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_send_wrapper';
COMMENT ON FUNCTION persona.behaviour_send(persona.behaviour) IS 'binary output';

CREATE TYPE persona.behaviour (
    INPUT = persona.behaviour_in, OUTPUT = persona.behaviour_out, RECEIVE = persona.behaviour_recv, SEND = persona.behaviour_send,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE persona.behaviour IS
    'a customer''s events: per kind the UTC days with events (counted from 1970-01-01), each with their number and the sum of their '
    'amounts; mergeable with rollup';

CREATE FUNCTION persona.behaviour_add(persona.behaviour, event text, at timestamptz, amount double precision)
RETURNS persona.behaviour LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_add';
COMMENT ON FUNCTION persona.behaviour_add(persona.behaviour, text, timestamptz, double precision) IS
    'transition function of behaviour';

CREATE FUNCTION persona.behaviour_combine(persona.behaviour, persona.behaviour) RETURNS persona.behaviour
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_combine';
COMMENT ON FUNCTION persona.behaviour_combine(persona.behaviour, persona.behaviour) IS 'the events of both';

CREATE FUNCTION persona.behaviour_final(persona.behaviour) RETURNS persona.behaviour
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_final_wrapper';
COMMENT ON FUNCTION persona.behaviour_final(persona.behaviour) IS 'final function: the state in its smallest form';

CREATE AGGREGATE persona.behaviour(event text, at timestamptz, amount double precision) (
    SFUNC = persona.behaviour_add, STYPE = persona.behaviour, FINALFUNC = persona.behaviour_final,
    COMBINEFUNC = persona.behaviour_combine, PARALLEL = SAFE, SSPACE = 512
);
COMMENT ON AGGREGATE persona.behaviour(text, timestamptz, double precision) IS
    'a customer''s events, one row each, of at most 64 kinds (view, search, cart, purchase, review ...) of at most 63 bytes: '
    'SELECT customer, persona.behaviour(event, at, amount) ... GROUP BY customer; a NULL amount is 0, and a row without a kind or a time '
    'is skipped';

CREATE AGGREGATE persona.rollup(persona.behaviour) (
    SFUNC = persona.behaviour_combine, STYPE = persona.behaviour, FINALFUNC = persona.behaviour_final,
    COMBINEFUNC = persona.behaviour_combine, PARALLEL = SAFE, SSPACE = 512
);
COMMENT ON AGGREGATE persona.rollup(persona.behaviour) IS 'merges stored events, as of days into a year';

CREATE FUNCTION persona.features(behaviour persona.behaviour, as_of timestamptz, kinds text[] DEFAULT NULL,
    OUT feature text, OUT value double precision)
RETURNS SETOF record LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 50 AS 'MODULE_PATHNAME', 'features_wrapper';
COMMENT ON FUNCTION persona.features(persona.behaviour, timestamptz, text[]) IS
    'what a customer did in the whole UTC days before that of as_of, so that nothing of the future is seen. Of all events and of each '
    'kind: active_days, mean_gap and last_gap (days between one active day and the next), days_since_first, days_since_last. Of each '
    'kind K: K_count_W, K_sum_W, K_mean_W for windows W of the last 7, 30 and 90 days and without W overall; K_trend_W, the events of '
    'the last W days less those of the W days before, divided by both, from -1 to 1, 0 without any; A_to_B, events of B per event of '
    'A, for each A before B among the kinds. kinds is view, search, cart, purchase, review and then others by name, of those that the '
    'customer has, when not given. A mean of nothing and a gap of one day are NULL';

CREATE FUNCTION persona.behaviour_vector(behaviour persona.behaviour, as_of timestamptz, kinds text[],
    missing double precision DEFAULT NULL)
RETURNS double precision[] LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'behaviour_vector_wrapper';
COMMENT ON FUNCTION persona.behaviour_vector(persona.behaviour, timestamptz, text[], double precision) IS
    'the values of persona.features as an array of the same length for every customer, a column for fit_segments and fit_scorer; what '
    'is NULL there is missing here';

CREATE FUNCTION persona.behaviour_feature_names(kinds text[]) RETURNS text[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_feature_names_wrapper';
COMMENT ON FUNCTION persona.behaviour_feature_names(text[]) IS 'the names of the elements of behaviour_vector for these kinds';
