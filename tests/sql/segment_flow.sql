-- Who moved: a history beside a published table, and two versions over the rows of now.
SET search_path = public;
\set VERBOSITY terse
CREATE TABLE customer (id int PRIMARY KEY, spend float8, visits float8);
INSERT INTO customer SELECT i, CASE WHEN i <= 6 THEN 10 ELSE 100 END + i % 3, CASE WHEN i <= 6 THEN 1 ELSE 9 END + i % 2 FROM generate_series(1, 10) AS i;
SELECT segment, size FROM persona.fit_segments('value', 'customer', 'id', k => 2);
SELECT * FROM persona.segment_flow('value');
SELECT * FROM persona.segment_changes('value');
SELECT * FROM persona.publish('value', 'labelled', history_table => 'moves');
SELECT id, segment, left_at FROM moves ORDER BY id;
SELECT key, from_segment, to_segment FROM persona.segment_changes('value');
-- one moves, one goes, one comes; a name alone moves nobody
UPDATE customer SET spend = 101, visits = 9 WHERE id = 1;
DELETE FROM customer WHERE id = 2;
INSERT INTO customer VALUES (11, 10, 1);
SELECT persona.name_segment('value', 2, 'whales');
SELECT persona.refit('value');
SELECT id, segment, label, left_at IS NOT NULL AS has_left FROM moves WHERE id IN (1, 2, 3, 10, 11) ORDER BY id, entered_at;
SELECT key, from_segment, to_segment FROM persona.segment_changes('value') WHERE key IN ('1', '2', '11') ORDER BY changed_at, key;
SELECT count(*) FROM persona.segment_changes('value', 'infinity');
-- published again without naming it, the history goes on
DELETE FROM customer WHERE id = 11;
SELECT * FROM persona.publish('value', 'labelled');
SELECT count(*) FROM moves WHERE left_at IS NULL;
-- a column that says nothing of some rows
UPDATE customer SET visits = NULL WHERE id = 3;
SELECT * FROM persona.segment_flow('value', 1, 2);
SELECT * FROM persona.segment_flow('value', from_version => 2, to_version => 2);
-- what is refused
SELECT * FROM persona.segment_flow('value', 1, 99);
SELECT * FROM persona.segment_flow(NULL);
SELECT * FROM persona.segment_changes('nobody');
SELECT n_users FROM persona.fit_recommender('rec', 'SELECT id AS user_id, id % 3 AS item_id FROM customer', holdout => 0);
SELECT * FROM persona.publish('rec', 'best', history_table => 'bests');
SELECT * FROM persona.segment_flow('rec');
CREATE ROLE persona_test_mover;
GRANT SELECT ON customer, moves TO persona_test_mover;
SELECT persona.grant_model('value', 'persona_test_mover');
SET ROLE persona_test_mover;
SELECT count(*) FROM persona.segment_changes('value');
RESET ROLE;
SELECT persona.grant_model('value', 'persona_test_mover', 'read');
SET ROLE persona_test_mover;
SELECT count(*) FROM persona.segment_changes('value');
SELECT * FROM persona.segment_flow('value');
-- a history never runs the code of somebody who names a table in a publication of his own
RESET ROLE;
CREATE SCHEMA trap AUTHORIZATION persona_test_mover;
SET ROLE persona_test_mover;
CREATE FUNCTION trap.spring() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'sprung as %', current_user; END $$;
CREATE VIEW trap.view AS SELECT 1 AS id, trap.spring() AS segment, now() AS entered_at, now() AS left_at;
SELECT count(*) FROM persona.fit_segments('trap', 'public.customer', 'id', 2, features => '{spend}');
RESET ROLE;
INSERT INTO persona.publication (model_id, target, key_column, key_type, history, search_path, published_version)
SELECT id, t, 'id', 'integer', t, '', 1 FROM persona.model, unnest(ARRAY['trap.view', '"moves h; SELECT trap.spring()"']) t WHERE name = 'trap';
SET ROLE persona_test_mover;
SELECT persona.grant_model('trap', 'public');
RESET ROLE;
SELECT count(*) FROM persona.segment_changes('trap');
DELETE FROM persona.model WHERE name = 'trap';
REVOKE ALL ON customer, moves FROM persona_test_mover;
DROP OWNED BY persona_test_mover CASCADE;
DROP ROLE persona_test_mover;
