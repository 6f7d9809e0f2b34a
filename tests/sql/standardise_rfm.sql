-- Recency, frequency, monetary value.
SET search_path = public;
SET timezone = 'UTC';
CREATE TABLE purchase (customer text, at timestamptz, amount numeric);
INSERT INTO purchase VALUES ('ann', '2024-01-01', 10), ('ann', '2024-01-31', 30), ('bob', '2023-06-01', 5), ('cid', '2024-01-30', 100),
    ('cid', '2024-01-15', 100), ('cid', '2024-01-01', 100), ('dee', '2023-12-01', 20), ('eve', '2023-03-01', 1), ('eve', NULL, 7), ('eve', '2023-03-02', NULL);

SELECT customer, persona.rfm(at, amount) FROM purchase GROUP BY customer ORDER BY customer;
SELECT customer, persona.recency(r, '2024-02-01') AS recency, persona.frequency(r), persona.monetary(r), persona.mean_amount(r)
FROM (SELECT customer, persona.rfm(at, amount) r FROM purchase GROUP BY customer) c ORDER BY customer;
-- stored months merge to the year
SELECT customer, persona.rollup(r)::text = (SELECT persona.rfm(at, amount)::text FROM purchase p WHERE p.customer = m.customer) AS equal
FROM (SELECT customer, persona.rfm(at, amount) r FROM purchase GROUP BY customer, date_trunc('month', at)) m GROUP BY customer ORDER BY customer;

-- both meanings of recency and of frequency, exact and by the calendar
SELECT customer, persona.recency(r, '2024-02-01 12:00') AS exact, persona.recency(r, '2024-02-01 12:00', unit => 'day') AS day, persona.purchase_span(r) AS span,
       persona.purchase_span(r, unit => 'day') AS span_days, persona.customer_age(r, '2024-02-01 12:00') AS age, persona.customer_age(r, '2024-02-01 12:00', 'day') AS age_days,
       persona.frequency(r), persona.repeat_days(r), persona.monetary(r), persona.mean_amount(r), persona.repeat_amount(r)
FROM (SELECT customer, persona.rfm(at, amount) r FROM (SELECT * FROM purchase UNION ALL VALUES ('fay', '2024-01-01 23:00'::timestamptz, 1), ('fay', '2024-01-01 09:00', 2), ('fay', '2024-01-02 01:00', 10)) p
      GROUP BY customer) c ORDER BY customer;

-- each among the others
SELECT customer, (persona.rfm_segment(r, '2024-02-01') OVER ()).*
FROM (SELECT customer, persona.rfm(at, amount) r FROM purchase GROUP BY customer) c ORDER BY customer;
-- in halves and tenths, with the same names
SELECT customer, (persona.rfm_segment(r, '2024-02-01', 2) OVER ()).m AS half, (persona.rfm_segment(r, '2024-02-01', bins => 10) OVER ()).m AS tenth,
       (persona.rfm_segment(r, '2024-02-01', 2) OVER ()).segment
FROM (SELECT customer, persona.rfm(at, amount) r FROM purchase GROUP BY customer) c ORDER BY customer;
-- within a partition; a NULL customer has no scores
SELECT n, persona.rfm_segment(r, '2024-02-01') OVER (PARTITION BY n % 2)
FROM (VALUES (1, NULL), (2, NULL), (3, '{"zone":"UTC","purchases":[[0,2],[86400000000,3]]}'::persona.rfm)) v (n, r) ORDER BY n;
SELECT persona.rfm_segment(persona.rfm(at, amount), '2024-02-01') OVER () FROM purchase WHERE false;

-- What is after as_of does not count, to the microsecond, in any figure; what is at it does.
CREATE VIEW ann AS SELECT persona.rfm(at, amount) AS r FROM (VALUES (timestamptz '2024-01-01 09:00', 10), ('2024-01-02 09:00', 20), ('2024-01-05 12:00', 40), ('2024-01-05 12:00:00.000001', 80)) v (at, amount);
SELECT as_of, persona.recency(r, as_of), persona.recency(r, as_of, 'day') AS days, persona.customer_age(r, as_of) AS age, persona.purchase_span(r, as_of) AS span,
       persona.frequency(r, as_of), persona.monetary(r, as_of), persona.mean_amount(r, as_of), persona.repeat_days(r, as_of), persona.repeat_amount(r, as_of)
