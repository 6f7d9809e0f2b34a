-- Fits whose rows do not fit into memory: the same model from temporary files.
SET search_path = public;
CREATE TABLE customer AS
SELECT i AS id, 'k' || md5(i::text) AS code, (i * 7919 % 1000)::float8 / 10 + 100 * (i % 4) AS spend, i::bigint * 104729 % 97 AS visits,
       ARRAY[i % 5, (i / 7) % 3]::float8[] AS taste, (ARRAY['north', 'south', 'west'])[1 + i % 3] AS region
FROM generate_series(1, 30000) AS i ORDER BY md5(i::text);

SELECT count(*) FROM persona.fit_segments('by_memory', 'customer', 'id', k => 5, storage => 'memory');
SELECT count(*) FROM persona.fit_segments('by_disk', 'customer', 'id', k => 5, storage => 'disk', save_to => 'label_by_disk');
SELECT count(*) FROM persona.fit_segments('by_memory_text', 'customer', 'code', k => 30, features => '{spend,region,taste,visits}', storage => 'memory', save_to => 'label_by_memory');
SELECT count(*) FROM persona.fit_segments('by_disk_text', 'customer -- all of them', 'code', k => 30, features => '{spend,region,taste,visits}', storage => 'disk');
SELECT count(*) FROM persona.fit_segments('by_disk_text', 'SELECT * FROM customer -- all of them', 'code', k => 30, features => '{spend,region,taste,visits}', storage => 'disk', save_to => 'label_by_disk_text');
SELECT split_part(model, '_', 3) AS key, count(*), count(DISTINCT sha256) AS models, string_agg(metrics ->> 'on_disk', ',' ORDER BY model) AS on_disk
FROM persona.model_versions GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM label_by_memory JOIN label_by_disk_text USING (code, segment, label);
SELECT count(*) FROM label_by_disk l JOIN customer c USING (id) WHERE l.segment = persona.segment('by_memory', c);

-- Beyond the budget by itself, and no further than temp_file_limit.
SET persona.max_fit_memory = '1MB';
SELECT count(*) FROM persona.fit_segments('by_itself', 'customer', 'id', k => 5);
SELECT count(DISTINCT sha256) FROM persona.model_versions WHERE model IN ('by_memory', 'by_itself');
SELECT metrics -> 'on_disk' AS on_disk FROM persona.models WHERE model = 'by_itself';
SELECT persona.refit('by_itself');
SELECT metrics -> 'on_disk' AS on_disk FROM persona.models WHERE model = 'by_itself';
SELECT count(*) FROM persona.fit_segments('by_itself', 'customer', 'id', storage => 'disk');
SELECT count(*) FROM persona.fit_segments('by_itself', 'customer', 'id', k => 5, storage => 'memory');
-- Text keys have a dictionary, which is in memory.
SELECT count(*) FROM persona.fit_segments('by_itself', 'customer', 'code', k => 5);
SET temp_file_limit = '1MB';
SET work_mem = '64MB';
SELECT count(*) FROM persona.fit_segments('by_itself', 'customer', 'id', k => 5);
RESET temp_file_limit;
RESET work_mem;
RESET persona.max_fit_memory;
SELECT count(*) FROM pg_ls_tmpdir() WHERE name LIKE '%.persona.%';

-- Bad input is told as it is in memory.
SELECT count(*) FROM persona.fit_segments('bad', 'customer', 'id', k => 5, storage => 'tape');
SELECT count(*) FROM persona.fit_segments('bad', 'customer', 'id', k => 5, storage => NULL);
SELECT count(*) FROM persona.fit_segments('bad', 'SELECT 1 AS id, spend FROM customer', 'id', k => 2, storage => 'disk', save_to => 'twice');
SELECT count(*) FROM persona.fit_segments('bad', 'SELECT id, nullif(visits, 3) AS visits FROM customer', 'id', k => 2, storage => 'disk');
SELECT count(*) FROM persona.fit_segments('bad', 'SELECT id, spend FROM customer WHERE false', 'id', k => 2, storage => 'disk');
SELECT count(*) FROM persona.fit_segments('bad', 'SELECT id, id, spend FROM customer', 'id', k => 2, storage => 'disk');
SELECT count(*) FROM persona.fit_segments('bad', 'customer', 'nothing', k => 2, storage => 'disk');
SELECT count(*) FROM persona.fit_segments('bad', $$SELECT id, (ARRAY[spend, visits])[1:1 + (id = 20000)::int] AS v FROM customer$$, 'id', k => 2, storage => 'disk');
