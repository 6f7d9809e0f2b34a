-- Features that a fit takes and the user should hear of: identifiers, points in time, the answer itself.
SET search_path = public;
CREATE TABLE buyer AS
SELECT i AS id, 1000 + i * 7 AS ref, i * 3::numeric AS number, 'c' || i AS code, timestamptz '2026-01-01' + i * interval '1 hour' AS seen_at, i::float8 AS measured,
       i % 9 AS visits, i % 2 = 0 OR i % 7 = 0 AS bought, CASE WHEN i % 2 = 0 OR i % 7 = 0 THEN i END AS invoice
FROM generate_series(1, 1000) AS i;
SELECT count(*) FROM persona.fit_segments('s', 'SELECT id, ref, visits FROM buyer', 'id', k => 2);
SELECT count(*) FROM persona.fit_segments('s', 'SELECT id, ref, number, measured, visits FROM buyer', 'id', k => 2);
SELECT count(*) FROM persona.fit_segments('s', 'buyer', 'id', k => 2, features => '{visits,code,seen_at}');
SELECT count(*) FROM persona.choose_k('SELECT id, visits FROM buyer', 2, 3);
SELECT count(*) FROM persona.choose_k('SELECT id, visits FROM buyer', 2, 3, key => 'id');
-- Values that some rows share, fractions, few rows: nothing is said. A refit says nothing again.
SELECT count(*) FROM persona.fit_segments('s', 'SELECT id, visits, least(ref, 5000) AS ref, number + 0.5 AS half FROM buyer', 'id', k => 2);
SELECT count(*) FROM persona.fit_segments('s', 'SELECT id, ref, visits FROM buyer WHERE id < 20', 'id', k => 2);
SELECT count(*) FROM persona.fit_segments('s', 'SELECT id, ref, visits FROM buyer', 'id', k => 2, storage => 'disk');
SELECT persona.refit('s', force => true);
-- The key and the weights are no features.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT persona.fit_segments('s', 'buyer', 'id', k => 2, features => '{visits,id}');
SELECT persona.fit_segments('s', 'buyer', 'id', k => 2, features => '{visits,number}', weight_column => 'number');
SELECT persona.choose_k('buyer', 2, 3, features => '{visits,id}', key => 'id');
SELECT persona.choose_k('buyer', 2, 3, features => '{visits,number}', weight_column => 'number');
\set VERBOSITY default
-- Scorers: identifiers, and what is known only after the target.
SELECT algorithm FROM persona.fit_scorer('sc', 'SELECT id, code, visits, bought FROM buyer', 'bought');
SELECT algorithm, roc_auc FROM persona.fit_scorer('sc', 'SELECT id, invoice, visits, bought FROM buyer', 'bought', key => 'id');
SELECT algorithm FROM persona.fit_scorer('sc', 'SELECT id, invoice, visits, bought FROM buyer', 'bought', key => 'id', holdout => 0);
SELECT algorithm FROM persona.fit_scorer('sc', 'SELECT id, visits, measured, bought FROM buyer', 'bought', key => 'id');
