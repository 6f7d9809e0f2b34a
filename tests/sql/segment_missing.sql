-- Rows of which a feature is NULL: refused, filled, or left out.
SET search_path = public;
CREATE TABLE visitor AS
SELECT i AS id, CASE WHEN i % 10 <> 3 THEN (i % 2) * 20 + i % 7 END::float8 AS spend, (i % 2) * 10 + i % 5 AS visits,
       CASE WHEN i % 10 <> 5 THEN (ARRAY['web', 'shop', 'phone'])[1 + i % 3] END AS channel, 1 + i % 4 AS n
FROM generate_series(1, 200) AS i;
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT persona.fit_segments('refused', 'visitor', 'id', k => 2, features => '{spend,visits}');
SELECT persona.fit_segments('refused', 'visitor', 'id', k => 2, features => '{visits,channel}');
SELECT persona.fit_segments('refused', 'visitor', 'id', k => 2, features => '{spend,visits}', missing => 'ignore');
SELECT persona.choose_k('visitor', 2, 3, features => '{spend,visits}');
SELECT persona.fit_segments('refused', 'SELECT *, NULL::float8 AS nothing FROM visitor', 'id', k => 2, features => '{spend,nothing}', missing => 'impute');
SELECT persona.fit_segments('refused', 'SELECT *, NULL::text AS nothing FROM visitor', 'id', k => 2, features => '{visits,nothing}', missing => 'skip');
\set VERBOSITY default

-- Filled with the means of the fit, then and later.
SELECT segment, size, label FROM persona.fit_segments('imputed', 'visitor', 'id', k => 2, features => '{spend,visits,channel}', missing => 'impute', save_to => 'imputed_segment');
SELECT count(*), count(segment) FROM imputed_segment;
SELECT count(*) FILTER (WHERE s.segment = persona.segment('imputed', v)) AS n_same FROM imputed_segment AS s JOIN visitor AS v USING (id);
SELECT persona.segment('imputed', '{"spend": null, "visits": 12, "channel": null}') = persona.segment('imputed', v) AS is_same
FROM (SELECT avg(spend) AS spend, 12 AS visits, NULL::text AS channel FROM visitor) AS v;
SELECT r ->> 'feature' AS feature, r ->> 'value' AS value FROM jsonb_array_elements(persona.anomaly_reasons('imputed', '{"spend": null, "visits": 90, "channel": "web"}', 1)) AS r;
-- A refit keeps the choice, and a published table is written for all.
INSERT INTO visitor VALUES (201, NULL, NULL, NULL, 1);
SELECT persona.refit('imputed');
SELECT parameters ->> 'missing' AS missing, n_rows FROM persona.model_versions WHERE model = 'imputed' ORDER BY version;
SELECT segment IS NOT NULL AS has_segment FROM imputed_segment WHERE id = 201;
SELECT persona.publish('imputed', 'by_query', 'SELECT * FROM visitor', 'id');
SELECT count(*), count(*) FILTER (WHERE q.segment = s.segment) AS n_same FROM by_query AS q JOIN imputed_segment AS s USING (id);
SELECT to_segment IS NULL AS is_null, sum(n_rows) FROM persona.segment_flow('imputed') GROUP BY 1;
SELECT length(persona.report('imputed')) > 1000 AS is_page;
DELETE FROM visitor WHERE id = 201;

-- Left out: no segment, then and later.
SELECT segment, size, label FROM persona.fit_segments('skipped', 'visitor', 'id', k => 2, features => '{spend,visits,channel}', missing => 'skip', save_to => 'skipped_segment');
SELECT n_rows, parameters ->> 'missing' AS missing FROM persona.model_versions WHERE model = 'skipped';
SELECT count(*), count(segment), count(label) FROM skipped_segment;
SELECT count(*) FILTER (WHERE s.segment IS DISTINCT FROM persona.segment('skipped', v)) AS n_differing FROM skipped_segment AS s JOIN visitor AS v USING (id);
-- The same segments as of a source without those rows.
SELECT segment, size FROM persona.fit_segments('whole', 'SELECT * FROM visitor WHERE spend IS NOT NULL AND channel IS NOT NULL', 'id', k => 2, features => '{spend,visits,channel}');
SELECT count(*) FROM visitor AS v WHERE persona.segment('whole', v) IS DISTINCT FROM persona.segment('skipped', v);
SELECT persona.refit('skipped');
SELECT array_agg(size ORDER BY segment) FROM persona.fit_segments('on_disk', 'SELECT * FROM visitor ORDER BY -id', 'id', k => 2, features => '{spend,visits,channel}', missing => 'skip', storage => 'disk', save_to => 'disk_segment');
SELECT count(*), count(*) FILTER (WHERE d.segment IS NOT DISTINCT FROM s.segment) AS n_same FROM disk_segment AS d JOIN skipped_segment AS s USING (id);
-- The order of rows decides nothing.
SELECT count(*) FROM persona.fit_segments('turned', 'SELECT * FROM visitor ORDER BY -id', 'id', k => 2, features => '{spend,visits}', missing => 'impute');
SELECT count(*) FROM persona.fit_segments('turned', 'SELECT * FROM visitor ORDER BY id % 17', 'id', k => 2, features => '{spend,visits}', missing => 'impute');
SELECT count(DISTINCT metrics ->> 'inertia') FROM persona.model_versions WHERE model = 'turned';
SELECT count(*) > 1 AS has_segments FROM persona.fit_segments('chosen', 'visitor', 'id', features => '{spend,visits}', missing => 'skip');
SELECT k, silhouette > 0 AS is_positive FROM persona.choose_k('visitor', 2, 3, features => '{spend,visits,channel}', missing => 'skip');
SELECT k, silhouette > 0 AS is_positive FROM persona.choose_k('visitor', 2, 3, features => '{spend,visits,channel}', missing => 'impute', key => 'id', weight_column => 'n');
SELECT segment, size FROM persona.fit_segments('weighed', 'visitor', 'id', k => 2, features => '{spend,visits}', missing => 'impute', weight_column => 'n', scaling => 'log1p');
-- Without a NULL it is as if nothing were said, but for rows to come.
SELECT array_agg(size ORDER BY segment) FROM persona.fit_segments('whole', 'visitor', 'id', k => 2, features => '{visits}', missing => 'skip');
