-- Customers: what each one did, from events. States of aggregates are SQL types, as those of summaries are.

-- RFM ----------------------------------------------------------------------------------------------------------------

\value_type rfm
COMMENT ON TYPE persona.rfm IS
    'a customer''s purchases: the time zone of their days, and of each its time (microseconds since 2000-01-01) and its amount; '
    'mergeable with rollup';

-- Transition functions: of each type of time, without and with a time zone, and with the order that a row is a line of.

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at timestamptz, amount double precision) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, timestamptz, double precision) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at timestamptz, amount double precision, zone text) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, timestamptz, double precision, text) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at timestamptz, amount double precision, zone text, order_id anyelement) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, timestamptz, double precision, text, anyelement) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at timestamp, amount double precision) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add_timestamp';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, timestamp, double precision) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at timestamp, amount double precision, zone text) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add_timestamp';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, timestamp, double precision, text) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at timestamp, amount double precision, zone text, order_id anyelement) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add_timestamp';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, timestamp, double precision, text, anyelement) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at date, amount double precision) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add_date';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, date, double precision) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at date, amount double precision, zone text) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add_date';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, date, double precision, text) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_add(persona.rfm, purchased_at date, amount double precision, zone text, order_id anyelement) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_add_date';
COMMENT ON FUNCTION persona.rfm_add(persona.rfm, date, double precision, text, anyelement) IS 'transition function of rfm';

CREATE FUNCTION persona.rfm_combine(persona.rfm, persona.rfm) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_combine';
COMMENT ON FUNCTION persona.rfm_combine(persona.rfm, persona.rfm) IS 'the purchases of both, which are of one time zone';

CREATE FUNCTION persona.rfm_combine_in(persona.rfm, persona.rfm, zone text) RETURNS persona.rfm
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_combine_in';
COMMENT ON FUNCTION persona.rfm_combine_in(persona.rfm, persona.rfm, text) IS 'the purchases of both, with the days of this time zone';

CREATE FUNCTION persona.rfm_final(persona.rfm) RETURNS persona.rfm
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_final_wrapper';
COMMENT ON FUNCTION persona.rfm_final(persona.rfm) IS 'final function: the state in its smallest form';

-- SSPACE is what twenty purchases take while they are collected: a block of 256 bytes.

CREATE AGGREGATE persona.rfm(purchased_at timestamptz, amount double precision) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(timestamptz, double precision) IS
    'a customer''s purchases, one row each: SELECT customer, persona.rfm(at, amount) ... GROUP BY customer. Days are those of UTC. A row '
    'without a time is skipped; one without an amount is a purchase and adds nothing to the amount';

CREATE AGGREGATE persona.rfm(purchased_at timestamptz, amount double precision, zone text) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(timestamptz, double precision, text) IS
    'a customer''s purchases, whose days are those of a time zone (UTC where it is NULL): persona.rfm(at, amount, ''Europe/Berlin'')';

CREATE AGGREGATE persona.rfm(purchased_at timestamptz, amount double precision, zone text, order_id anyelement) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(timestamptz, double precision, text, anyelement) IS
    'a customer''s purchases from the lines of orders: the lines of one order are one purchase, at the time of the first, with the sum '
    'of their amounts; a line without an order is a purchase. What one call does not see of an order, rollup takes as another purchase';

CREATE AGGREGATE persona.rfm(purchased_at timestamp, amount double precision) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(timestamp, double precision) IS
    'a customer''s purchases at times without a time zone, counted as they are, whatever the session''s time zone is';

CREATE AGGREGATE persona.rfm(purchased_at timestamp, amount double precision, zone text) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(timestamp, double precision, text) IS
    'a customer''s purchases at the times that clocks show in this time zone';

CREATE AGGREGATE persona.rfm(purchased_at timestamp, amount double precision, zone text, order_id anyelement) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(timestamp, double precision, text, anyelement) IS
    'a customer''s purchases from the lines of orders, at the times that clocks show in this time zone; without one where it is NULL';