FROM ann, unnest('{2024-01-01 08:59:59.999999,2024-01-01 09:00,2024-01-05 11:59:59.999999,2024-01-05 12:00,2024-01-05 12:00:00.000001,2025-01-01}'::timestamptz[]) AS as_of;
SELECT persona.frequency(r, 'infinity'), persona.frequency(r, '-infinity') AS none, persona.frequency(r, NULL::timestamptz) AS unknown, persona.purchase_span(r, as_of => '-infinity') AS no_span FROM ann;
SELECT as_of, (persona.rfm_segment(r, as_of) OVER ()).* FROM ann, (VALUES (timestamptz '2024-01-05 12:00')) v (as_of);
SELECT persona.rfm_segment(r, '2023-01-01') OVER () AS not_yet FROM ann;

-- A NULL amount is a purchase that adds nothing to the amount, as count, sum and avg over the rows; a NULL time is none.
SELECT persona.frequency(r), persona.monetary(r), persona.mean_amount(r), persona.recency(r, '2024-01-08') AS recency, persona.repeat_days(r)
FROM (SELECT persona.rfm(at, amount) AS r FROM (VALUES (timestamptz '2024-01-01', 30), ('2024-01-05', NULL), (NULL, 5)) v (at, amount)) s;
SELECT persona.frequency(r), persona.monetary(r), persona.mean_amount(r) FROM (SELECT persona.rfm('2024-01-01', NULL) AS r) s;

-- Ties take the middle of their ranks.
SELECT n, array_agg(DISTINCT s::text) AS scores
FROM (SELECT n, persona.rfm_segment(persona.rfm('2024-01-31', 5), '2024-02-01') OVER (PARTITION BY n) AS s FROM generate_series(1, 4) AS n, generate_series(1, n) AS i GROUP BY n, i) q GROUP BY n ORDER BY n;
SELECT i, (persona.rfm_segment(r, '2024-02-01') OVER ()).f, (persona.rfm_segment(r, '2024-02-01', 10) OVER ()).f AS tenth
FROM (SELECT i, persona.rfm('2024-01-31', 5) AS r FROM generate_series(1, 10) AS i, generate_series(1, greatest(1, i - 7)) GROUP BY i) q ORDER BY i;
-- Equal amounts that were added in another order are equal.
SELECT i, (persona.rfm_segment(r, '2024-02-01') OVER ()).m
FROM (SELECT i, persona.rfm(at, amount) AS r FROM (VALUES (1, 1, 0.1), (1, 2, 0.2), (1, 3, 0.3), (2, 1, 0.3), (2, 2, 0.2), (2, 3, 0.1)) v (i, day, amount), make_date(2024, 1, day) AS at GROUP BY i) q;

-- A date and a timestamp are what they say, whatever the session's time zone is.
CREATE VIEW forms AS
SELECT persona.rfm(day, amount) AS dates, persona.rfm(at, amount) AS times, persona.rfm(day, amount, 'Asia/Tokyo') AS dates_in, persona.rfm(at, amount, 'America/New_York') AS times_in
FROM (VALUES (date '1969-12-31', timestamp '1969-12-31 23:30', 10), ('2024-01-05', '2024-01-05 00:30', 20), ('2024-01-06', '2024-01-05 23:59', 30)) v (day, at, amount);
SET timezone = 'Asia/Tokyo';
SELECT * FROM forms \gx
SELECT persona.recency(dates, date '2024-01-08') AS dates, persona.recency(dates, '2024-01-08') AS literal, persona.recency(dates, timestamp '2024-01-08 12:00') AS noon, persona.repeat_days(dates),
       persona.recency(times, date '2024-01-08', 'day') AS times, persona.repeat_days(times) AS days, persona.recency(dates_in, date '2024-01-08') AS dates_in, persona.recency(times_in, date '2024-01-08', 'day') AS times_in,
       persona.frequency(times_in, timestamp '2024-01-05 23:59') AS at, persona.frequency(times_in, timestamp '2024-01-05 23:58:59.999999') AS before FROM forms;
SET timezone = 'America/New_York';
SELECT * FROM forms \gx
SELECT persona.recency(dates, date '2024-01-08') AS dates, persona.recency(dates, '2024-01-08') AS literal, persona.recency(dates, timestamp '2024-01-08 12:00') AS noon, persona.repeat_days(dates),
       persona.recency(times, date '2024-01-08', 'day') AS times, persona.repeat_days(times) AS days, persona.recency(dates_in, date '2024-01-08') AS dates_in, persona.recency(times_in, date '2024-01-08', 'day') AS times_in,
       persona.frequency(times_in, timestamp '2024-01-05 23:59') AS at, persona.frequency(times_in, timestamp '2024-01-05 23:58:59.999999') AS before FROM forms;
