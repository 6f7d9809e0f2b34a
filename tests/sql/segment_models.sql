-- Named models of segments: fit, label, describe, name, and tables of labels.
SET search_path = public;
CREATE TABLE customer (id int PRIMARY KEY, city text, recency int, monetary numeric, visits int[]);
INSERT INTO customer
SELECT i, CASE WHEN i % 2 = 0 THEN 'Kyoto' ELSE 'Oslo' END, 10 * (i % 3) + i % 2, 100 * (i % 3) + i, ARRAY[i % 3, i % 2]
FROM generate_series(1, 30) AS i;

SELECT segment, name, size, round(share::numeric, 3) AS share, label
FROM persona.fit_segments('buyers', 'customer', 'id', k => 3, features => '{recency,monetary}');
SELECT model, kind, algorithm, active_version, n_rows, features, metrics ->> 'ended' AS ended, metrics -> 'k' AS k, source
FROM persona.models;
SELECT parameters FROM persona.model_versions;
SELECT segment, name, feature, round(mean::numeric, 2) AS mean, round(population_mean::numeric, 2) AS population_mean,
       round(difference::numeric, 2) AS difference
FROM persona.segment_profile('buyers');
SELECT persona.segment('buyers', c) AS segment, count(*), round(max(persona.distance('buyers', c))::numeric, 3) AS farthest
FROM customer c GROUP BY 1 ORDER BY 1;
-- Extra and reordered columns are fine, a missing one is named, a NULL has no segment.
SELECT persona.segment('buyers', v) FROM (SELECT 3.0 AS monetary, 'x' AS note, 1::smallint AS recency) v;
SELECT persona.segment('buyers', v) FROM (SELECT 3.0 AS monetary) v;
SELECT persona.segment('buyers', v) FROM (SELECT NULL::int AS recency, 3.0 AS monetary) v;
SELECT persona.segment('buyers', v) FROM (SELECT 'NaN'::float8 AS recency, 3.0 AS monetary) v;
SELECT persona.segment('buyers', v) FROM (SELECT 'a' AS recency, 3.0 AS monetary) v;
SELECT persona.segment('buyers', ROW(1, 2));
SELECT persona.segment('nobody', c) FROM customer c;

-- Every numeric column and array of numbers, when no features are named.
SELECT segment, size FROM persona.fit_segments('wide', 'customer', 'id', 2);
SELECT features, parameters -> 'features' AS columns FROM persona.model_versions WHERE model = 'wide';
SELECT count(DISTINCT persona.segment('wide', c)) FROM customer c;
SELECT size FROM persona.fit_segments('arrays', 'SELECT id, visits FROM customer', 'id', 6, scaling => 'none');

-- Names belong to people and outlive a fit.
SELECT persona.name_segment('buyers', 1, 'regulars');
SELECT segment, name, size FROM persona.segments('buyers');
SELECT persona.name_segment('buyers', 1, 'loyal');
SELECT persona.name_segment('buyers', 2, 'new');
SELECT persona.name_segment('buyers', 2, NULL);
SELECT segment, name FROM persona.segments('buyers');
SELECT persona.name_segment('buyers', 4, 'x');
SELECT persona.name_segment('buyers', 0, 'x');
SELECT persona.name_segment('buyers', 1, '');
SELECT persona.name_segment('nobody', 1, 'x');
CREATE ROLE segment_reader;
SET ROLE segment_reader;
SELECT persona.name_segment('buyers', 1, 'mine');
SELECT * FROM persona.segments('buyers');
RESET ROLE;

-- Tables of labels: the key keeps its type; a second fit changes what differs.
SELECT segment, name, size FROM persona.fit_segments('buyers', 'customer', 'id', k => 3, features => '{recency,monetary}', save_to => 'labelled');
\d labelled
SELECT id, segment, label FROM labelled ORDER BY id LIMIT 6;
SELECT count(*) FROM labelled l JOIN customer c USING (id) WHERE l.segment = persona.segment('buyers', c);
SELECT m.name, p.target, p.source, p.key_column, p.key_type, p.published_version
FROM persona.publication p JOIN persona.model m ON m.id = p.model_id;
SELECT count(*) FROM persona.fit_segments('buyers', 'SELECT * FROM customer WHERE id <> 7', 'id', k => 2, features => '{recency,monetary}', save_to => 'labelled');
SELECT count(*), max(segment) FROM labelled;
SELECT p.target, p.published_version FROM persona.publication p;
SELECT count(*) FROM persona.fit_segments('cities', 'SELECT city || id AS "the key", recency FROM customer', 'the key', k => 2, save_to => '"City labels"');
SELECT "the key", segment FROM "City labels" ORDER BY 1 LIMIT 3;
SELECT count(*) FROM persona.fit_segments('cities', 'SELECT city AS k, recency FROM customer', 'k', k => 2, save_to => 'twice');
SELECT count(*) FROM persona.fit_segments('cities', 'SELECT 1 AS k, recency FROM customer', 'k', k => 2, save_to => 'twice');
SELECT count(*) FROM persona.fit_segments('cities', 'SELECT id AS segment, recency FROM customer', 'segment', k => 2, save_to => 'own');
SELECT count(*) FROM persona.fit_segments('cities', 'customer', 'id', k => 2, save_to => 'own', activate => false);

