-- Tables that are kept up to date from models, by difference; refits; a customer's portrait.
SET search_path = public;
\set VERBOSITY terse
CREATE TABLE customer AS
SELECT 'c' || g AS id, ((g % 3) * 10 + g % 2)::float8 AS spend, (g % 3)::float8 AS visits, (g % 3 = 2 OR g = 4) AS bought FROM generate_series(1, 30) g;
SELECT segment, size FROM persona.fit_segments('c', 'customer', 'id', 3, features => '{spend,visits}', save_to => 'Label Table') AS refused;
SELECT segment, size FROM persona.fit_segments('c', 'customer', 'id', 3, features => '{spend,visits}', save_to => '"Label Table"');
\d "Label Table"
SELECT segment, count(*) FROM "Label Table" GROUP BY 1 ORDER BY 1;

-- nothing changed, so nothing is written
SELECT ctid FROM "Label Table" WHERE id = 'c1';
SELECT persona.refit('c');
SELECT ctid FROM "Label Table" WHERE id = 'c1';
-- one customer moves, one goes, one comes
UPDATE customer SET spend = 20, visits = 2 WHERE id = 'c3';
DELETE FROM customer WHERE id = 'c30';
INSERT INTO customer VALUES ('new', 20, 2, true);
SELECT persona.refit('c');
SELECT l.id, l.segment = o.segment AS same_as_c2, since > (SELECT since FROM "Label Table" WHERE id = 'c2') AS since_later
FROM "Label Table" l, (SELECT segment FROM "Label Table" WHERE id = 'c2') o WHERE l.id IN ('c1', 'c2', 'c3', 'c30', 'new') ORDER BY l.id;

-- a source that lost most of its rows is refused, and the live version stays
BEGIN;
DELETE FROM customer WHERE id > 'c2';
SAVEPOINT s;
SELECT persona.refit('c');
ROLLBACK TO s;
SELECT active_version FROM persona.models WHERE model = 'c';
SELECT persona.refit('c', force => true) IS NOT NULL AS refitted;
ROLLBACK;

-- scores
SELECT positive, n_rows FROM persona.fit_scorer('s', 'customer', 'bought', features => '{spend,visits}', holdout => 0);
SELECT * FROM persona.publish('s', 'score', 'customer', key => 'id');
SELECT * FROM persona.publish('s', 'score', 'customer', key => 'id');
\d score
SELECT count(*) FROM score WHERE score BETWEEN 0 AND 1;

-- best items
CREATE TABLE basket AS SELECT 'c' || (g % 20) AS user_id, chr(97 + (g * g) % 13) AS item_id FROM generate_series(1, 200) g;
SELECT n_users, n_items FROM persona.fit_recommender('r', 'basket', holdout => 0);
SELECT * FROM persona.publish('r', 'best', n => 2);
\d best
SELECT * FROM persona.publish('r', 'best', n => 1);

-- one customer, whole
SELECT model, kind, answer FROM persona.profile('c1');
SELECT model, details - 'since' - 'score' - 'because_of' FROM persona.profile('c1');
SELECT * FROM persona.profile('nobody');

-- what is refused
SELECT * FROM persona.publish('nobody', 't');
SELECT * FROM persona.publish('c', NULL);
SELECT * FROM persona.publish('c', 'a b');
SELECT * FROM persona.publish('c', 'customer', key => 'id');
SELECT * FROM persona.publish('c', 'fresh', 'SELECT 1 AS id', key => 'id');
SELECT * FROM persona.publish('c', 'fresh', 'customer', key => 'no such');
SELECT * FROM persona.publish('r', 'fresh', n => 0);
SELECT persona.refit('nobody');

-- a portrait never runs the code of somebody who names a table in a publication of his own
CREATE ROLE persona_test_trapper;
CREATE SCHEMA trap AUTHORIZATION persona_test_trapper;
GRANT SELECT ON customer TO persona_test_trapper;
SET ROLE persona_test_trapper;
CREATE FUNCTION trap.spring() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'sprung as %', current_user; END $$;
CREATE VIEW trap.view AS SELECT 'c1'::text AS id, 1 AS segment, trap.spring() AS label;
CREATE DOMAIN trap.type AS text CHECK (trap.spring() IS NOT NULL);
CREATE TABLE trap.typed (id trap.type, segment int, label text);
SELECT count(*) FROM persona.fit_segments('trap', 'public.customer', 'id', 2, features => '{spend}');
RESET ROLE;
INSERT INTO persona.publication (model_id, target, source, key_column, key_type, n, search_path, published_version)
SELECT id, t, NULL, 'id', 'text', NULL, '', 1
FROM persona.model, unnest(ARRAY['trap.view', 'trap.typed', '"no name"', '"customer; SELECT 1"']) t WHERE name = 'trap';
SET ROLE persona_test_trapper;
SELECT persona.grant_model('trap', 'public');
GRANT USAGE ON SCHEMA trap TO public;
GRANT SELECT ON trap.view, trap.typed TO public;
RESET ROLE;
SELECT model, kind, answer FROM persona.profile('c1');
DROP OWNED BY persona_test_trapper;
DELETE FROM persona.model WHERE name = 'trap';
DROP ROLE persona_test_trapper;