SELECT (persona.rfm_segment(dates, date '2024-01-08') OVER ()).recency, (persona.rfm_segment(times, timestamp '2024-01-05 01:00') OVER ()).frequency FROM forms;
SET timezone = 'UTC';

-- Days are those of the aggregate's time zone: two purchases on either side of midnight in Berlin, one day in UTC; and clocks that are put forward.
SELECT zone, persona.repeat_days(r), persona.purchase_span(r, unit => 'day') AS span, persona.recency(r, timestamptz '2024-04-01 22:30+00', 'day') AS recency, persona.recency(r, date '2024-04-01') AS exact
FROM unnest('{UTC,Europe/Berlin,europe/berlin,Asia/Tokyo,NULL}'::text[]) AS zone,
     LATERAL (SELECT persona.rfm(at, 1, zone) AS r FROM unnest('{2024-03-30 22:30+00,2024-03-30 23:30+00,2024-03-31 22:30+00}'::timestamptz[]) AS at) q;
-- One zone for a rollup, or one that is given.
SELECT persona.rollup(r) FROM (VALUES (persona.rfm_add(NULL, timestamptz '2024-01-01', 1, 'Europe/Berlin')), (persona.rfm_add(NULL, timestamptz '2024-01-02', 2, 'Europe/Berlin'))) v (r);
SELECT persona.rollup(r) FROM (VALUES (persona.rfm_add(NULL, timestamptz '2024-01-01', 1, 'Europe/Berlin')), (persona.rfm_add(NULL, timestamptz '2024-01-02', 2, 'Asia/Tokyo'))) v (r);
SELECT persona.rollup(r) FROM (VALUES (persona.rfm_add(NULL, timestamptz '2024-01-01', 1)), (persona.rfm_add(NULL, date '2024-01-02', 2))) v (r);
SELECT persona.rollup(r, 'Asia/Tokyo') FROM (VALUES (persona.rfm_add(NULL, timestamptz '2024-01-01', 1, 'Europe/Berlin')), (persona.rfm_add(NULL, timestamptz '2024-01-02', 2)), (persona.rfm_add(NULL, date '2024-01-02', 3))) v (r);
-- an empty one is of any zone
SELECT persona.rfm_combine('{"purchases":[]}', persona.rfm_add(NULL, date '2024-01-02', 2)), persona.rfm_combine(persona.rfm_add(NULL, date '2024-01-02', 2), '{"purchases":[]}');

-- The lines of an order are one purchase; orders are what is equal in SQL.
CREATE TABLE line AS SELECT * FROM (VALUES (1, timestamptz '2024-01-01 10:00', 5.0, 7, 7.0::numeric), (1, '2024-01-01 10:00', 6, 7, 7.00), (1, '2024-01-03 10:00', NULL, 8, 8), (1, '2024-01-03 10:00', 4, 8, 8.000),
    (1, '2024-01-09', 1, NULL, NULL), (1, '2024-01-09', 2, NULL, NULL), (2, '2024-01-02', NULL, 9, 9), (2, '2024-01-02', NULL, 9, 9)) v (customer, at, amount, order_id, number);
SELECT customer, persona.rfm(at, amount, 'UTC', order_id) AS r, persona.rfm(at, amount, NULL, number)::text = persona.rfm(at, amount, 'UTC', order_id::text)::text AS equal,
       persona.rfm(at::date, amount, NULL, order_id) AS dates FROM line GROUP BY customer ORDER BY customer;
SELECT customer, persona.frequency(r), persona.monetary(r), persona.mean_amount(r) FROM (SELECT customer, persona.rfm(at, amount, 'UTC', order_id) AS r FROM line GROUP BY customer) q ORDER BY customer;

