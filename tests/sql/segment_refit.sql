-- A refit of segments: warm, with the numbers and names that people know, published again.
SET search_path = public;
CREATE TABLE customer (id int PRIMARY KEY, recency float8, monetary float8);
INSERT INTO customer SELECT i, 1 + i % 2, 5 + i % 3 FROM generate_series(1, 20) AS i;
INSERT INTO customer SELECT 100 + i, 50 + i % 2, 5 + i % 3 FROM generate_series(1, 10) AS i;
INSERT INTO customer SELECT 200 + i, 1 + i % 2, 90 + i % 3 FROM generate_series(1, 5) AS i;
SELECT segment, size, label FROM persona.fit_segments('value', 'customer', 'id', k => 3, save_to => 'labelled');
SELECT persona.name_segment('value', 3, 'whales');

-- By size the order would now be another one.
DELETE FROM customer WHERE id BETWEEN 9 AND 20;
INSERT INTO customer SELECT 300 + i, 1 + i % 2, 90 + i % 3 FROM generate_series(1, 15) AS i;
SELECT persona.refit('value');
SELECT segment, name, size, label, words FROM persona.segments('value');
SELECT segment, label, count(*), min(id), max(id) FROM labelled GROUP BY 1, 2 ORDER BY 1;
SELECT version, is_active, features, parameters FROM persona.model_versions ORDER BY version;
-- Nothing new: the same version but for its number, and no row is written.
SELECT persona.refit('value');
SELECT count(*), count(DISTINCT metrics ->> 'inertia') FROM persona.model_versions WHERE version >= 2;
SELECT count(DISTINCT persona.segment('value', c)) FROM customer c;
-- A column is gone: the live version stays.
ALTER TABLE customer RENAME monetary TO money;
SELECT persona.refit('value');
SELECT active_version FROM persona.models;

-- Words stay as the fit found them, so a refit rewrites those who move and nobody else.
CREATE TABLE shopper AS SELECT i AS id, 10.0 * (i % 2) + i % 5 AS spend, 10.0 * (i % 2) + i % 7 AS visits FROM generate_series(1, 200) AS i;
SELECT segment, label FROM persona.fit_segments('shoppers', 'shopper', 'id', k => 2, save_to => 'shopper_segment');
UPDATE shopper SET visits = visits + CASE WHEN id % 2 = 0 THEN -30 ELSE 30 END WHERE id % 4 < 2;
UPDATE shopper SET spend = 0 WHERE id = 3;
SELECT persona.refit('shoppers', force => true);
SELECT segment, label FROM persona.segments('shoppers');
SELECT n_changed FROM persona.refit_log WHERE model = 'shoppers';
SELECT label FROM persona.fit_segments('shoppers', 'shopper', 'id', k => 2, activate => false);