-- The order of the rows does not matter, nor does the number of threads.
CREATE TABLE shuffled AS SELECT * FROM customer ORDER BY md5(id::text);
SET persona.threads = 1;
SELECT count(*) FROM persona.fit_segments('first', 'customer', 'id', 4);
SET persona.threads = 2;
SELECT count(*) FROM persona.fit_segments('second', 'shuffled', 'id', 4);
RESET persona.threads;
SELECT count(DISTINCT sha256) FROM persona.model_versions WHERE model IN ('first', 'second');

-- A version that is not activated changes nothing; a new active one is seen at once.
SELECT count(*) FROM persona.fit_segments('first', 'customer', 'id', 2, activate => false);
SELECT count(*) FROM persona.segments('first');
SELECT max(version), max(version) FILTER (WHERE is_active) FROM persona.model_versions WHERE model = 'first';

-- What cannot be fitted says why.
SELECT * FROM persona.fit_segments('bad', 'customer', NULL, 3);
SELECT * FROM persona.fit_segments('bad', 'customer', 'id', 31);
SELECT * FROM persona.fit_segments('bad', 'customer', 'id', 0);
SELECT * FROM persona.fit_segments('bad', 'customer', 'id', 3, max_iterations => 0);
SELECT * FROM persona.fit_segments('bad', 'customer', 'id', 3, n_init => -1);
SELECT * FROM persona.fit_segments('bad', 'customer', 'id', 3, scaling => 'quantile');
SELECT * FROM persona.fit_segments('bad', 'customer', 'nope', 3);
SELECT * FROM persona.fit_segments('bad', 'customer', 'id', 3, features => '{recency,nope}');
SELECT * FROM persona.fit_segments('bad', 'customer', 'id', 3, features => '{recency,recency}');
SELECT * FROM persona.fit_segments('bad', 'SELECT id, ''{}''::jsonb AS doc FROM customer', 'id', 3, features => '{doc}');
SELECT * FROM persona.fit_segments('bad', 'customer', 'id', 3, features => '{}');
SELECT * FROM persona.fit_segments('bad', 'customer', 'id', 3, features => '{NULL}');
SELECT * FROM persona.fit_segments('bad', 'SELECT id, city FROM customer', 'id', 3);
SELECT * FROM persona.fit_segments('bad', 'SELECT * FROM customer WHERE false', 'id', 3);
SELECT * FROM persona.fit_segments('bad', 'SELECT id, nullif(recency, 0) AS recency FROM customer', 'id', 3);
SELECT * FROM persona.fit_segments('bad', 'SELECT nullif(id, 3) AS id, recency FROM customer', 'id', 3);
SELECT * FROM persona.fit_segments('bad', 'SELECT id, ''Infinity''::float8 AS r FROM customer', 'id', 3);
SELECT * FROM persona.fit_segments('bad', 'SELECT monetary::float8 AS monetary, recency FROM customer', 'monetary', 3);
SELECT * FROM persona.fit_segments('bad', 'no_table', 'id', 3);
SELECT * FROM persona.fit_segments('bad', 'DELETE FROM customer RETURNING *', 'id', 3);
SELECT * FROM persona.fit_segments('', 'customer', 'id', 3);
SELECT count(*) FROM persona.models WHERE model = 'bad';
-- Points in time are seconds to a model, and dates and times to who reads.
SET TimeZone = 'UTC';
CREATE DOMAIN joined_on AS date;
CREATE TABLE joined AS
SELECT i AS id, (date '2024-01-01' + i % 2 * 300 + i % 5)::joined_on AS since, timestamptz '2025-06-01 12:00+00' + i % 7 * interval '1 day' AS seen, timestamp '1999-12-31 00:00' + i * interval '1 day' AS wall, i % 3 AS n
FROM generate_series(1, 60) AS i;
SELECT segment, size FROM persona.fit_segments('joined', 'joined', 'id', k => 2, features => '{since,seen,wall,n}');
SELECT segment, feature, left(mean_text, 13) AS mean, left(population_mean_text, 13) AS population_mean, mean > 1e6 AS is_seconds FROM persona.segment_profile('joined') ORDER BY segment, feature;
SET TimeZone = 'Asia/Kolkata';
SET DateStyle = 'German';
SELECT persona.refit('joined');
SELECT DISTINCT feature, left(population_mean_text, 13) AS population_mean FROM persona.segment_profile('joined') ORDER BY feature;
RESET DateStyle;
RESET TimeZone;
SELECT metrics -> 'moments' AS moments FROM persona.model_versions WHERE model = 'joined' AND version = 2;
-- A fit is part of its transaction.
BEGIN;
SELECT count(*) FROM persona.fit_segments('gone', 'customer', 'id', 3, save_to => 'gone_labels');
ROLLBACK;
SELECT count(*) FROM persona.models WHERE model = 'gone';
SELECT to_regclass('gone_labels');
DROP ROLE segment_reader;