-- A negative amount is a purchase, less money, or nothing.
CREATE VIEW refund AS SELECT persona.rfm(at, amount) AS r FROM (VALUES (date '2024-01-01', 50), ('2024-01-03', 20), ('2024-01-09', -20), ('2024-01-09', NULL)) v (at, amount) WHERE amount IS NOT NULL;
SELECT refunds, persona.recency(r, date '2024-01-11', refunds => refunds) AS recency, persona.frequency(r, refunds => refunds), persona.monetary(r, refunds => refunds), persona.mean_amount(r, refunds => refunds),
       persona.repeat_days(r, refunds => refunds), persona.repeat_amount(r, refunds => refunds), persona.purchase_span(r, refunds => refunds) AS span, persona.customer_age(r, date '2024-01-11', refunds => refunds) AS age,
       (persona.rfm_segment(r, date '2024-01-11', refunds => refunds) OVER (PARTITION BY refunds)).monetary AS scored, persona.monetary(r, date '2024-01-08', refunds) AS before
FROM refund, unnest('{count,net,ignore}'::text[]) AS refunds;

-- Parallel workers find the same as one process, orders among them.
CREATE TABLE many AS SELECT i % 700 AS customer, timestamptz '2024-01-01' + (i * 7919 % 100000) * interval '7 minutes' AS at, CASE WHEN i % 11 > 0 THEN (i % 50) - 5 END::float8 AS amount, i / 3 AS order_id FROM generate_series(1, 60000) AS i;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE serial AS SELECT customer, persona.rfm(at, amount) AS r, persona.rfm(at, amount, 'Asia/Tokyo', order_id) AS o FROM many GROUP BY customer;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2;
SELECT count(*), bool_and(p.r::text = s.r::text) AS equal, bool_and(p.o::text = s.o::text) AS orders FROM (SELECT customer, persona.rfm(at, amount) AS r, persona.rfm(at, amount, 'Asia/Tokyo', order_id) AS o FROM many GROUP BY customer) p JOIN serial s USING (customer);
SELECT persona.frequency(m.r), m.r::text = s.r::text AS rolled_up FROM (SELECT persona.rfm(at, amount) AS r FROM many) m, (SELECT persona.rollup(r) AS r FROM serial) s;
RESET ALL;
SET timezone = 'UTC';
-- Twenty purchases take 12 bytes each, and 16 where a time has a fraction of a second; merged they are the same.
SELECT pg_column_size(persona.rfm(timestamptz '2024-01-01' + i * interval '1 day', i)) AS seconds, pg_column_size(persona.rfm(timestamptz '2024-01-01' + i * interval '1.5 seconds', i)) AS fractions FROM generate_series(1, 20) AS i;
SELECT persona.rollup(r) FROM (VALUES (persona.rfm_add(NULL, timestamptz '2024-01-02', 1)), (persona.rfm_add(NULL, timestamptz '2024-01-01 00:00:00.5', 2)), (persona.rfm_add(NULL, timestamptz '1801-01-01', 3))) v (r);
-- running
SELECT i, persona.frequency(persona.rfm(timestamptz '2024-01-01' - i * interval '1 day', i) OVER (ORDER BY i)) FROM generate_series(1, 3) AS i;

-- what is refused
SELECT persona.rfm('infinity', 1);
SELECT persona.rfm('2024-01-01', 'NaN');
SELECT '{"zone":"","purchases":[]}'::persona.rfm;
SELECT '{"purchases":[[9223372036854775807,1]]}'::persona.rfm;
SELECT persona.recency('{"zone":"No/Where","purchases":[[0,1]]}', 'epoch');
SELECT persona.recency('{"purchases":[]}', 'epoch', 'week');
SELECT persona.recency('{"purchases":[]}', 'infinity');
SELECT persona.frequency('{"purchases":[]}', refunds => 'gross');
SELECT persona.rfm_segment(persona.rfm('2024-01-01', 1), '2024-02-01', refunds => NULL) OVER ();
SELECT persona.rfm(timestamptz '2024-01-01', 1, 'No/Where');
SELECT persona.rfm(timestamptz '2024-01-01', 1, zone) FROM unnest('{UTC,Asia/Tokyo}'::text[]) AS zone;
SELECT persona.rfm(date '5874897-12-31', 1);
SELECT persona.rfm(date 'infinity', 1);
SELECT persona.rfm('2024-01-01', 1, 'UTC', point '(1,2)');
SELECT persona.rfm_segment(persona.rfm('2024-01-01', 1), '2024-02-01', 1) OVER ();
SELECT persona.rfm_segment(persona.rfm('2024-01-01', 1), '2024-02-01', NULL) OVER ();
SELECT persona.rfm_segment(persona.rfm('2024-01-01', 1), '2024-02-01');
