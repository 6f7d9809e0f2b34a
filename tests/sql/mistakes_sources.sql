-- Where in a source an error is, whoever runs it; and SQLSTATEs of one's own.
SET search_path = public;
\set SHOW_CONTEXT never
CREATE TABLE shopper AS SELECT i AS id, i % 7 AS spend, i % 3 AS visits, i % 7 > 3 AS bought FROM generate_series(1, 200) AS i;
CREATE FUNCTION told(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no shopper %', n USING ERRCODE = 'P0777', DETAIL = 'Nobody knows.', HINT = 'Ask again.'; END $$;
SELECT count(*) FROM persona.fit_segments('groups', 'shopper', 'id', 2, features => '{spend,visits}');
SELECT positive FROM persona.fit_scorer('buys', 'SELECT spend, visits, bought FROM shopper', 'bought');
\echo -- A table of scores.
SELECT * FROM persona.publish('buys', 'shopper_score', $$SELECT id, spend, visit
FROM shopper$$, key => 'id');
SELECT * FROM persona.publish('buys', 'shopper_score', 'SELECT id, spend, visits FROM shoppers', key => 'id');
SELECT * FROM persona.publish('buys', 'shopper_score', 'SELECT id, spend visits, FROM shopper', key => 'id');
SELECT * FROM persona.publish('groups', 'shopper_group', 'SELECT id, spend, visits FROM shopper WHERE gone', key => 'id');
SELECT inserted FROM persona.publish('buys', 'shopper_score', 'SELECT id, spend, visits FROM shopper', key => 'id');
\echo -- What activates, refits and refits by a job.
SELECT positive FROM persona.fit_scorer('buys', 'SELECT spend, visits, bought FROM shopper', 'bought');
ALTER TABLE shopper RENAME visits TO visit;
SELECT persona.activate('buys', 1);
SELECT persona.refit('buys');
CALL persona.refit_job('buys');
CALL persona.refit_job('groups');
SELECT model, sqlstate, error FROM persona.refit_log ORDER BY started_at;
\echo -- A SQLSTATE that nobody but its author knows.
SELECT * FROM persona.fit_segments('new', 'SELECT id, told(id) AS spend FROM shopper', 'id', 2);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM persona.describe('SELECT told(id) AS spend FROM shopper');
\echo :LAST_ERROR_SQLSTATE
SELECT inserted FROM persona.publish('buys', 'shopper_told', 'SELECT id, told(id) AS spend, visit AS visits FROM shopper', key => 'id');
\echo :LAST_ERROR_SQLSTATE
SELECT inserted FROM persona.publish('buys', 'shopper_part', 'SELECT id, spend / (id - id) AS spend, visit AS visits FROM shopper', key => 'id');
SELECT inserted FROM persona.publish('groups', 'shopper_group');
\echo :LAST_ERROR_SQLSTATE
