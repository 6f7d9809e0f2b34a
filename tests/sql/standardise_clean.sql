-- Folds and samples by key, and balanced classes.
SET search_path = public;
-- stable, even, and the same for a number as for its text
SELECT persona.fold(42, 5), persona.fold('42', 5) AS of_text, persona.fold('customer 42', 5, seed => 1), persona.keep(42, 0.3), persona.keep('42'::text, 0.3) AS of_text;
SELECT fold, abs(count(*) - 4000) < 200 AS is_even FROM (SELECT persona.fold(i, 5) AS fold FROM generate_series(1, 20000) AS i) AS x GROUP BY fold ORDER BY fold;
-- independent between seeds, and of samples
SELECT abs(count(*) FILTER (WHERE persona.fold(i, 2, 0) = persona.fold(i, 2, 1)) - 10000) < 400 AS seeds, abs(count(*) FILTER (WHERE persona.keep(i, 0.5) = (persona.fold(i, 2) = 1)) - 10000) < 400 AS samples
FROM generate_series(1, 20000) AS i;
-- a sample is part of every larger one
SELECT count(*) FILTER (WHERE persona.keep(i, 0.1) AND NOT persona.keep(i, 0.2)) AS lost, abs(count(*) FILTER (WHERE persona.keep(i, 0.1)) - 2000) < 150 AS tenth,
       count(*) FILTER (WHERE persona.keep(i, 0)) AS none, count(*) FILTER (WHERE persona.keep(i, 1)) AS every
FROM generate_series(1, 20000) AS i;
-- all rows of a customer together
SELECT bool_and(n IN (0, 3)) AS whole FROM (SELECT count(*) FILTER (WHERE persona.keep('customer ' || i / 3, 0.5)) AS n FROM generate_series(0, 299) AS i GROUP BY i / 3) AS x;
SELECT persona.fold(NULL::text, 5), persona.keep(NULL::bigint, 0.5);

-- classes of one size
CREATE TABLE labelled AS SELECT i AS id, CASE WHEN i % 10 < 7 THEN 'no' WHEN i % 10 < 9 THEN 'maybe' ELSE 'yes' END AS label FROM generate_series(1, 100) AS i;
SELECT label, count(*), sum(n), min(n), max(n) FROM (SELECT label, persona.copies(label) OVER (ORDER BY id) AS n FROM labelled) AS x GROUP BY label ORDER BY label;
SELECT label, count(*) FROM (SELECT label, persona.copies(label) OVER (ORDER BY id) AS n FROM labelled) AS x, generate_series(1, n) GROUP BY label ORDER BY label;
-- labels of any type, NULL, and by partition
SELECT y, part, persona.copies(y) OVER (PARTITION BY part ORDER BY y) FROM (VALUES (true, 1), (false, 1), (false, 1), (NULL, 1), (true, 2)) AS v (y, part) ORDER BY part, y;
SELECT persona.copies(1) OVER () FROM generate_series(1, 0);

-- what is refused
SELECT persona.fold('x', 0);
SELECT persona.keep('x', 1.5);
SELECT persona.keep('x', 'NaN');
SELECT persona.copies(1);
