-- A row gives the same numbers as an array of its columns, however its columns lie in it: of every width, behind text or
-- NULLs, with columns dropped or added since, sorted, or from a subquery.
CREATE TABLE narrow AS
SELECT i % 3 = 0 AS flag, i::smallint AS small, i * 3 AS whole, (i / 4.0)::real AS single, i::bigint * 1000 AS large,
       i / 7.0::float8 AS double, date '2025-01-01' + i AS day, timestamptz '2025-01-01' + i * interval '1 hour' AS at
FROM generate_series(1, 200) AS i;

CREATE FUNCTION as_array(t narrow) RETURNS float8[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY[t.flag::int, t.small, t.whole, t.single, t.large, t.double, extract(epoch FROM t.day AT TIME ZONE 'UTC'), extract(epoch FROM t.at)]
$$;

CREATE FUNCTION differing() RETURNS bigint LANGUAGE sql AS $$
    WITH fitted AS (
        SELECT persona.standard_scaler(as_array(t)) AS by_place, persona.standard_scaler(s) AS by_name
        FROM narrow AS t, LATERAL (SELECT t.flag, t.small, t.whole, t.single, t.large, t.double, t.day, t.at) AS s
    )
    SELECT count(*) FILTER (WHERE persona.scale(by_name, t) IS DISTINCT FROM persona.scale(by_place, as_array(t)))
    FROM (SELECT * FROM narrow) AS t, fitted
$$;

SET timezone = 'UTC';
SELECT differing();

-- Some NULLs: those rows are taken apart, the others are not.
UPDATE narrow SET small = NULL WHERE whole % 5 = 0;
UPDATE narrow SET at = NULL WHERE whole % 7 = 0;
SELECT differing();

-- A column that was dropped, with values still in the old rows, and one that was added, which old rows do not hold.
ALTER TABLE narrow ADD COLUMN gone float8 DEFAULT 5;
UPDATE narrow SET gone = whole WHERE whole > 300;
ALTER TABLE narrow DROP COLUMN gone;
INSERT INTO narrow (flag, small, whole, single, large, double, day, at)
SELECT i % 2 = 0, i, -i, 0.5, -i, 1e6 * (i - 5), '2020-02-29', '1999-12-31 UTC' FROM generate_series(1, 9) AS i;
SELECT differing();
ALTER TABLE narrow ADD COLUMN later float8 DEFAULT 2.5;
SELECT differing();
SELECT DISTINCT persona.unscale('{"kind": "standard", "features": ["later", "large"], "center": [0, 0], "scale": [2, 1]}', t)
FROM narrow AS t WHERE large IN (-3, 1000, 7000);

-- Behind text, whose width differs; sorted; and through a window, which keeps rows with short headers.
CREATE TABLE behind_text AS SELECT repeat('x', i) AS words, i AS a, i::float8 / 2 AS b FROM generate_series(1, 100) AS i;
SELECT sum(x[1]) AS a, sum(x[2]) AS b
FROM (SELECT persona.unscale('{"kind": "standard", "features": ["a", "b"], "center": [0, 0], "scale": [1, 1]}', t) AS x FROM behind_text AS t) AS s;
SELECT sum(x[1]) AS a, sum(x[2]) AS b
FROM (SELECT persona.unscale('{"kind": "standard", "features": ["b", "a"], "center": [0, 0], "scale": [1, 1]}', t) AS x
      FROM (SELECT lag(s) OVER (ORDER BY s.a DESC) AS t FROM (SELECT a, b FROM behind_text) AS s) AS w) AS s;

-- What is not finite is found in either way of reading.
SELECT persona.feature_stats(t) FROM (VALUES (1::bigint, 2::float8), (3, 'Infinity')) AS t (a, b);
SELECT persona.feature_stats(t) FROM (VALUES (NULL::bigint, 2::float8), (3, 'NaN')) AS t (a, b);
SELECT persona.feature_stats(t) FROM (VALUES (1::bigint, 'infinity'::date)) AS t (a, b);
