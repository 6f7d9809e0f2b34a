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
       persona.purchase_span(r, 'day') AS span_days, persona.customer_age(r, '2024-02-01 12:00') AS age, persona.customer_age(r, '2024-02-01 12:00', 'day') AS age_days,
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
FROM (VALUES (1, NULL), (2, NULL), (3, '{"n":2,"first":0,"last":86400,"days":[[0,2],[1,3]]}'::persona.rfm)) v (n, r) ORDER BY n;
SELECT persona.rfm_segment(persona.rfm(at, amount), '2024-02-01') OVER () FROM purchase WHERE false;

-- what is refused
SELECT persona.rfm('infinity', 1);
SELECT persona.rfm('2024-01-01', 'NaN');
SELECT '{"n":2,"first":null,"last":null,"days":[]}'::persona.rfm;
SELECT '{"n":2,"first":0,"last":86400,"days":[[0,2],[2,3]]}'::persona.rfm;
SELECT persona.recency('{"n":0,"first":null,"last":null,"days":[]}', 'epoch', 'week');
SELECT persona.rfm_segment(persona.rfm('2024-01-01', 1), '2024-02-01', 1) OVER ();
SELECT persona.rfm_segment(persona.rfm('2024-01-01', 1), '2024-02-01', NULL) OVER ();
SELECT persona.rfm_segment(persona.rfm('2024-01-01', 1), '2024-02-01');
