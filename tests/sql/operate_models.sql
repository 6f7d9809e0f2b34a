-- Versions and rights of models.
SET search_path = public;
\set VERBOSITY terse
CREATE TABLE customer AS SELECT g AS id, (g % 3) * 10 + g % 2 AS spend, g % 3 AS visits FROM generate_series(1, 30) g;
SELECT segment, size FROM persona.fit_segments('c', 'customer', 'id', 3);
SELECT segment, size FROM persona.fit_segments('c', 'SELECT * FROM customer WHERE id <= 20', 'id', 2);
SELECT model, version, is_active, algorithm, n_rows, features, length(sha256) FROM persona.model_versions ORDER BY version;
SELECT count(DISTINCT persona.segment('c', t)) FROM customer t;

-- the version that is active is the one that is used, from the next statement on
SELECT persona.activate('c', 1);
SELECT count(DISTINCT persona.segment('c', t)) FROM customer t;
SELECT model, kind, active_version, n_rows FROM persona.models;
SELECT persona.activate('c', 7);
SELECT persona.activate('nobody', 1);
SELECT persona.activate(NULL, 1);

-- a transaction takes it back
BEGIN;
SELECT persona.activate('c', 2);
SELECT count(DISTINCT persona.segment('c', t)) FROM customer t;
ROLLBACK;
SELECT count(DISTINCT persona.segment('c', t)) FROM customer t;

-- old versions go, the active one stays
UPDATE persona.model SET keep_versions = 2;
SELECT count(*) FROM generate_series(1, 3) g, LATERAL persona.fit_segments('c', 'customer', 'id', 2, seed => g, activate => false);
SELECT version, is_active FROM persona.model_versions ORDER BY version;

-- names
SELECT persona.rename_model('c', 'customers');
SELECT persona.segment('c', t) FROM customer t LIMIT 1;
SELECT persona.segment('customers', t) IS NOT NULL AS found FROM customer t LIMIT 1;
SELECT segment FROM persona.fit_segments('other', 'customer', 'id', 1);
SELECT persona.rename_model('other', 'customers');
SELECT persona.rename_model('other', '');
SELECT persona.score('customers', t) FROM customer t LIMIT 1;
SELECT persona.recommend('customers', 1);

-- rights: a model is its owner's, and of those it was granted to
CREATE ROLE persona_test_reader;
GRANT SELECT ON customer TO persona_test_reader;
SET ROLE persona_test_reader;
SELECT count(*) FROM persona.models;
SELECT persona.segment('customers', t) FROM customer t LIMIT 1;
SELECT segment FROM persona.fit_segments('customers', 'customer', 'id', 2);
RESET ROLE;
SELECT persona.grant_model('customers', 'persona_test_reader');
SET ROLE persona_test_reader;
SELECT model FROM persona.models;
SELECT persona.segment('customers', t) IS NOT NULL AS may FROM customer t LIMIT 1;
SELECT persona.activate('customers', 4);
SELECT persona.drop_model('customers');
SELECT persona.grant_model('customers', 'public');
SELECT persona.refit('customers');
SELECT persona.name_segment('customers', 1, 'mine');
UPDATE persona.model_version SET n_rows = 0;
UPDATE persona.model SET owner = 'persona_test_reader';
RESET ROLE;
SELECT persona.revoke_model('customers', 'persona_test_reader');
SELECT persona.grant_model('customers', 'public');
SET ROLE persona_test_reader;
SELECT persona.segment('customers', t) IS NOT NULL AS may FROM customer t LIMIT 1;
RESET ROLE;
SELECT persona.grant_model('customers', 'no such role');

-- dropped, with all its versions
SELECT persona.drop_model('customers');
SELECT persona.drop_model('customers');
SELECT persona.drop_model('other');
SELECT count(*) FROM persona.model_version;
SELECT count(*) FROM persona.model_chunk;
DROP OWNED BY persona_test_reader;
DROP ROLE persona_test_reader;
