-- How good segments are, and how many there should be.
SET search_path = public;
-- Four well separated groups, and a column that says nothing.
CREATE TABLE visit AS
SELECT i AS id, (i % 2) * 50 + i % 7 AS minutes, (i % 4 / 2) * 80 + i % 5 AS spend, 3 AS constant
FROM generate_series(0, 399) AS i;

SELECT k, round(inertia::numeric, 2) AS inertia, round(silhouette::numeric, 4) AS silhouette,
       round(davies_bouldin::numeric, 4) AS davies_bouldin, round(calinski_harabasz::numeric, 1) AS calinski_harabasz,
       round(stability::numeric, 3) AS stability, is_best
FROM persona.choose_k('visit', k_max => 6, features => '{minutes,spend}');
SELECT criterion, k FROM unnest(ARRAY['silhouette', 'davies_bouldin', 'calinski_harabasz', 'stability']) AS criterion,
       LATERAL persona.choose_k('visit', features => '{minutes,spend}', criterion => criterion)
WHERE is_best ORDER BY criterion;
-- The order of the rows does not matter, nor does a sample that holds them all.
SELECT count(*) FROM (
    SELECT * FROM persona.choose_k('SELECT * FROM visit ORDER BY id DESC', features => '{minutes,spend}', sample_rows => 400)
    EXCEPT SELECT * FROM persona.choose_k('visit', features => '{minutes,spend}')) AS differing;
-- With the key of a fit it says which k a fit without one takes, and by how much.
SELECT k, silhouette_error BETWEEN 0 AND 0.05 AS is_sure FROM persona.choose_k('visit', key => 'id') WHERE is_best;
SELECT count(*) AS k FROM persona.fit_segments('of_any_k', 'visit', 'id');
SELECT count(*) FROM persona.choose_k('visit', key => 'nothing');
-- One segment alone has no silhouette, so that none is best; there are no more candidates than distinct rows.
SELECT k, silhouette, is_best FROM persona.choose_k('visit', k_min => 1, k_max => 1, features => '{minutes}');
SELECT max(k), count(*) FROM persona.choose_k('SELECT id % 3 AS x FROM visit', k_max => 50);
SELECT persona.choose_k('SELECT 1 AS x');
SELECT persona.choose_k('visit', k_min => 5, k_max => 4);
SELECT persona.choose_k('visit', k_min => 0);
SELECT persona.choose_k('visit', criterion => 'elbow');
SELECT persona.choose_k('visit', sample_rows => 0);
SELECT persona.choose_k('visit', features => '{nothing}');
SELECT persona.choose_k(NULL);

-- A fit without k picks one and says so; what it found out of itself is kept with the version.
SELECT segment, size FROM persona.fit_segments('visits', 'visit', 'id', features => '{minutes,spend}');
SELECT version, k, n_rows, round(inertia::numeric, 2) AS inertia, round(silhouette::numeric, 4) AS silhouette, silhouette_rows,
       round(davies_bouldin::numeric, 4) AS davies_bouldin, round(calinski_harabasz::numeric, 1) AS calinski_harabasz, is_converged
FROM persona.segment_quality('visits');
SELECT parameters -> 'k' AS k FROM persona.model_versions WHERE model = 'visits';
-- A refit keeps the k that was picked.
SELECT persona.refit('visits');
SELECT version, k FROM persona.segment_quality('visits');
SELECT segment FROM persona.fit_segments('same', 'SELECT id, constant FROM visit', 'id');
SELECT * FROM persona.segment_quality('nobody');