CREATE AGGREGATE persona.rfm(purchased_at date, amount double precision) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(date, double precision) IS
    'a customer''s purchases of days, counted from midnight to midnight, whatever the session''s time zone is';

CREATE AGGREGATE persona.rfm(purchased_at date, amount double precision, zone text) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(date, double precision, text) IS
    'a customer''s purchases of days of this time zone';

CREATE AGGREGATE persona.rfm(purchased_at date, amount double precision, zone text, order_id anyelement) (
    SFUNC = persona.rfm_add, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rfm(date, double precision, text, anyelement) IS
    'a customer''s purchases of days from the lines of orders; without a time zone where it is NULL';

CREATE AGGREGATE persona.rollup(persona.rfm) (
    SFUNC = persona.rfm_combine, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rollup(persona.rfm) IS
    'merges stored purchases, as of days into a year; those of two time zones are refused, unless rollup is given one';

CREATE AGGREGATE persona.rollup(persona.rfm, zone text) (
    SFUNC = persona.rfm_combine_in, STYPE = persona.rfm, FINALFUNC = persona.rfm_final,
    COMBINEFUNC = persona.rfm_combine, PARALLEL = SAFE, SSPACE = 256
);
COMMENT ON AGGREGATE persona.rollup(persona.rfm, text) IS
    'merges stored purchases of any time zones into those of one; times without a time zone are taken as those of its clocks';

-- Figures at a time. What comes after as_of does not count, to the microsecond; what is at it does. A date is its midnight. Where
-- a timestamptz meets purchases without a time zone, it is read on the session's clock, as PostgreSQL's casts do: so these forms
-- are STABLE.

CREATE FUNCTION persona.recency(rfm persona.rfm, as_of timestamptz, unit text DEFAULT 'exact', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'recency_wrapper';
COMMENT ON FUNCTION persona.recency(persona.rfm, timestamptz, text, text) IS
    'days from the last purchase until as_of to as_of, with their fraction, or with unit day between their calendar days; what the literature '
    'of customer lifetime value calls recency is purchase_span. '
    'Refunds: what a negative amount is: a purchase (count), less money (net), or nothing (ignore)';

CREATE FUNCTION persona.recency(rfm persona.rfm, as_of timestamp, unit text DEFAULT 'exact', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'recency_timestamp_wrapper';
COMMENT ON FUNCTION persona.recency(persona.rfm, timestamp, text, text) IS
    'recency at a timestamp of the clocks of the purchases'' time zone';

CREATE FUNCTION persona.recency(rfm persona.rfm, as_of date, unit text DEFAULT 'exact', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'recency_date_wrapper';
COMMENT ON FUNCTION persona.recency(persona.rfm, date, text, text) IS
    'recency at a date: its midnight in the purchases'' time zone';

CREATE FUNCTION persona.customer_age(rfm persona.rfm, as_of timestamptz, unit text DEFAULT 'exact', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'customer_age_wrapper';
COMMENT ON FUNCTION persona.customer_age(persona.rfm, timestamptz, text, text) IS
    'days from the first purchase to as_of (T in the literature of customer lifetime value), exact or, with unit day, of the calendar; '
    'NULL where it comes after as_of. '
    'Refunds: what a negative amount is: a purchase (count), less money (net), or nothing (ignore)';

CREATE FUNCTION persona.customer_age(rfm persona.rfm, as_of timestamp, unit text DEFAULT 'exact', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'customer_age_timestamp_wrapper';
COMMENT ON FUNCTION persona.customer_age(persona.rfm, timestamp, text, text) IS
    'customer_age at a timestamp of the clocks of the purchases'' time zone';

CREATE FUNCTION persona.customer_age(rfm persona.rfm, as_of date, unit text DEFAULT 'exact', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'customer_age_date_wrapper';
COMMENT ON FUNCTION persona.customer_age(persona.rfm, date, text, text) IS
    'customer_age at a date: its midnight in the purchases'' time zone';

CREATE FUNCTION persona.purchase_span(rfm persona.rfm, as_of timestamptz DEFAULT 'infinity', unit text DEFAULT 'exact', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'purchase_span_until_wrapper';
COMMENT ON FUNCTION persona.purchase_span(persona.rfm, timestamptz, text, text) IS
    'days from the first purchase to the last until as_of (recency in the literature of customer lifetime value), exact or, with unit '
    'day, of the calendar. '
    'Refunds: what a negative amount is: a purchase (count), less money (net), or nothing (ignore)';

CREATE FUNCTION persona.purchase_span(rfm persona.rfm, as_of timestamp, unit text DEFAULT 'exact', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'purchase_span_timestamp_wrapper';
COMMENT ON FUNCTION persona.purchase_span(persona.rfm, timestamp, text, text) IS
    'purchase_span at a timestamp of the clocks of the purchases'' time zone';

CREATE FUNCTION persona.purchase_span(rfm persona.rfm, as_of date, unit text DEFAULT 'exact', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'purchase_span_date_wrapper';
COMMENT ON FUNCTION persona.purchase_span(persona.rfm, date, text, text) IS
    'purchase_span at a date: its midnight in the purchases'' time zone';

CREATE FUNCTION persona.frequency(rfm persona.rfm, as_of timestamptz DEFAULT 'infinity', refunds text DEFAULT 'count')
RETURNS bigint LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'frequency_wrapper';
COMMENT ON FUNCTION persona.frequency(persona.rfm, timestamptz, text) IS
    'number of purchases until as_of; what the literature of customer lifetime value calls frequency is repeat_days. '
    'Refunds: what a negative amount is: a purchase (count), less money (net), or nothing (ignore)';

CREATE FUNCTION persona.frequency(rfm persona.rfm, as_of timestamp, refunds text DEFAULT 'count')
RETURNS bigint LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'frequency_timestamp_wrapper';
COMMENT ON FUNCTION persona.frequency(persona.rfm, timestamp, text) IS
    'frequency at a timestamp of the clocks of the purchases'' time zone';

CREATE FUNCTION persona.frequency(rfm persona.rfm, as_of date, refunds text DEFAULT 'count')
RETURNS bigint LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'frequency_date_wrapper';
COMMENT ON FUNCTION persona.frequency(persona.rfm, date, text) IS
    'frequency at a date: its midnight in the purchases'' time zone';

CREATE FUNCTION persona.repeat_days(rfm persona.rfm, as_of timestamptz DEFAULT 'infinity', refunds text DEFAULT 'count')
RETURNS bigint LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'repeat_days_wrapper';
COMMENT ON FUNCTION persona.repeat_days(persona.rfm, timestamptz, text) IS
    'number of days with purchases after the first such day (frequency in the literature of customer lifetime value). '
    'Refunds: what a negative amount is: a purchase (count), less money (net), or nothing (ignore)';

CREATE FUNCTION persona.repeat_days(rfm persona.rfm, as_of timestamp, refunds text DEFAULT 'count')
RETURNS bigint LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'repeat_days_timestamp_wrapper';
COMMENT ON FUNCTION persona.repeat_days(persona.rfm, timestamp, text) IS
    'repeat_days at a timestamp of the clocks of the purchases'' time zone';

CREATE FUNCTION persona.repeat_days(rfm persona.rfm, as_of date, refunds text DEFAULT 'count')
RETURNS bigint LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'repeat_days_date_wrapper';
COMMENT ON FUNCTION persona.repeat_days(persona.rfm, date, text) IS
    'repeat_days at a date: its midnight in the purchases'' time zone';

CREATE FUNCTION persona.monetary(rfm persona.rfm, as_of timestamptz DEFAULT 'infinity', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'monetary_wrapper';
COMMENT ON FUNCTION persona.monetary(persona.rfm, timestamptz, text) IS
    'total amount until as_of; 0 where no amount is known, as pandas has it. '
    'Refunds: what a negative amount is: a purchase (count), less money (net), or nothing (ignore)';

CREATE FUNCTION persona.monetary(rfm persona.rfm, as_of timestamp, refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'monetary_timestamp_wrapper';
COMMENT ON FUNCTION persona.monetary(persona.rfm, timestamp, text) IS
    'monetary at a timestamp of the clocks of the purchases'' time zone';

CREATE FUNCTION persona.monetary(rfm persona.rfm, as_of date, refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'monetary_date_wrapper';
COMMENT ON FUNCTION persona.monetary(persona.rfm, date, text) IS
    'monetary at a date: its midnight in the purchases'' time zone';

CREATE FUNCTION persona.mean_amount(rfm persona.rfm, as_of timestamptz DEFAULT 'infinity', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mean_amount_wrapper';
COMMENT ON FUNCTION persona.mean_amount(persona.rfm, timestamptz, text) IS
    'mean amount of a purchase until as_of, of those whose amount is known, as avg has it. '
    'Refunds: what a negative amount is: a purchase (count), less money (net), or nothing (ignore)';

CREATE FUNCTION persona.mean_amount(rfm persona.rfm, as_of timestamp, refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mean_amount_timestamp_wrapper';
COMMENT ON FUNCTION persona.mean_amount(persona.rfm, timestamp, text) IS
    'mean_amount at a timestamp of the clocks of the purchases'' time zone';

CREATE FUNCTION persona.mean_amount(rfm persona.rfm, as_of date, refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mean_amount_date_wrapper';
COMMENT ON FUNCTION persona.mean_amount(persona.rfm, date, text) IS
    'mean_amount at a date: its midnight in the purchases'' time zone';

CREATE FUNCTION persona.repeat_amount(rfm persona.rfm, as_of timestamptz DEFAULT 'infinity', refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'repeat_amount_wrapper';
COMMENT ON FUNCTION persona.repeat_amount(persona.rfm, timestamptz, text) IS
    'mean amount of the days that repeat_days counts (monetary value in the literature of customer lifetime value); NULL without one. '
    'Refunds: what a negative amount is: a purchase (count), less money (net), or nothing (ignore)';

CREATE FUNCTION persona.repeat_amount(rfm persona.rfm, as_of timestamp, refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'repeat_amount_timestamp_wrapper';
COMMENT ON FUNCTION persona.repeat_amount(persona.rfm, timestamp, text) IS
    'repeat_amount at a timestamp of the clocks of the purchases'' time zone';

CREATE FUNCTION persona.repeat_amount(rfm persona.rfm, as_of date, refunds text DEFAULT 'count')
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'repeat_amount_date_wrapper';
COMMENT ON FUNCTION persona.repeat_amount(persona.rfm, date, text) IS
    'repeat_amount at a date: its midnight in the purchases'' time zone';

CREATE TYPE persona.rfm_scores AS (
    recency double precision, frequency bigint, monetary double precision, r integer, f integer, m integer,
    segment text
);
COMMENT ON TYPE persona.rfm_scores IS
    'a customer among the others: days since the last purchase, purchases, amount, a score from 1 for each (more is better), and the '
    'name of the segment';

CREATE FUNCTION persona.rfm_segment(rfm persona.rfm, as_of timestamptz, bins bigint DEFAULT 5, refunds text DEFAULT 'count')
RETURNS persona.rfm_scores LANGUAGE c STABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_segment';
COMMENT ON FUNCTION persona.rfm_segment(persona.rfm, timestamptz, bigint, text) IS
    'window function: the customer''s scores among all rows of the partition, 1 to bins (quintiles when not given), and its segment, '
    'which is named by quintiles whatever bins are: champions, loyal customers, potential loyalists, new customers, promising, need '
    'attention, about to sleep, at risk, cannot lose them, hibernating, lost. Equal values take the middle of their ranks: where all '
    'are equal the score is 3 of 5. What comes after as_of does not count, and who bought nothing until then has no scores. refunds: '
    'what a negative amount is: a purchase (count), less money (net), or nothing (ignore)';

CREATE FUNCTION persona.rfm_segment(rfm persona.rfm, as_of timestamp, bins bigint DEFAULT 5, refunds text DEFAULT 'count')
RETURNS persona.rfm_scores LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_segment_timestamp';
COMMENT ON FUNCTION persona.rfm_segment(persona.rfm, timestamp, bigint, text) IS
    'rfm_segment at a timestamp of the clocks of each customer''s time zone';

CREATE FUNCTION persona.rfm_segment(rfm persona.rfm, as_of date, bins bigint DEFAULT 5, refunds text DEFAULT 'count')
RETURNS persona.rfm_scores LANGUAGE c IMMUTABLE WINDOW PARALLEL SAFE AS 'MODULE_PATHNAME', 'rfm_segment_date';
COMMENT ON FUNCTION persona.rfm_segment(persona.rfm, date, bigint, text) IS
    'rfm_segment at a date: its midnight in each customer''s time zone';

-- Behaviour ----------------------------------------------------------------------------------------------------------

\value_type behaviour
COMMENT ON TYPE persona.behaviour IS
    'a customer''s events: the time zone of their days, and per kind the days with events (counted from 1970-01-01), each with their '
    'number and the sum of their amounts; mergeable with rollup';

CREATE FUNCTION persona.behaviour_add(persona.behaviour, event text, at timestamptz, amount double precision)
RETURNS persona.behaviour LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_add';
COMMENT ON FUNCTION persona.behaviour_add(persona.behaviour, text, timestamptz, double precision) IS
    'transition function of behaviour';

CREATE FUNCTION persona.behaviour_add(persona.behaviour, event text, at timestamptz, amount double precision, zone text)
RETURNS persona.behaviour LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_add';
COMMENT ON FUNCTION persona.behaviour_add(persona.behaviour, text, timestamptz, double precision, text) IS
    'transition function of behaviour';

CREATE FUNCTION persona.behaviour_add(persona.behaviour, event text, at timestamp, amount double precision)
RETURNS persona.behaviour LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_add_timestamp';
COMMENT ON FUNCTION persona.behaviour_add(persona.behaviour, text, timestamp, double precision) IS
    'transition function of behaviour';

CREATE FUNCTION persona.behaviour_add(persona.behaviour, event text, at timestamp, amount double precision, zone text)
RETURNS persona.behaviour LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_add_timestamp';
COMMENT ON FUNCTION persona.behaviour_add(persona.behaviour, text, timestamp, double precision, text) IS
    'transition function of behaviour';

CREATE FUNCTION persona.behaviour_add(persona.behaviour, event text, at date, amount double precision)
RETURNS persona.behaviour LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_add_date';
COMMENT ON FUNCTION persona.behaviour_add(persona.behaviour, text, date, double precision) IS
    'transition function of behaviour';

CREATE FUNCTION persona.behaviour_add(persona.behaviour, event text, at date, amount double precision, zone text)
RETURNS persona.behaviour LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_add_date';
COMMENT ON FUNCTION persona.behaviour_add(persona.behaviour, text, date, double precision, text) IS
    'transition function of behaviour';

CREATE FUNCTION persona.behaviour_combine(persona.behaviour, persona.behaviour) RETURNS persona.behaviour
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_combine';
COMMENT ON FUNCTION persona.behaviour_combine(persona.behaviour, persona.behaviour) IS 'the events of both, which are of one time zone';

CREATE FUNCTION persona.behaviour_final(persona.behaviour) RETURNS persona.behaviour
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_final_wrapper';
COMMENT ON FUNCTION persona.behaviour_final(persona.behaviour) IS 'final function: the state in its smallest form';

CREATE AGGREGATE persona.behaviour(event text, at timestamptz, amount double precision) (
    SFUNC = persona.behaviour_add, STYPE = persona.behaviour, FINALFUNC = persona.behaviour_final,
    COMBINEFUNC = persona.behaviour_combine, PARALLEL = SAFE, SSPACE = 512
);
COMMENT ON AGGREGATE persona.behaviour(text, timestamptz, double precision) IS
    'a customer''s events, one row each, of kinds (view, search, cart, purchase, review ...) of at most 63 bytes, of which the most '
    'frequent are told apart: beyond 64, the others are of the kind other, and features of a kind that is not told are NULL: '
    'SELECT customer, persona.behaviour(event, at, amount) ... GROUP BY customer; a NULL amount is 0, and a row without a kind or a time '
    'is skipped. Days are those of UTC';

CREATE AGGREGATE persona.behaviour(event text, at timestamptz, amount double precision, zone text) (
    SFUNC = persona.behaviour_add, STYPE = persona.behaviour, FINALFUNC = persona.behaviour_final,
    COMBINEFUNC = persona.behaviour_combine, PARALLEL = SAFE, SSPACE = 512
);
COMMENT ON AGGREGATE persona.behaviour(text, timestamptz, double precision, text) IS
    'a customer''s events by the days of a time zone (UTC where it is NULL): persona.behaviour(event, at, amount, ''Europe/Berlin'')';

CREATE AGGREGATE persona.behaviour(event text, at timestamp, amount double precision) (
    SFUNC = persona.behaviour_add, STYPE = persona.behaviour, FINALFUNC = persona.behaviour_final,
    COMBINEFUNC = persona.behaviour_combine, PARALLEL = SAFE, SSPACE = 512
);
COMMENT ON AGGREGATE persona.behaviour(text, timestamp, double precision) IS
    'a customer''s events at times without a time zone, counted as they are, whatever the session''s time zone is';

CREATE AGGREGATE persona.behaviour(event text, at timestamp, amount double precision, zone text) (
    SFUNC = persona.behaviour_add, STYPE = persona.behaviour, FINALFUNC = persona.behaviour_final,
    COMBINEFUNC = persona.behaviour_combine, PARALLEL = SAFE, SSPACE = 512
);
COMMENT ON AGGREGATE persona.behaviour(text, timestamp, double precision, text) IS
    'a customer''s events at the times that clocks show in this time zone';

CREATE AGGREGATE persona.behaviour(event text, at date, amount double precision) (
    SFUNC = persona.behaviour_add, STYPE = persona.behaviour, FINALFUNC = persona.behaviour_final,
    COMBINEFUNC = persona.behaviour_combine, PARALLEL = SAFE, SSPACE = 512
);
COMMENT ON AGGREGATE persona.behaviour(text, date, double precision) IS
    'a customer''s events of days, whatever the session''s time zone is';

CREATE AGGREGATE persona.behaviour(event text, at date, amount double precision, zone text) (
    SFUNC = persona.behaviour_add, STYPE = persona.behaviour, FINALFUNC = persona.behaviour_final,
    COMBINEFUNC = persona.behaviour_combine, PARALLEL = SAFE, SSPACE = 512
);
COMMENT ON AGGREGATE persona.behaviour(text, date, double precision, text) IS
    'a customer''s events of days of this time zone';

CREATE AGGREGATE persona.rollup(persona.behaviour) (
    SFUNC = persona.behaviour_combine, STYPE = persona.behaviour, FINALFUNC = persona.behaviour_final,
    COMBINEFUNC = persona.behaviour_combine, PARALLEL = SAFE, SSPACE = 512
);
COMMENT ON AGGREGATE persona.rollup(persona.behaviour) IS
    'merges stored events, as of days into a year; those of two time zones are refused, for days are not kept by the hour';

CREATE FUNCTION persona.features(behaviour persona.behaviour, as_of timestamptz, kinds text[] DEFAULT NULL,
    OUT feature text, OUT value double precision)
RETURNS SETOF record LANGUAGE c STABLE PARALLEL SAFE ROWS 50 AS 'MODULE_PATHNAME', 'features_wrapper';
COMMENT ON FUNCTION persona.features(persona.behaviour, timestamptz, text[]) IS
    'what a customer did in the whole days before that of as_of, in the time zone of the events, so that nothing of the future is seen. Of all events and of each '
    'kind: active_days, mean_gap and last_gap (days between one active day and the next), days_since_first, days_since_last. Of each '
    'kind K: K_count_W, K_sum_W, K_mean_W for windows W of the last 7, 30 and 90 days and without W overall; K_trend_W, the events of '
    'the last W days less those of the W days before, divided by both, from -1 to 1, 0 without any; A_to_B, events of B per event of '
    'A, for each A before B among the kinds. kinds is view, search, cart, purchase, review and then others by name, of those that the '
    'customer has, when not given. A mean of nothing and a gap of one day are NULL';

CREATE FUNCTION persona.behaviour_vector(behaviour persona.behaviour, as_of timestamptz, kinds text[],
    missing double precision DEFAULT NULL)
RETURNS double precision[] LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'behaviour_vector_wrapper';
COMMENT ON FUNCTION persona.behaviour_vector(persona.behaviour, timestamptz, text[], double precision) IS
    'the values of persona.features as an array of the same length for every customer, a column for fit_segments and fit_scorer; what '
    'is NULL there is missing here';

CREATE FUNCTION persona.features(behaviour persona.behaviour, as_of timestamp, kinds text[] DEFAULT NULL,
    OUT feature text, OUT value double precision)
RETURNS SETOF record LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 50 AS 'MODULE_PATHNAME', 'features_timestamp_wrapper';
COMMENT ON FUNCTION persona.features(persona.behaviour, timestamp, text[]) IS
    'features at a timestamp, whose day is that of the events'' time zone';

CREATE FUNCTION persona.behaviour_vector(behaviour persona.behaviour, as_of timestamp, kinds text[],
    missing double precision DEFAULT NULL)
RETURNS double precision[] LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'behaviour_vector_timestamp_wrapper';
COMMENT ON FUNCTION persona.behaviour_vector(persona.behaviour, timestamp, text[], double precision) IS
    'behaviour_vector at a timestamp, whose day is that of the events'' time zone';

CREATE FUNCTION persona.features(behaviour persona.behaviour, as_of date, kinds text[] DEFAULT NULL,
    OUT feature text, OUT value double precision)
RETURNS SETOF record LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 50 AS 'MODULE_PATHNAME', 'features_date_wrapper';
COMMENT ON FUNCTION persona.features(persona.behaviour, date, text[]) IS
    'features at a date, whose day is that of the events'' time zone';

CREATE FUNCTION persona.behaviour_vector(behaviour persona.behaviour, as_of date, kinds text[],
    missing double precision DEFAULT NULL)
RETURNS double precision[] LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'behaviour_vector_date_wrapper';
COMMENT ON FUNCTION persona.behaviour_vector(persona.behaviour, date, text[], double precision) IS
    'behaviour_vector at a date, whose day is that of the events'' time zone';

CREATE FUNCTION persona.behaviour_feature_names(kinds text[]) RETURNS text[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'behaviour_feature_names_wrapper';
COMMENT ON FUNCTION persona.behaviour_feature_names(text[]) IS 'the names of the elements of behaviour_vector for these kinds';

CREATE FUNCTION persona.array_columns(array_column text, names text[]) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
RETURN (SELECT pg_catalog.string_agg(pg_catalog.format('%I[%s] AS %I', array_column, one.place, one.name), ', ' ORDER BY one.place)
        FROM pg_catalog.unnest(names) WITH ORDINALITY AS one (name, place));
COMMENT ON FUNCTION persona.array_columns(text, text[]) IS
    'the elements of an array as columns of these names, to be written into a SELECT: f[1] AS first, f[2] AS second';
